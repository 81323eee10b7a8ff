"""The engine against a model of a network that loses requests and answers, delivers requests late,
keeps errors under idempotency keys, forgets keys, and finds what it has done only after a while.
The worker may die at any moment. A payment ends as the network has it, and nothing is charged
twice."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from hypothesis import example, given, settings
from hypothesis import strategies as st

from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_adapters.networks.stripe.steps import REQUEST_DURATION, SEARCH_DELAY
from atomic_adapters.wiring import in_memory
from atomic_core.domain.card_networks import (
    MAX_BACK_OFF,
    REDIRECT,
    NetworkResponse,
    NextAction,
    Verdict,
)
from atomic_core.domain.payments import DEFAULT_ACTION_PERIOD, Payment, Status, Step
from atomic_core.domain.settlement import NETWORK_UNAVAILABLE, Claim
from atomic_core.use_cases.holds import CancelRequest
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
@example(
    # As below, after a request that was not sent.
    fates=[Fate.NOT_SENT, Fate.WORKER_DIES, Fate.ANSWER_LOST],
    is_approved=True,
    search_lag=timedelta(0),
    late_by=timedelta(0),
    pauses=[timedelta(seconds=60), timedelta(hours=9), timedelta(hours=20)],
)
@example(
    fates=[Fate.WORKER_DIES, Fate.WORKER_DIES, Fate.ANSWER_LOST],
    is_approved=True,
    search_lag=timedelta(0),
    late_by=timedelta(0),
    pauses=[timedelta(hours=9), timedelta(hours=9), timedelta(hours=9)],
)
@example(
    # The network forgets the key of the first request, which two dead workers leave unrecorded.
    fates=[Fate.WORKER_DIES, Fate.WORKER_DIES],
    is_approved=True,
    search_lag=timedelta(0),
    late_by=timedelta(0),
    pauses=[timedelta(seconds=3_599), timedelta(seconds=82_801)],
)
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


@dataclass
class AuthenticatingNetwork(ModelNetwork):
    """Waits for a customer, who confirms some time after the first request that it has processed,
    or never."""

    confirms_after: timedelta | None = None
    awaited_since: datetime | None = None
    is_canceled: bool = False
    returned: int = 0

    @property
    def net(self) -> int:
        return len(self.charges) - self.returned

    def _process(self, key: tuple[str, int], fate: Fate, now: datetime) -> NetworkResponse:
        if fate is not Fate.ERROR_BEFORE and key not in self.answers:
            assert self.awaited_since is None, "two requests would be charged"
            self.awaited_since = now
            self.attempts.append(now)
        if key not in self.answers:
            is_error = fate in (Fate.ERROR_BEFORE, Fate.ERROR_AFTER)
            self.answers[key] = (now, UNKNOWN if is_error else APPROVED)
        if self.answers[key][1] is UNKNOWN:
            return UNKNOWN
        # As the adapter of Stripe: the first answer of a key says that there is a look-up to make.
        return self.judge()

    def judge(self) -> NetworkResponse:
        if self.is_canceled:
            return NetworkResponse(Verdict.DECLINED, "authentication_required", "pi_1")
        if self.awaited_since is None:
            return UNKNOWN
        after = self.confirms_after
        if after is None or self.clock.now() < self.awaited_since + after:
            action = NextAction(REDIRECT, "https://bank.example/")
            return NetworkResponse(Verdict.REQUIRES_ACTION, None, "pi_1", next_action=action)
        if self.is_approved and not self.charges:
            self.charges.append(self.awaited_since + after)
        return APPROVED if self.is_approved else DECLINED

    def _search(self, claim: Claim) -> NetworkResponse:
        if claim.step in (Step.REVERSE, Step.ABANDON):
            if self._draw() is not Fate.ANSWERED:
                return UNKNOWN
            self.judge()
            is_undone = self.is_canceled or self.returned
            return APPROVED if is_undone else NetworkResponse(Verdict.NOT_FOUND)
        if claim.network_reference is None and self.awaited_since is not None:
            found = super()._search(claim)
            return self.judge() if found.verdict in (Verdict.APPROVED, Verdict.DECLINED) else found
        if claim.network_reference is None:
            return super()._search(claim)
        return self.judge() if self._draw() is Fate.ANSWERED else UNKNOWN

    def reverse(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return [self._undo() for _ in claims]

    def _undo(self) -> NetworkResponse:
        fate = self._draw()
        if fate in (Fate.NOT_SENT, Fate.REQUEST_LOST, Fate.LATE, Fate.ERROR_BEFORE):
            return NetworkResponse(Verdict.NOT_SENT) if fate is Fate.NOT_SENT else UNKNOWN
        self.judge()
        if self.charges:
            self.returned = len(self.charges)
        else:
            self.is_canceled = True
        if fate is Fate.WORKER_DIES:
            raise WorkerDied
        return APPROVED if fate is Fate.ANSWERED else UNKNOWN


@settings(max_examples=60, deadline=None)
@example(
    # The customer confirms while it is not known whether the payment is canceled.
    fates=[*4 * [Fate.ANSWERED], Fate.NOT_SENT, Fate.NOT_SENT, Fate.REQUEST_LOST],
    is_approved=True,
    confirms_after=timedelta(seconds=360, microseconds=1),
    cancels_in_round=3,
)
@given(
    fates=st.lists(st.sampled_from(Fate), max_size=20),
    is_approved=st.booleans(),
    confirms_after=st.none() | st.timedeltas(timedelta(0), 2 * DEFAULT_ACTION_PERIOD),
    cancels_in_round=st.none() | st.integers(0, 15),
)
def test_payment_that_waits_for_its_customer_ends_as_the_network_has_it(
    fates: list[Fate],
    is_approved: bool,
    confirms_after: timedelta | None,
    cancels_in_round: int | None,
) -> None:
    clock = ManualClock()
    network = AuthenticatingNetwork(
        clock, fates, is_approved, timedelta(0), timedelta(minutes=1), confirms_after=confirms_after
    )
    application = in_memory(clock=clock, card_network=network)
    merchant = application.merchants.add("Shop")
    payment = application.payments.record(build_payment(merchant.id))
    current = application.payments.get(merchant.id, payment.id)
    for round_number in range(MAX_ROUNDS):
        with suppress(WorkerDied):
            application.settlement.expire_holds()
            application.settlement.settle()
        current = application.payments.get(merchant.id, payment.id)
        assert len(network.charges) <= 1, "charged twice"
        if current.status.is_settled:
            break
        is_canceling = cancels_in_round is not None and round_number >= cancels_in_round
        if is_canceling and current.status is Status.REQUIRES_ACTION:
            application.payments.cancel(CancelRequest(merchant.id, payment.id))
        clock.time += timedelta(minutes=2)
    assert current.status.is_settled
    # What the customer does after the end has no effect.
    clock.time += 3 * DEFAULT_ACTION_PERIOD
    if current.failure_reason != NETWORK_UNAVAILABLE:
        network._land()
        network.judge()
    assert network.net == (1 if current.status is Status.SUCCESS else 0)
    if current.status is Status.CANCELED:
        assert network.is_canceled or network.returned
    assert application.ledger.verify().is_clean
