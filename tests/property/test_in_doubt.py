"""The engine against a model of a network that loses requests and answers, delivers requests late,
keeps errors under idempotency keys, forgets keys, and finds what it has done only after a while.
The worker may die at any moment. A payment ends as the network has it, and nothing is charged
twice."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from hypothesis import given, settings
from hypothesis import strategies as st

from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_adapters.networks.stripe.steps import REQUEST_DURATION, SEARCH_DELAY
from atomic_adapters.wiring import in_memory
from atomic_core.domain.card_networks import MAX_BACK_OFF, NetworkResponse, Verdict
from atomic_core.domain.payments import Payment, Status
from atomic_core.domain.settlement import NETWORK_UNAVAILABLE, Claim
from support import build_payment

KEY_LIFE = timedelta(hours=24)
MAX_ROUNDS = 1_000

APPROVED = NetworkResponse(Verdict.APPROVED, reference="pi_1")
DECLINED = NetworkResponse(Verdict.DECLINED, "card_declined", "pi_1")
UNKNOWN = NetworkResponse(Verdict.UNKNOWN)


class Fate(StrEnum):
    """Of one request, or of one inquiry."""

    ANSWERED = "answered"
    NOT_SENT = "not sent"
    REQUEST_LOST = "request lost"
    ANSWER_LOST = "answer lost"
    LATE = "processed minutes later, answer lost"
    ERROR_BEFORE = "an error instead of processing, kept under the key"
    ERROR_AFTER = "an error after processing, kept under the key"
    WORKER_DIES = "the worker dies before the answer"


class WorkerDied(BaseException):
    """Ends the claim without a settlement."""


@dataclass
class ManualClock:
    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


@dataclass
class ModelNetwork(SandboxCardNetwork):
    """Charges a card that is approved or declined, and answers by `fates`, then truly."""

    clock: ManualClock
    fates: list[Fate]
    is_approved: bool
    search_lag: timedelta
    late_by: timedelta
    charges: list[datetime] = field(default_factory=list)
    attempts: list[datetime] = field(default_factory=list)
    """When the card was charged or declined."""
    answers: dict[tuple[str, int], tuple[datetime, NetworkResponse]] = field(default_factory=dict)
    """By key: since when it is remembered, and the first answer."""
    under_way: dict[tuple[str, int], datetime] = field(default_factory=dict)
    """By key: when a late request is processed."""

    answers_claims_apart = True

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return [self._request(claim) for claim in claims]

    def inquire(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return [self._search(claim) for claim in claims]

    def _draw(self) -> Fate:
        return self.fates.pop(0) if self.fates else Fate.ANSWERED

    def _request(self, claim: Claim) -> NetworkResponse:
        self._land()
        key, fate = (str(claim.id), claim.key_generation), self._draw()
        if fate is Fate.NOT_SENT:
            return NetworkResponse(Verdict.NOT_SENT)
        if fate is Fate.REQUEST_LOST or key in self.under_way:
            return UNKNOWN
        if fate is Fate.LATE:
            if key not in self.answers:
                self.under_way[key] = self.clock.now() + self.late_by
            return UNKNOWN
        answer = self._process(key, fate, self.clock.now())
        if fate is Fate.WORKER_DIES:
            raise WorkerDied
        return UNKNOWN if fate is Fate.ANSWER_LOST else answer

    def _process(self, key: tuple[str, int], fate: Fate, now: datetime) -> NetworkResponse:
        since, answer = self.answers.get(key, (now, None))
        if answer is not None and now - since < KEY_LIFE:
            return answer
        if fate is not Fate.ERROR_BEFORE:
            self.attempts.append(now)
            if self.is_approved:
                self.charges.append(now)
        truth = APPROVED if self.is_approved else DECLINED
        is_error = fate in (Fate.ERROR_BEFORE, Fate.ERROR_AFTER)
        self.answers[key] = (now, UNKNOWN if is_error else truth)
        return self.answers[key][1]

    def _land(self) -> None:
        """Process what arrives late."""
        for key, at in list(self.under_way.items()):
            if at <= self.clock.now():
                del self.under_way[key]
                self._process(key, Fate.ANSWERED, at)

    def _search(self, claim: Claim) -> NetworkResponse:
        """As the adapter of Stripe decides."""
        self._land()
        if self._draw() is not Fate.ANSWERED:
            return UNKNOWN
        if any(at + self.search_lag <= self.clock.now() for at in self.attempts):
            return APPROVED if self.is_approved else DECLINED
        is_certain = claim.sent_for is not None and claim.sent_for >= SEARCH_DELAY
        return NetworkResponse(Verdict.NOT_FOUND) if is_certain else UNKNOWN


def settle_until_final(
    network: ModelNetwork, clock: ManualClock, pause: Callable[[], timedelta]
) -> Payment:
    application = in_memory(clock=clock, card_network=network)
    merchant = application.merchants.add("Shop")
    payment = application.payments.record(build_payment(merchant.id))
    for _ in range(MAX_ROUNDS):
        with suppress(WorkerDied):
            application.settlement.settle()
        current = application.payments.get(payment.merchant_id, payment.id)
        assert len(network.charges) <= 1, "charged twice"
        if current.status.is_settled:
            assert (current.status is Status.SUCCESS) is (len(network.charges) == 1)
            return current
        clock.time += pause()
    raise AssertionError(f"open after {MAX_ROUNDS} rounds")


@settings(max_examples=150, deadline=None)
@given(
    fates=st.lists(st.sampled_from(Fate), max_size=20),
    is_approved=st.booleans(),
    search_lag=st.timedeltas(timedelta(0), timedelta(hours=1)),
    late_by=st.timedeltas(timedelta(0), REQUEST_DURATION),
    pauses=st.lists(st.timedeltas(timedelta(0), timedelta(hours=30)), max_size=10),
)
def test_payment_ends_as_the_network_has_it(
    fates: list[Fate],
    is_approved: bool,
    search_lag: timedelta,
    late_by: timedelta,
    pauses: list[timedelta],
) -> None:
    clock = ManualClock()
    network = ModelNetwork(clock, fates, is_approved, search_lag, late_by)
    rest = list(pauses)
    payment = settle_until_final(network, clock, lambda: rest.pop(0) if rest else MAX_BACK_OFF)
    # What arrives late after the end would be a second charge, or one of a failed payment.
    clock.time += REQUEST_DURATION
    network._land()
    assert len(network.charges) == (payment.status is Status.SUCCESS)
    if payment.failure_reason != NETWORK_UNAVAILABLE:
        assert (payment.status is Status.SUCCESS) is is_approved
