"""Calls of the card network for one batch of claims, with a verdict for each of them."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, NamedTuple

from atomic_core.domain.card_networks import NetworkResponse, NetworkState, Verdict
from atomic_core.domain.payments import Step
from atomic_core.domain.settlement import Claim
from atomic_core.ports.card_network import CardNetwork

MAX_FAILED_CALLS: Final = 32
"""Calls per batch that may raise before its other claims are left for the next attempt. Isolating
one claim of 10,000 by halving takes 14, so that two such claims are isolated at once."""

IN_DOUBT_GROUP: Final = 1_024
"""The most claims in doubt per call; an eighth of it after each further call without an answer,
down to a single claim, so that a claim on which a call hangs does not delay others for ever."""

NO_ANSWER: Final = NetworkResponse(Verdict.UNKNOWN, is_answered=False)

CalledClaim = tuple[Claim, NetworkResponse | None]
"""A claim and the card network's response to it; None if the network was not called for it."""

Call = Callable[[Sequence[Claim]], Sequence[NetworkResponse]]


@dataclass(frozen=True, slots=True)
class NetworkError:
    """An exception of a call. Its claims are in doubt, or have been called again in smaller
    groups."""

    method: str
    claims: int
    error: Exception


class NetworkCall(NamedTuple):
    """A call that was made, for metrics."""

    method: str
    claims: int
    seconds: float
    responses: Sequence[NetworkResponse]
    """Empty if the call raised."""


@dataclass(slots=True)
class NetworkCalls:
    """The calls for one batch. No further call begins when they have taken `budget`: the claims
    that are left are due again soon."""

    card_network: CardNetwork
    budget: timedelta
    errors: list[NetworkError] = field(default_factory=list)
    calls: list[NetworkCall] = field(default_factory=list)
    _start: float = field(default_factory=time.monotonic)

    def call(self, claims: Sequence[Claim]) -> Sequence[CalledClaim]:
        """Call the network for each claim; return them in order, which is that of their postings.
        Never raises: what a call raises is in `errors`, and its claims are UNKNOWN."""
        if len(claims) == 0:
            return []
        groups = _group_claims(claims, answers_apart=self.card_network.answers_claims_apart)
        if len(groups) == 1:
            [(method, group)] = groups
            return self._call_group(method, group)
        responses = {
            claim.id: response
            for method, group in groups
            for claim, response in self._call_group(method, group)
        }
        return [(claim, responses[claim.id]) for claim in claims]

    def _call_group(self, method: str, claims: Sequence[Claim]) -> Sequence[CalledClaim]:
        """Call the network once for all claims. If that raises, call it for each half by itself,
        down to the single claim that it fails on: one bad claim does not leave the others in
        doubt."""
        if self._is_exhausted():
            return [(claim, None) for claim in claims]
        call: Call = getattr(self.card_network, method)
        start = time.monotonic()
        responses: Sequence[NetworkResponse] = ()
        try:
            responses = call(claims)
            return list(zip(claims, responses, strict=True))
        except Exception as error:  # noqa: BLE001 - whatever an adapter raises is no answer
            self.errors.append(NetworkError(method, len(claims), error))
        finally:
            seconds = time.monotonic() - start
            self.calls.append(NetworkCall(method, len(claims), seconds, responses))
        if len(claims) == 1 or self._is_exhausted():
            return [(claim, NO_ANSWER) for claim in claims]
        middle = len(claims) // 2
        halves = (claims[:middle], claims[middle:])
        return [
            (claim, response or NO_ANSWER)
            for half in halves
            for claim, response in self._call_group(method, half)
        ]

    def _is_exhausted(self) -> bool:
        elapsed = time.monotonic() - self._start
        return elapsed >= self.budget.total_seconds() or len(self.errors) >= MAX_FAILED_CALLS


METHODS: Final[Mapping[Step | str, str]] = {
    Step.CHARGE: "authorize",
    Step.AUTHORIZE: "authorize",
    Step.CAPTURE: "capture",
    Step.VOID: "void",
    Step.EXPIRE: "void",
    Step.ABANDON: "reverse",
    Step.REVERSE: "reverse",
    Step.REFUND: "refund",
}
"""The method of CardNetwork for each step."""


def _group_claims(
    claims: Sequence[Claim], *, answers_apart: bool
) -> Sequence[tuple[str, Sequence[Claim]]]:
    """The claims of each call, in the order of the calls: what has not been tried comes first.
    `answers_apart`: whether the network answers each claim apart from the others of its call."""
    claims_by_call: dict[tuple[int, str], list[Claim]] = {}
    for claim in claims:
        # Most claims have no state: they skip the longer look.
        in_doubt = claim.faults if claim.network_state == NetworkState.UNKNOWN else -1
        is_inquiry = claim.awaits_customer or (in_doubt >= 0 and claim.needs_inquiry)
        method = "inquire" if is_inquiry else METHODS[claim.step]
        rank = -1 if answers_apart else in_doubt
        claims_by_call.setdefault((rank, method), []).append(claim)
    groups: list[tuple[str, Sequence[Claim]]] = []
    for (in_doubt, method), group in sorted(claims_by_call.items(), key=lambda item: item[0]):
        limit = len(group) if in_doubt < 0 else max(1, IN_DOUBT_GROUP >> (3 * in_doubt))
        groups += [(method, group[start : start + limit]) for start in range(0, len(group), limit)]
    return groups
