"""A client that records each response, and retries with the same key until it has one."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fault.oracle import Merchant, Oracle, PaymentRequest
from processes import PAUSE, Client, Reply

RETRY_FOR_SECONDS: Final = 90
"""After this time a request with a key counts as never answered: three times the longest outage."""

RETRY_PAUSE_SECONDS: Final = 0.1
"""Shorter than Retry-After, so that requests arrive at every moment of an outage."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One HTTP request, as its client saw it."""

    started: float
    seconds: float
    method: str
    outcome: str
    """The status, or the name of the error."""


@dataclass
class RequestLog:
    """The attempts of all clients."""

    attempts: list[Attempt] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, attempt: Attempt) -> None:
        with self._lock:
            self.attempts.append(attempt)

    def list_started_since(self, started: float) -> list[Attempt]:
        """`started` is a time.monotonic()."""
        with self._lock:
            return [attempt for attempt in self.attempts if attempt.started >= started]

    def list_active_since(self, moment: float) -> list[Attempt]:
        """The attempts that ended at or after the moment, a time.monotonic()."""
        with self._lock:
            return [
                attempt for attempt in self.attempts if attempt.started + attempt.seconds >= moment
            ]


@dataclass(frozen=True, slots=True)
class RecordingClient:
    base_url: str
    oracle: Oracle
    request_log: RequestLog

    def send(
        self,
        merchant: Merchant,
        method: str,
        path: str,
        body: object = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply | None:
        """Return the response; None if the connection broke and a retry is not safe."""
        sent_headers = dict(headers or {})
        if key is not None:
            sent_headers["Idempotency_Key"] = key
        is_idempotent = method == "GET" or key is not None
        until = time.monotonic() + RETRY_FOR_SECONDS
        while time.monotonic() < until:
            reply, may_be_processed = self._try_once(merchant, method, path, body, sent_headers)
            if reply is not None and reply.status != 503:
                return reply
            if may_be_processed and not is_idempotent:
                return None
            PAUSE.wait(RETRY_PAUSE_SECONDS)
        details = f"{method} {path} {key}: no response in {RETRY_FOR_SECONDS} s"
        self.oracle.add_violation("response", details)
        return None

    def _try_once(
        self, merchant: Merchant, method: str, path: str, body: object, headers: Mapping[str, str]
    ) -> tuple[Reply | None, bool]:
        """Return the response, if any, and whether the request may have been processed."""
        started = time.monotonic()
        outcome, reply, may_be_processed = "", None, True
        try:
            reply = Client(self.base_url, merchant.api_key).request(method, path, body, **headers)
        except ConnectionRefusedError:
            outcome, may_be_processed = "refused", False
        except OSError as error:
            outcome = type(error).__name__
        else:
            outcome = str(reply.status)
            self._check_reply(reply, f"{method} {path[:60]}")
        self.request_log.add(Attempt(started, time.monotonic() - started, method, outcome))
        return reply, may_be_processed

    def _check_reply(self, reply: Reply, request: str) -> None:
        """Check what holds for every response."""
        is_allowed = reply.status < 500 or reply.status == 503
        self.oracle.check(
            "no-5xx-but-503", holds=is_allowed, details=f"{request}: {reply.raw[:300]!r}"
        )
        has_envelope = "X-Request-Id" in reply.headers and "meta" in json.loads(reply.raw)
        details = f"{request}: {reply.headers} {reply.raw[:300]!r}"
        self.oracle.check("envelope", holds=has_envelope, details=details)
        if reply.status == 503:
            has_retry_after = "Retry-After" in reply.headers
            self.oracle.check("Retry-After", holds=has_retry_after, details=request)

    def create_payment(self, request: PaymentRequest, key: str | None) -> Reply | None:
        self.oracle.add_payment_requests([request])
        reply = self.send(request.merchant, "POST", "/payments", request.body, key)
        self.record_reply(reply, [request], lambda data: [data])
        return reply

    def record_reply(
        self,
        reply: Reply | None,
        requests: Sequence[PaymentRequest],
        get_payments: Callable[[Any], Sequence[Mapping[str, Any]]],
    ) -> None:
        """`get_payments` returns the payments from the data of a 202."""
        if reply is None:
            self.oracle.record_lost(requests)
        elif reply.status == 202:
            for request, payment in zip(requests, get_payments(reply.data), strict=True):
                self.oracle.record_accepted(request, payment)
        else:
            self.oracle.record_refused(requests)
            details = f"{requests[0].token}: {reply.status} {reply.raw[:300]!r}"
            self.oracle.add_violation("response", details)
