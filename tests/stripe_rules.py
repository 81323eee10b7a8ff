"""What Stripe documents and localstripe lacks, for the proxy in front of it.

It remembers Idempotency-Keys: the same key with the same parameters gets the first answer
again, with other parameters a 400, and while the first request is under way a 409. It turns tokens
into payment methods, searches PaymentIntents by metadata, lists balance transactions by time, and
refuses captures of what is not held, refunds of more than was captured, and cancellations of what
has ended. What a capture leaves is released, where localstripe refunds it. Disputes are those of
stripe_disputes.py; what is disputed is not refunded.
"""

import http.client
import json
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from stripe_disputes import DisputeBook, DisputeRefused

SECRET_KEY = "sk_test_recordingproxy"

DECLINED_SOURCE = "pm_card_chargeCustomerFail"
"""A card that Stripe accepts and whose charges its issuer declines."""

PAYMENT_METHODS = {"tok_visa": "pm_card_visa", "tok_chargeDeclined": DECLINED_SOURCE}


class Fault(StrEnum):
    """What happens to a request instead of its answer."""

    REPLY_DROPPED = "reply dropped after processing"
    REPLY_DELAYED = "reply delayed past the time-out"
    ERROR_AFTER = "500 after processing"
    RATE_LIMITED = "429"
    RESET_BEFORE = "reset before processing"
    RESET_AFTER = "reset after processing"
    GARBAGE = "garbage after processing"
    SLOW_BODY = "slow body after processing"


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    is_replayed: bool = False

    @property
    def data(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    """With the query."""
    body: bytes
    key: str | None
    """The Idempotency-Key."""

    @property
    def route(self) -> str:
        """Method and path, with ids replaced by {id}."""
        path = re.sub(r"/(pi|re|ch|du)_\w+", "/{id}", urlsplit(self.path).path)
        return f"{self.method} {path}"


FaultPlan = Callable[[Request], Fault | None]


def no_fault(request: Request) -> None:
    """Every request is answered."""


def ignore(request: Request) -> None:
    """Nothing follows."""


@dataclass
class RecordingProxy:
    """`plan` decides about each request from Atomic; `on_processed` is called after Stripe has
    processed it and before its answer."""

    stripe_port: int
    url: str = ""
    """That Atomic calls."""
    plan: FaultPlan = no_fault
    on_processed: Callable[[Request], None] = ignore
    requests: list[Request] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    """Ends what is delayed or slow."""
    disputes: DisputeBook = field(init=False)
    former_lines: frozenset[str] = frozenset()
    """Balance transactions of earlier tests, which are not listed."""
    _answers: dict[str, tuple[bytes, Answer | None]] = field(default_factory=dict)
    """By key: the first request, and its answer; None while it is under way."""
    _intent_ids: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """By the payment in their metadata. A list of localstripe's takes as long as 40 reads."""
    _lines: Sequence[Any] = ()
    _sources: dict[str, Any] = field(default_factory=dict)
    """Balance transactions, and PaymentIntents, charges and refunds by id, as of the last first
    page: to read each of them again takes a second and more per page."""
    _redirected: set[str] = field(default_factory=set)
    """PaymentIntents with a return_url."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _rules: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.disputes = DisputeBook(self._retrieve_intent)

    def list_routes(self) -> list[str]:
        return [request.route for request in self.requests]

    def answer(self, request: Request, fault: Fault | None) -> Answer:
        """The answer under the rules of Idempotency-Keys. A 500 after processing is what the key
        then remembers, as Stripe documents it."""
        if request.key is None or request.method != "POST":
            return self._process(request)
        content = request.path.encode() + b"\0" + request.body
        with self._lock:
            if request.key in self._answers:
                first, answer = self._answers[request.key]
                if first != content:
                    return build_error(400, "idempotency_error", "key used with other parameters")
                if answer is None:
                    code = "idempotency_key_in_use"
                    return build_error(409, "idempotency_error", "in progress", code)
                return Answer(answer.status, answer.body, is_replayed=True)
            self._answers[request.key] = (content, None)
        answer = self._process(request)
        if fault is Fault.ERROR_AFTER:
            answer = build_error(500, "api_error", "An unknown error occurred")
        with self._lock:
            self._answers[request.key] = (content, answer)
        return answer

    def forget_keys(self) -> None:
        """As Stripe does after 24 hours at least."""
        with self._lock:
            self._answers.clear()

    def ask(self, method: str, path: str, **params: object) -> Any:
        """A request of the test, which bypasses keys and faults."""
        body = urlencode(params).encode()
        answer = self._process(Request(method, path, body, None))
        assert answer.status == 200, answer
        return answer.data

    def list_all(self, kind: str) -> Sequence[Any]:
        """All objects of a kind, such as payment_intents."""
        return self._forward(Request("GET", f"/v1/{kind}?limit=100000", b"", None)).data["data"]

    def find_intents(self, payment_id: str) -> Sequence[Any]:
        """The PaymentIntents that were created for a payment through this proxy."""
        return [self._retrieve_intent(id) for id in self._intent_ids.get(payment_id, ())]

    def open_dispute(self, intent_id: str) -> Any:
        """The customer disputes what is left of a payment. None if nothing is left."""
        with self._rules:
            intent = self._retrieve_intent(intent_id)
            left = compute_net(intent)
            if left == 0 or self.disputes.is_disputed(intent_id):
                return None
            return self.disputes.open(intent, left)

    def _process(self, request: Request) -> Answer:
        url = urlsplit(request.path)
        if url.path.startswith("/v1/disputes"):
            return self._answer_of_dispute(request, url.path, url.query)
        if url.path == "/v1/payment_intents/search":
            return self._search(parse_qs(url.query)["query"][0])
        if url.path == "/v1/balance_transactions":
            return self._list_balance(parse_qs(url.query))
        if request.method != "POST":
            return self._add_amount_received(self._forward(request))
        with self._rules:
            if refusal := self._refuse(request, url.path):
                return refusal
            answer = self._forward(_translate(request))
            if url.path == "/v1/payment_intents":
                self._remember_intent(request, answer)
                if b"return_url=" in request.body and answer.status == 200:
                    self._redirected.add(answer.data["id"])
            return self._redirect(answer)

    def _answer_of_dispute(self, request: Request, path: str, query: str) -> Answer:
        params = dict(parse_qsl(query if request.method == "GET" else request.body.decode()))
        try:
            found = self.disputes.answer(request.method, path, params)
        except KeyError:
            return build_error(404, "invalid_request_error", "No such dispute", "resource_missing")
        except DisputeRefused:
            return build_error(400, "invalid_request_error", "This dispute is already closed")
        return Answer(200, json.dumps(found).encode())

    def _search(self, query: str) -> Answer:
        match = re.fullmatch(r"metadata\['(\w+)'\]:'([^']*)'", query)
        assert match, query
        name, value = match.groups()
        assert name == "atomic_payment"
        found = self.find_intents(value)
        result = {"object": "search_result", "has_more": False, "data": found, "url": "/search"}
        return Answer(200, json.dumps(result).encode())

    def _list_balance(self, query: Mapping[str, list[str]]) -> Answer:
        """Expanded for one page only: localstripe takes seconds to expand a thousand lines."""
        after, until = int(query["created[gte]"][0]), int(query["created[lt]"][0])
        if "starting_after" not in query:
            kinds = ("payment_intents", "charges", "refunds")
            self._sources = {one["id"]: one for kind in kinds for one in self.list_all(kind)}
            self._lines = self.list_lines()
        listed = [
            line
            for line in self._lines
            if after <= line["created"] < until and line["id"] not in self.former_lines
        ]
        ids = [line["id"] for line in listed]
        start = ids.index(query["starting_after"][0]) + 1 if "starting_after" in query else 0
        end = start + int(query["limit"][0])
        lines = [
            {**line, "source": self._expand_source(line["source"])} for line in listed[start:end]
        ]
        page = {"object": "list", "data": lines, "has_more": end < len(listed)}
        return Answer(200, json.dumps({**page, "url": "/v1/balance_transactions"}).encode())

    def list_lines(self) -> Sequence[Any]:
        """All balance transactions, the newest first."""
        refunds = {refund["id"]: refund for refund in self.list_all("refunds")}
        lines = _release_what_captures_leave(self.list_all("balance_transactions"), refunds)
        every = [*self.disputes.list_lines(), *lines]
        return sorted(every, key=lambda line: (line["created"], line["id"]), reverse=True)

    def _expand_source(self, id: str) -> Any:
        if id in self.disputes.documents:
            return self.disputes.expand(self.disputes.documents[id])
        # A line may be newer than the sources.
        source = self._sources.get(id) or self._retrieve(
            f"refunds/{id}" if id.startswith("re_") else f"charges/{id}"
        )
        intent_id = source["payment_intent"]
        intent = self._sources.get(intent_id) or self._retrieve_intent(intent_id)
        return {**source, "payment_intent": intent}

    def _retrieve(self, path: str) -> Any:
        return self._forward(Request("GET", f"/v1/{path}", b"", None)).data

    def _add_amount_received(self, answer: Answer) -> Answer:
        """To a PaymentIntent: what was captured of it."""
        if answer.status != 200 or answer.data.get("object") != "payment_intent":
            return answer
        intent = answer.data
        received = self._measure_received(intent)
        return self._redirect(Answer(200, json.dumps({**intent, **received}).encode()))

    def _redirect(self, answer: Answer) -> Answer:
        """As Stripe does for a PaymentIntent with a return_url, which localstripe does not know."""
        intent = answer.data if answer.status == 200 else {}
        if intent.get("id") not in self._redirected or not intent["next_action"]:
            return answer
        url = f"https://hooks.stripe.example/redirect/{intent['id']}"
        action = {"type": "redirect_to_url", "redirect_to_url": {"url": url}}
        return Answer(200, json.dumps({**intent, "next_action": action}).encode())

    def _measure_received(self, intent: Any) -> Mapping[str, int]:
        charge = intent["latest_charge"]
        if charge is None or not charge["captured"] or charge["status"] != "succeeded":
            return {"amount_received": 0}
        if not charge["amount_refunded"]:
            return {"amount_received": charge["amount"]}
        path = f"/v1/refunds?charge={charge['id']}&limit=100"
        refunds = self._forward(Request("GET", path, b"", None)).data["data"]
        left = sum(refund["amount"] for refund in refunds if not refund["payment_intent"])
        return {"amount_received": charge["amount"] - left}

    def _remember_intent(self, request: Request, answer: Answer) -> None:
        payment_id = dict(parse_qsl(request.body.decode())).get("metadata[atomic_payment]")
        if payment_id is None or ("error" in answer.data and "charge" not in answer.data["error"]):
            return
        if answer.status == 200:
            intent_id = answer.data["id"]
        else:
            # localstripe's error names the charge only.
            charge = Request("GET", f"/v1/charges/{answer.data['error']['charge']}", b"", None)
            intent_id = self._forward(charge).data["payment_intent"]
        self._intent_ids[payment_id].append(intent_id)

    def _refuse(self, request: Request, path: str) -> Answer | None:
        """What Stripe refuses and localstripe does not."""
        unexpected = "payment_intent_unexpected_state"
        if match := re.fullmatch(r"/v1/payment_intents/(pi_\w+)/(capture|cancel)", path):
            intent = self._retrieve_intent(match[1])
            if match[2] == "capture" and intent["status"] != "requires_capture":
                return build_error(400, "invalid_request_error", "not capturable", unexpected)
            if match[2] == "cancel" and intent["status"] in ("succeeded", "canceled"):
                return build_error(400, "invalid_request_error", "not cancelable", unexpected)
        if path == "/v1/refunds":
            params = dict(parse_qsl(request.body.decode()))
            if self.disputes.is_disputed(params["payment_intent"]):
                disputed = "charged back"
                return build_error(400, "invalid_request_error", disputed, "charge_disputed")
            left = compute_net(self._retrieve_intent(params["payment_intent"]))
            amount = int(params.get("amount", left))
            if not 0 < amount <= left:
                code = "charge_already_refunded" if left == 0 else None
                return build_error(400, "invalid_request_error", "not refundable", code)
        return None

    def _retrieve_intent(self, id: str) -> Any:
        request = Request("GET", f"/v1/payment_intents/{id}", b"", None)
        return self._add_amount_received(self._forward(request)).data

    def _forward(self, request: Request) -> Answer:
        with closing(http.client.HTTPConnection("localhost", self.stripe_port)) as connection:
            headers = {
                "Authorization": f"Bearer {SECRET_KEY}",
                "Content-Type": "application/x-www-form-urlencoded",
            }
            connection.request(request.method, request.path, request.body, headers)
            reply = connection.getresponse()
            return Answer(reply.status, reply.read())


def _release_what_captures_leave(lines: Sequence[Any], refunds: Mapping[str, Any]) -> Sequence[Any]:
    """Without the refunds that localstripe makes of what a capture leaves: they belong to no
    PaymentIntent."""
    releases = {id: refund for id, refund in refunds.items() if not refund["payment_intent"]}
    left: dict[str, int] = defaultdict(int)
    for refund in releases.values():
        left[refund["charge"]] += refund["amount"]
    return [
        {**line, "amount": line["amount"] - left[line["source"]]}
        for line in lines
        if line["source"] not in releases
    ]


def compute_net(intent: Mapping[str, Any]) -> int:
    """What Stripe has taken and not given back, in its minor units; localstripe releases what a
    capture leaves as a refund."""
    charge = intent["latest_charge"]
    if intent["status"] == "canceled" or charge is None or charge["status"] != "succeeded":
        return 0
    return charge["amount"] - charge["amount_refunded"] if charge["captured"] else 0


def compute_held(intent: Mapping[str, Any]) -> int:
    return intent["amount"] if intent["status"] == "requires_capture" else 0


def _translate(request: Request) -> Request:
    """Without what localstripe does not know. As Stripe does: a token becomes a payment method."""
    params = dict(parse_qsl(request.body.decode()))
    return_url = params.pop("return_url", None)
    token = params.pop("payment_method_data[card][token]", None)
    if token is None and return_url is None:
        return request
    if token is not None:
        params.pop("payment_method_data[type]")
        params["payment_method"] = PAYMENT_METHODS.get(token, token)
    return Request(request.method, request.path, urlencode(params).encode(), request.key)


def build_error(status: int, type: str, message: str, code: str | None = None) -> Answer:
    """An error as Stripe words it."""
    error = {"type": type, "message": message, **({"code": code} if code else {})}
    return Answer(status, json.dumps({"error": error}).encode())
