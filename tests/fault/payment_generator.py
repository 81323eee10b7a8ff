"""Generators of load: they create, repeat and read payments and send invalid requests at random."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final
from uuid import UUID

from fault.http_client import RecordingClient
from fault.invalid_requests import INVALID_REQUESTS
from fault.network_books import LOSSY_SOURCE
from fault.oracle import (
    Acknowledgement,
    FirstResponse,
    Merchant,
    PaymentRequest,
    hash_response,
)
from processes import PAUSE

PAUSE_SECONDS: Final = 0.03
"""Average pause between two requests. Leaves most of a small machine to the processes under
test."""

BATCH_PAUSE_SECONDS: Final = 0.35

BATCH_SIZES: Final = (1, 2, 20, 100, 200, 300, 600)

CONCURRENT_DUPLICATES: Final = 4

MAX_REMEMBERED: Final = 300
"""How many first responses and payments a generator remembers, to repeat and read them."""

SOURCE_WEIGHTS: Final[Mapping[str, float]] = {
    "tok_visa": 50,
    "tok_mastercard": 30,
    "tok_chargeDeclined": 8,
    "tok_chargeDeclinedInsufficientFunds": 5,
    "tok_chargeDeclinedExpiredCard": 4,
    "tok_chargeDeclinedProcessingError": 1,
    LOSSY_SOURCE: 1,
}
"""The last one is retried for seconds. It is rare, or most open payments would be of this kind."""


@dataclass
class PaymentGenerator:
    name: str
    client: RecordingClient
    merchants: Sequence[Merchant]
    random: Random
    pause_seconds: float = PAUSE_SECONDS
    first_responses: list[FirstResponse] = field(default_factory=list)
    accepted_requests: list[PaymentRequest] = field(default_factory=list)
    balances: dict[UUID, int] = field(default_factory=dict)
    _request_count: int = 0

    def run(self, stop_requested: threading.Event) -> None:
        actions, weights = zip(*self.weight_actions(), strict=True)
        while not stop_requested.is_set():
            [act] = self.random.choices(actions, weights)
            act()
            PAUSE.wait(self.random.expovariate(1 / self.pause_seconds))

    def weight_actions(self) -> list[tuple[Callable[[], None], float]]:
        return [
            (self.create_with_key, 60),
            (self.create_without_key, 8),
            (self.create_concurrently_with_one_key, 4),
            (self.repeat, 10),
            (self.reuse_key, 4),
            (self.read_payment, 8),
            (self.read_balance, 4),
            (self.send_invalid_request, 6),
        ]

    def build_request(self) -> PaymentRequest:
        self._request_count += 1
        merchant = self.random.choice(self.merchants)
        [source] = self.random.choices(tuple(SOURCE_WEIGHTS), tuple(SOURCE_WEIGHTS.values()))
        currency = self.random.choice(tuple(merchant.account_ids))
        token = f"{self.name}-{self._request_count}"
        return PaymentRequest(token, merchant, self.random.randint(1, 100_000), currency, source)

    def create_with_key(self) -> None:
        request = self.build_request()
        reply = self.client.create_payment(request, request.token)
        if reply is not None and reply.status == 202:
            self._remember([request], "/payments", request.body, request.token, reply.raw)

    def create_without_key(self) -> None:
        request = self.build_request()
        self.client.create_payment(request, None)
        if request.acknowledgement is Acknowledgement.ACCEPTED:
            self.accepted_requests.append(request)

    def create_concurrently_with_one_key(self) -> None:
        """Concurrent duplicates create one payment, and all get the same bytes."""
        request = self.build_request()
        with ThreadPoolExecutor(CONCURRENT_DUPLICATES) as threads:
            futures = [
                threads.submit(self.client.create_payment, request, request.token)
                for _ in range(CONCURRENT_DUPLICATES)
            ]
        replies = [reply for future in futures if (reply := future.result()) is not None]
        bodies = {reply.raw for reply in replies}
        self._check("I7", len(bodies) == 1, f"{request.token}, concurrent duplicates: {bodies}")
        self._remember([request], "/payments", request.body, request.token, replies[0].raw)

    def repeat(self) -> None:
        """A repeated request gets the first response, byte for byte."""
        if not self.first_responses:
            return
        first = self.random.choice(self.first_responses)
        reply = self.client.send(first.merchant, "POST", first.path, first.body, first.key)
        if reply is None:
            return
        is_same = reply.status == 202 and hash_response(reply.raw) == first.response_hash
        self._check("I7", is_same, f"{first.key} repeated: {reply.status} {reply.raw[:300]!r}")
        is_replay = reply.headers.get("Idempotent-Replayed") == "true"
        self._check("I7", is_replay, f"{first.key} repeated: {reply.headers}")

    def reuse_key(self) -> None:
        """A key with another body is refused, and the request has no effect."""
        if not self.first_responses:
            return
        first = self.random.choice(self.first_responses)
        request = self.build_request()
        request.merchant = first.merchant
        self.client.oracle.add_payment_requests([request])
        reply = self.client.send(first.merchant, "POST", "/payments", request.body, first.key)
        if reply is not None:
            self.client.oracle.record_refused([request])
            self._check("I7", reply.status == 422, f"{first.key} reused: {reply.status}")

    def read_payment(self) -> None:
        if not self.accepted_requests:
            return
        request = self.random.choice(self.accepted_requests)
        reply = self.client.send(request.merchant, "GET", f"/payments/{request.payment_id}")
        if reply is None:
            return
        if self._check("I9", reply.status == 200, f"GET of {request.token}: {reply.status}"):
            self.client.oracle.check_read(request, reply.data["payment"])

    def read_balance(self) -> None:
        """An account that is only credited never has a lower balance than before."""
        merchant = self.random.choice(self.merchants)
        account_id = merchant.account_ids[self.random.choice(tuple(merchant.account_ids))]
        reply = self.client.send(merchant, "GET", f"/accounts/{account_id}")
        if reply is None:
            return
        if self._check("I9", reply.status == 200, f"GET of account {account_id}: {reply.status}"):
            before, now = self.balances.get(account_id, 0), reply.data["balance"]
            self._check("I2", now >= before, f"account {account_id} fell from {before} to {now}")
            self.balances[account_id] = now

    def send_invalid_request(self) -> None:
        invalid = self.random.choice(INVALID_REQUESTS)
        merchant = self.random.choice(self.merchants)
        reply = self.client.send(
            merchant, invalid.method, invalid.path, invalid.body, headers=invalid.headers
        )
        if reply is not None:
            is_refused = reply.status == invalid.status
            self._check("invalid-request", is_refused, f"{invalid.description}: {reply.status}")

    def _remember(
        self, requests: Sequence[PaymentRequest], path: str, body: Any, key: str, raw: bytes
    ) -> None:
        first = FirstResponse(path, body, key, requests[0].merchant, hash_response(raw))
        self.first_responses.append(first)
        self.accepted_requests.extend(requests)
        del self.first_responses[:-MAX_REMEMBERED]
        del self.accepted_requests[:-MAX_REMEMBERED]

    def _check(self, invariant: str, holds: bool, details: str) -> bool:
        return self.client.oracle.check(invariant, holds=holds, details=details)


@dataclass
class BatchGenerator(PaymentGenerator):
    """Creates batches: with a key for the whole batch, and half of them with one per item too."""

    pause_seconds: float = BATCH_PAUSE_SECONDS

    def weight_actions(self) -> list[tuple[Callable[[], None], float]]:
        return [
            (self.create_batch, 85),
            (self.repeat, 8),
            (self.create_batch_with_invalid_item, 7),
        ]

    def create_batch(self) -> None:
        requests = self._build_requests_of_one_merchant()
        key = f"{requests[0].token}-batch"
        has_item_keys = self.random.random() < 0.5
        body = {"payments": [self._build_item(request, has_item_keys) for request in requests]}
        self.client.oracle.add_payment_requests(requests)
        reply = self.client.send(requests[0].merchant, "POST", "/payments/batch", body, key)
        self.client.record_reply(reply, requests, lambda data: data["payments"])
        if reply is not None and reply.status == 202:
            self._remember(requests, "/payments/batch", body, key, reply.raw)

    def create_batch_with_invalid_item(self) -> None:
        """One invalid item refuses the whole batch."""
        requests = self._build_requests_of_one_merchant()
        items: list[dict[str, object]] = [request.body for request in requests]
        self.random.choice(items)["amount"] = 0
        self.client.oracle.add_payment_requests(requests)
        reply = self.client.send(
            requests[0].merchant,
            "POST",
            "/payments/batch",
            {"payments": items},
            f"{requests[0].token}-invalid",
        )
        if reply is not None:
            self.client.oracle.record_refused(requests)
            details = f"a batch with an invalid item: {reply.status}"
            self._check("invalid-request", reply.status == 400, details)

    def _build_requests_of_one_merchant(self) -> list[PaymentRequest]:
        requests = [self.build_request() for _ in range(self.random.choice(BATCH_SIZES))]
        for request in requests:
            request.merchant = requests[0].merchant
        return requests

    def _build_item(self, request: PaymentRequest, has_item_keys: bool) -> dict[str, object]:
        return request.body | ({"idempotencyKey": request.token} if has_item_keys else {})
