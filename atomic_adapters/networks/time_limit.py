"""A time-out for every call of a card network, whatever its adapter does."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from atomic_core.domain.card_networks import NetworkResponse, Verdict
from atomic_core.domain.settlement import Claim
from atomic_core.ports.card_network import CardNetwork

MAX_ABANDONED_CALLS: Final = 8
"""Calls that have not returned after their time-out. Each keeps a thread, which Python cannot stop;
with more of them, no further call begins until one returns."""

Call = Callable[[Sequence[Claim]], Sequence[NetworkResponse]]


class NetworkTimeout(Exception):
    """The call did not return in time; the network may have processed it."""


@dataclass(slots=True)
class TimeLimitedCardNetwork:
    """Passes calls on, each in a thread of its own. Raises NetworkTimeout after `timeout`: the
    claims are then in doubt. If too many calls hang already, the claims are NOT_SENT."""

    card_network: CardNetwork
    timeout: timedelta
    _abandoned: set[Future[Sequence[NetworkResponse]]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def answers_claims_apart(self) -> bool:
        return self.card_network.answers_claims_apart

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._call(self.card_network.authorize, claims)

    def capture(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._call(self.card_network.capture, claims)

    def void(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._call(self.card_network.void, claims)

    def reverse(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._call(self.card_network.reverse, claims)

    def refund(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._call(self.card_network.refund, claims)

    def inquire(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._call(self.card_network.inquire, claims)

    def _call(self, call: Call, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        with self._lock:
            self._abandoned = {future for future in self._abandoned if not future.done()}
            if len(self._abandoned) >= MAX_ABANDONED_CALLS:
                return [NetworkResponse(Verdict.NOT_SENT)] * len(claims)
        future: Future[Sequence[NetworkResponse]] = Future()
        threading.Thread(
            target=_run, args=(future, call, claims), name="card-network", daemon=True
        ).start()
        try:
            return future.result(self.timeout.total_seconds())
        except TimeoutError as error:
            if future.done():
                # Raised by the adapter itself, or while the call returned at the last moment.
                return future.result()
            with self._lock:
                self._abandoned.add(future)
            raise NetworkTimeout(f"no answer within {self.timeout.total_seconds():g} s") from error


def _run(future: Future[Sequence[NetworkResponse]], call: Call, claims: Sequence[Claim]) -> None:
    try:
        future.set_result(call(claims))
    except BaseException as error:  # noqa: BLE001 - raised to the caller by the future
        future.set_exception(error)
