"""Generates ledger transactions of one merchant: posted, reserved, reversed, alone, together and in
batches. Reservations that it drops expire."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fault.ledger_model import LedgerRequest
from fault.oracle import Merchant, PaymentRequest
from fault.payment_generator import MAX_REMEMBERED, PaymentGenerator
from processes import Reply

PATH: Final = "/ledger/transactions"

ACCOUNTS: Final = 4
"""Few, so that concurrent transactions meet in them."""

CONCURRENT_POSTS: Final = 6

BATCH_SIZES: Final = (1, 5, 40, 200)

PENDING_SECONDS: Final = 4
"""Short, so that some reservations expire, some of them while they are posted."""

FUNDS: Final = 100_000


@dataclass
class LedgerGenerator(PaymentGenerator):
    account_ids: list[str] = field(default_factory=list)
    pending_requests: list[LedgerRequest] = field(default_factory=list)
    posted_requests: list[LedgerRequest] = field(default_factory=list)
    _key_count: int = 0

    @property
    def merchant(self) -> Merchant:
        return self.merchants[0]

    def weight_actions(self) -> list[tuple[Callable[[], None], float]]:
        return [
            (self.fund, 4),
            (self.post, 30),
            (self.post_concurrently, 12),
            (self.post_batch, 8),
            (self.reserve, 16),
            (self.end, 16),
            (self.post_and_void_concurrently, 6),
            (self.reverse, 6),
            (self.reverse_concurrently, 4),
            (self.repeat_first, 8),
            (self.send_invalid_batch, 2),
        ]

    def fund(self) -> None:
        """Payments go to the merchant's oldest account."""
        self._request_count += 1
        token = f"{self.name}-{self._request_count}"
        request = PaymentRequest(token, self.merchant, FUNDS, "USD", "tok_visa")
        self.client.create_payment(request, token)

    def post(self) -> None:
        self._post(self._build_request())

    def post_concurrently(self) -> None:
        """They are posted together. One of them has the key of another."""
        requests = [self._build_request() for _ in range(CONCURRENT_POSTS)]
        replies = self._run_together([lambda r=r: self._post(r) for r in [*requests, requests[0]]])
        first, *_, last = replies
        # Of two refused ones the later can be accepted: the key stays unused.
        if first is not None and last is not None and first.status == last.status == 201:
            self._check("I7", first.raw == last.raw, f"{requests[0].token} has two responses")

    def post_batch(self) -> None:
        requests = [self._build_request() for _ in range(self.random.choice(BATCH_SIZES))]
        is_atomic = self.random.random() < 0.5
        body = {"transactions": [request.body for request in requests], "atomic": is_atomic}
        self.client.oracle.ledger.add(requests)
        reply = self._send("POST", f"{PATH}/batch", body, f"{requests[0].token}-batch")
        if reply is None:
            return
        if reply.status == 422 and is_atomic:
            for request in requests:
                request.is_refused = True
            return
        if not self._check("response", reply.status == 201, f"a batch: {reply.raw[:300]!r}"):
            return
        results = reply.data["results"]
        for request, result in zip(requests, results, strict=True):
            self._record(request, result["status"], result["transaction"], result["error"])
        statuses = {result["status"] for result in results}
        self._check("atomic", not is_atomic or statuses == {201}, f"an atomic batch: {statuses}")

    def reserve(self) -> None:
        request = self._build_request()
        request.expires_at = datetime.now(UTC) + timedelta(seconds=PENDING_SECONDS)
        self._post(request)
        if request.transaction_id:
            self.pending_requests.append(request)
            # Those that are dropped here expire.
            del self.pending_requests[:-MAX_REMEMBERED]

    def end(self) -> None:
        if self.pending_requests:
            request = self._take(self.pending_requests)
            self._end(request, self.random.choice([self._post_pending, self._void]))

    def post_and_void_concurrently(self) -> None:
        """At most one of both and, now and then, expiry succeeds."""
        if not self.pending_requests:
            return
        request = self._take(self.pending_requests)
        self._run_together(
            [lambda end=end: self._end(request, end) for end in (self._post_pending, self._void)]
        )
        details = f"{request.token} ended as {request.ends}"
        self._check("one-winner", len(request.ends) <= 1, details)

    def reverse(self) -> None:
        if self.posted_requests:
            self._reverse(self._take(self.posted_requests))

    def reverse_concurrently(self) -> None:
        if self.posted_requests:
            request = self._take(self.posted_requests)
            self._run_together([lambda: self._reverse(request)] * 3)
            details = f"{request.token} is reversed by {request.reversal_ids}"
            self._check("one-winner", len(request.reversal_ids) <= 1, details)

    def repeat_first(self) -> None:
        """A repeated request gets the first response, byte for byte."""
        if not self.posted_requests:
            return
        request = self.random.choice(self.posted_requests)
        if request.first_response:
            reply = self._send("POST", PATH, request.body, request.token)
            is_same = reply is None or reply.raw == request.first_response
            self._check("I7", is_same, f"{request.token} repeated: {reply and reply.raw[:300]!r}")

    def send_invalid_batch(self) -> None:
        request = self._build_request()
        self.client.oracle.ledger.add([request])
        invalid = {"entries": [{"accountId": self.account_ids[0], "amount": "1"}]}
        body = {"transactions": [request.body, invalid]}
        reply = self._send("POST", f"{PATH}/batch", body, f"{request.token}-invalid")
        if reply is not None:
            request.is_refused = True
            self._check("invalid-request", reply.status == 400, f"a batch: {reply.status}")

    def _build_request(self) -> LedgerRequest:
        self._open_accounts()
        self._request_count += 1
        source, target = self.random.sample(self.account_ids, 2)
        amount = self.random.randint(1, 20_000)
        entries = ((source, -amount), (target, amount))
        return LedgerRequest(f"{self.name}-{self._request_count}", self.merchant.id, entries)

    def _open_accounts(self) -> None:
        if not self.account_ids:
            self.account_ids.append(str(self.merchant.account_ids["USD"]))
        while len(self.account_ids) < ACCOUNTS:
            number = len(self.account_ids)
            body = {"name": f"Account {number}", "currency": "USD"}
            reply = self._send("POST", "/accounts", body, f"{self.name}-account{number}")
            if reply is not None and reply.status == 201:
                self.account_ids.append(reply.data["id"])

    def _post(self, request: LedgerRequest) -> Reply | None:
        self.client.oracle.ledger.add([request])
        reply = self._send("POST", PATH, request.body, request.token)
        if reply is not None:
            content = json.loads(reply.raw)
            self._record(request, reply.status, content.get("data"), content.get("error"))
            request.first_response = reply.raw if reply.status == 201 else b""
        return reply

    def _record(
        self,
        request: LedgerRequest,
        status: int,
        transaction: Mapping[str, Any] | None,
        error: Mapping[str, Any] | None,
    ) -> None:
        if transaction is not None:
            is_same = request.transaction_id in ("", transaction["id"])
            self._check("I7", is_same, f"{request.token} has two ids")
            request.transaction_id, request.is_refused = transaction["id"], False
            if not request.expires_at:
                self._remember_posted(request)
            return
        is_refusal = status == 422 and (error or {}).get("code") == "transaction_refused"
        # Of a pending one that was sent again after a long outage.
        is_refusal |= status == 400 and list((error or {}).get("details", ())) == ["expiresAt"]
        if self._check("response", is_refusal, f"{request.token}: {status} {error}"):
            # A repeat after a refusal can succeed: the key stays unused.
            request.is_refused = not request.transaction_id

    def _remember_posted(self, request: LedgerRequest) -> None:
        self.posted_requests.append(request)
        del self.posted_requests[:-MAX_REMEMBERED]

    def _end(self, request: LedgerRequest, end: Callable[[LedgerRequest], Reply | None]) -> None:
        reply = end(request)
        if reply is None:
            return
        self._check("response", reply.status in (200, 409), f"{request.token}: {reply.raw[:300]!r}")
        if reply.status == 200:
            amounts = [entry["postedAmount"] for entry in reply.data["entries"]]
            request.ends.append((reply.data["status"], max(amounts)))
        if reply.status == 409:
            [status] = json.loads(reply.raw)["error"]["details"]["status"]
            details = f"{request.token}: 409 although it is PENDING"
            self._check("one-winner", status != "PENDING", details)

    def _post_pending(self, request: LedgerRequest) -> Reply | None:
        amount = self.random.randint(1, request.amount)
        body = {"amount": amount} if self.random.random() < 0.5 else {}
        return self._send("POST", f"{PATH}/{request.transaction_id}/post", body, self._new_key())

    def _void(self, request: LedgerRequest) -> Reply | None:
        return self._send("POST", f"{PATH}/{request.transaction_id}/void", {}, self._new_key())

    def _reverse(self, request: LedgerRequest) -> None:
        path = f"{PATH}/{request.transaction_id}/reverse"
        reply = self._send("POST", path, {}, self._new_key())
        if reply is None:
            return
        is_expected = reply.status in (201, 409, 422)
        self._check("response", is_expected, f"{request.token}: {reply.raw[:300]!r}")
        if reply.status == 201:
            request.reversal_ids.append(reply.data["id"])

    def _send(self, method: str, path: str, body: object, key: str) -> Reply | None:
        return self.client.send(self.merchant, method, path, body, key)

    def _new_key(self) -> str:
        self._key_count += 1
        return f"{self.name}-key{self._key_count}"

    def _take(self, requests: list[LedgerRequest]) -> LedgerRequest:
        return requests.pop(self.random.randrange(len(requests)))

    def _run_together(self, actions: Sequence[Callable[[], Any]]) -> list[Any]:
        with ThreadPoolExecutor(len(actions)) as threads:
            return [run.result() for run in [threads.submit(action) for action in actions]]
