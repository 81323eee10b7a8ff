"""Generates holds, captures, cancellations and refunds, alone and in conflict with each other.
Holds that it drops expire."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from fault.network_books import LOSSY_SOURCE
from fault.oracle import TERMINAL, PaymentRequest, RefundRequest
from fault.payment_generator import MAX_REMEMBERED, PaymentGenerator
from processes import Reply

HOLD_SOURCE_WEIGHTS: Final[Mapping[str, float]] = {
    "tok_visa": 70,
    "tok_chargeDeclined": 4,
    "tok_captureDeclined": 8,
    "tok_refundDeclined": 8,
    "tok_slow": 4,
    LOSSY_SOURCE: 12,
}

CONCURRENT_REFUNDS: Final = 4
"""Of one payment, 30 % each: at most three can succeed."""


@dataclass
class HoldGenerator(PaymentGenerator):
    held_requests: list[PaymentRequest] = field(default_factory=list)
    captured_requests: list[PaymentRequest] = field(default_factory=list)
    _key_count: int = 0

    def weight_actions(self) -> list[tuple[Callable[[], None], float]]:
        return [
            (self.create_hold, 40),
            (self.capture_or_cancel, 25),
            (self.capture_and_cancel_concurrently, 8),
            (self.refund, 20),
            (self.refund_too_much_concurrently, 4),
            (self.read_account, 5),
        ]

    def create_hold(self) -> None:
        request = self.build_request()
        request.is_manual_capture = True
        [request.source] = self.random.choices(
            tuple(HOLD_SOURCE_WEIGHTS), tuple(HOLD_SOURCE_WEIGHTS.values())
        )
        reply = self.client.create_payment(request, request.token)
        if reply is not None and reply.status == 202:
            self.held_requests.append(request)
            # The holds that are dropped here expire.
            del self.held_requests[:-MAX_REMEMBERED]

    def capture_or_cancel(self) -> None:
        if self.held_requests:
            request = self.random.choice(self.held_requests)
            (self._capture if self.random.random() < 0.7 else self._cancel)(request)
            self._drop_ended_holds()

    def capture_and_cancel_concurrently(self) -> None:
        """At most one of capture, cancellation and, now and then, expiry succeeds."""
        if not self.held_requests:
            return
        request = self.random.choice(self.held_requests)
        with ThreadPoolExecutor(2) as threads:
            futures = [threads.submit(send, request) for send in (self._capture, self._cancel)]
        for future in futures:
            future.result()
        is_both = request.captured_amount is not None and request.is_canceled
        self._check("one-winner", not is_both, f"{request.token} is captured and canceled")
        self._drop_ended_holds()

    def refund(self) -> None:
        if self.captured_requests:
            request = self.random.choice(self.captured_requests)
            max_amount = max(1, (request.captured_amount or 1) // 2)
            self._refund(request, self.random.randint(1, max_amount))

    def refund_too_much_concurrently(self) -> None:
        if not self.captured_requests:
            return
        request = self.random.choice(self.captured_requests)
        amount = max(1, (request.captured_amount or 1) * 3 // 10)
        with ThreadPoolExecutor(CONCURRENT_REFUNDS) as threads:
            futures = [
                threads.submit(self._refund, request, amount) for _ in range(CONCURRENT_REFUNDS)
            ]
        for future in futures:
            future.result()

    def read_account(self) -> None:
        merchant = self.random.choice(self.merchants)
        account_id = merchant.account_ids[self.random.choice(tuple(merchant.account_ids))]
        reply = self.client.send(merchant, "GET", f"/accounts/{account_id}")
        if reply is None:
            return
        account = reply.data
        available = account["balance"] - account["pending"]["out"]
        holds = account["available"] == available >= 0 and account["pending"]["in"] >= 0
        self._check("I3", holds, f"GET of account {account_id} returned {account}")

    def _capture(self, request: PaymentRequest) -> None:
        amount = self.random.randint(1, request.amount)
        reply = self._resolve(request, "capture", {"amount": amount})
        if reply is not None and reply.status == 202:
            request.captured_amount = amount
            self.captured_requests.append(request)
            del self.captured_requests[:-MAX_REMEMBERED]

    def _cancel(self, request: PaymentRequest) -> None:
        reply = self._resolve(request, "cancel", {"reason": "abandoned"})
        if reply is not None and reply.status == 202:
            request.is_canceled = True

    def _refund(self, request: PaymentRequest, amount: int) -> None:
        self._key_count += 1
        refund = RefundRequest(f"{request.token}-r{self._key_count}", request, amount)
        self.client.oracle.add_refund_request(refund)
        body = {"amount": amount, "reason": refund.token}
        path = f"/payments/{request.payment_id}/refunds"
        reply = self.client.send(request.merchant, "POST", path, body, refund.token)
        if reply is None:
            return
        is_expected = reply.status in (202, 409)
        self._check("response", is_expected, f"{refund.token}: {reply.raw[:300]!r}")
        if reply.status == 202:
            refund.is_accepted, refund.refund_id = True, reply.data["id"]

    def _resolve(
        self, request: PaymentRequest, action: str, body: Mapping[str, object]
    ) -> Reply | None:
        """Send a capture or a cancellation."""
        self._key_count += 1
        key = f"{request.token}-{action}{self._key_count}"
        path = f"/payments/{request.payment_id}/{action}"
        reply = self.client.send(request.merchant, "POST", path, body, key)
        if reply is None:
            return None
        self._check("response", reply.status in (202, 409), f"{key}: {reply.raw[:300]!r}")
        if reply.status == 409:
            [request.last_status] = json.loads(reply.raw)["error"]["details"]["status"]
            holds = request.last_status != "AUTHORIZED"
            self._check("one-winner", holds, f"{key}: 409 although the payment is AUTHORIZED")
        return reply

    def _drop_ended_holds(self) -> None:
        self.held_requests = [
            request
            for request in self.held_requests
            if request.captured_amount is None
            and not request.is_canceled
            and request.last_status not in TERMINAL
        ]
