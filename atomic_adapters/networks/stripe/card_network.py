"""Stripe as a card network: one request per claim, side by side."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Final

import stripe
import structlog

from atomic_adapters.network_settings import StripeSettings
from atomic_adapters.networks.stripe.errors import (
    NO_ANSWER,
    NOT_BEGUN,
    UNKNOWN,
    classify_error,
    describe_error,
)
from atomic_adapters.networks.stripe.http_client import StripeHttpClient, time_limit
from atomic_adapters.networks.stripe.requests import StripeRequests
from atomic_adapters.networks.stripe.steps import (
    REQUEST_DURATION,
    SEARCH_DELAY,
    StripeSteps,
)
from atomic_core.domain.card_networks import NetworkResponse
from atomic_core.domain.settlement import Claim

SHARE_OF_TIMEOUT: Final = 0.9
"""Of the time-out of a call, for the requests of its claims: the rest is for collecting them."""

SHARE_TO_BEGIN: Final = 0.5
"""Of the time for requests: a claim that has waited longer for its turn is not sent in this call,
because it could hardly be answered in what is left."""

Action = Callable[[Claim], NetworkResponse]

_log = structlog.get_logger(__name__)


class StripeCardNetwork:
    """Every method returns before `timeout`, whatever Stripe does. Threads are started by the first
    call, so it can be built before a fork."""

    answers_claims_apart = True

    def __init__(
        self,
        settings: StripeSettings,
        timeout: timedelta,
        search_delay: timedelta = SEARCH_DELAY,
        request_duration: timedelta = REQUEST_DURATION,
    ) -> None:
        # It would send the operating system's name and a random id, and keep that id in a file.
        stripe.enable_telemetry = False
        self._http_client = StripeHttpClient(settings.concurrency)
        client = stripe.StripeClient(
            settings.secret_key,
            http_client=self._http_client,
            base_addresses={"api": settings.api_base},
            max_network_retries=0,
        )
        self._steps = StripeSteps(
            StripeRequests(client, settings.return_url), search_delay, request_duration
        )
        self._seconds = timeout.total_seconds() * SHARE_OF_TIMEOUT
        self._threads = ThreadPoolExecutor(settings.concurrency, thread_name_prefix="stripe")

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._call_for_each("authorize", self._steps.authorize, claims)

    def capture(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._call_for_each("capture", self._steps.capture, claims)

    def void(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._call_for_each("void", self._steps.void, claims)

    def reverse(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._call_for_each("reverse", self._steps.reverse, claims)

    def refund(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._call_for_each("refund", self._steps.refund, claims)

    def inquire(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._call_for_each("inquire", self._steps.inquire, claims)

    def close(self) -> None:
        """Wait for the requests under way, and close the connections."""
        self._threads.shutdown(cancel_futures=True)
        self._http_client.close()

    def _call_for_each(
        self, method: str, action: Action, claims: Sequence[Claim]
    ) -> Sequence[NetworkResponse]:
        deadline = time.monotonic() + self._seconds
        problems: Counter[str] = Counter()

        def respond(claim: Claim) -> NetworkResponse:
            if deadline - time.monotonic() < self._seconds * SHARE_TO_BEGIN:
                problems["not begun in time"] += 1
                return NOT_BEGUN
            with time_limit(deadline):
                try:
                    return action(claim)
                except Exception as error:  # noqa: BLE001 - whatever is not understood is no answer
                    response = classify_error(error, claim)
                    if not response.is_answered or response == UNKNOWN:
                        problems[describe_error(error)] += 1
                    return response

        futures = [self._threads.submit(respond, claim) for claim in claims]
        responses = [_collect(future, deadline) for future in futures]
        if problems:
            _log.warning(
                "stripe requests without an outcome",
                method=method,
                claims=len(claims),
                problems=dict(problems),
            )
        return responses


def _collect(future: Future[NetworkResponse], deadline: float) -> NetworkResponse:
    """The response, if it is there by the deadline. A request that trickles in can exceed its own
    time-out."""
    try:
        return future.result(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        return NOT_BEGUN if future.cancel() else NO_ANSWER
