"""The engine: settles what is due, of payments and of refunds, in batches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.errors import (
    AtomicError,
    NetworkFault,
    StorageRefused,
    StorageUnavailable,
)
from atomic_core.domain.events import PaymentEvent, build_reservation_event, build_settlement_event
from atomic_core.domain.ledger import Posting, PostingResult, post
from atomic_core.domain.payments import Step
from atomic_core.domain.settlement import (
    Claim,
    NetworkResponse,
    Settlement,
    Verdict,
    build_posting,
    build_reservation,
    decide_settlement,
    fail_claim,
    get_system_account_ids,
    postpone_claim,
)
from atomic_core.ports.card_network import CardNetwork
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.ports.worker_liveness import WorkerLiveness

NO_DELAY: Final = timedelta(0)

MAX_BATCHES: Final = 100
"""Batches per call, so that a job ends well within its time-out however much work arrives."""

MAX_TRIES: Final = 3
"""Tries of one batch's commit when the store fails in passing (a cut connection, a deadlock).
Repeating is safe: claims that a lost commit settled are no longer ours."""

_NOT_ASKED: Final = NetworkResponse(Verdict.UNDECIDED)

Asked = tuple[Claim, NetworkResponse]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SettledBatch:
    """What became of one claimed batch."""

    claimed: int
    settlements: Sequence[Settlement]
    rejected: Sequence[tuple[UUID, str]] = ()
    """Payments and refunds the database refused to post, with its words: bugs. Due again after
    the lease."""

    @property
    def lost(self) -> int:
        """Claims that somebody else took over: our lease had ended, or we were thought gone."""
        return self.claimed - len(self.settlements) - len(self.rejected)


@dataclass(frozen=True, slots=True)
class SettlePayments:
    """Settle what is due, batch after batch, until nothing is left or MAX_BATCHES are done.

    Claim and commit; promise what refunds will take; ask the card network outside any
    transaction; then, in one transaction, lock, post and commit. Any number of settlers may run
    at once, and any of them may die at any point: its payments are due again at once. One that
    is merely slow keeps them until their lease ends.
    """

    begin: UnitOfWorkFactory
    worker_liveness: WorkerLiveness
    card_network: CardNetwork
    ids: IdGenerator
    batch_size: int
    lease: timedelta
    """Must exceed the network's time-out, or slow answers are asked for again for nothing."""
    hold_period: timedelta
    """How long an authorized payment waits for its capture."""

    def __call__(
        self,
        overdue_by: timedelta = NO_DELAY,
        on_batch: Callable[[SettledBatch], None] | None = None,
    ) -> int:
        """Return how many payments and refunds were claimed; `done` is told of each batch as it
        ends."""
        total = 0
        for _ in range(MAX_BATCHES):
            claims, is_all = self._claim(overdue_by)
            if claims:
                batch = self._settle(claims)
                if on_batch:
                    on_batch(batch)
            total += len(claims)
            if is_all:
                break
        return total

    def _claim(self, overdue_by: timedelta) -> tuple[Sequence[Claim], bool]:
        """Claims of one batch, and whether that was all there is. At most half are refunds, so
        that neither keeps the other waiting."""
        worker_id = self.worker_liveness.worker_id()
        most = max(1, self.batch_size // 2)
        with self.begin() as work:
            refunds = work.refunds.claim(most, self.lease, overdue_by, worker_id)
            room = self.batch_size - len(refunds)
            payments = work.payments.claim(room, self.lease, overdue_by, worker_id) if room else ()
            try:
                work.commit()
            except StorageUnavailable:
                # Perhaps they were made, and then nobody knows that they are ours.
                self.worker_liveness.deregister()
                raise
        is_all = len(refunds) < most and len(payments) < room
        return [*payments, *refunds], is_all

    def _settle(self, claims: Sequence[Claim]) -> SettledBatch:
        new = [claim for claim in claims if claim.refund_id and not claim.reserved]
        if not new:
            return _batch(len(claims), _in_parts(self._ask(claims), self._post))
        promised = _in_parts([(claim, _NOT_ASKED) for claim in new], self._promise)
        known = [claim for claim in claims if not claim.refund_id or claim.reserved]
        posted = _in_parts(self._ask([*known, *promised.promised]), self._post)
        return _batch(len(claims), promised.and_(posted))

    def _promise(self, asked: Sequence[Asked]) -> "_Done":
        """Hold back what refunds will take from their accounts, in order: what is not there
        cannot be promised. Whoever takes over after this finds the promise made; so do we, when
        the answer to our own commit was lost."""
        with self.begin() as work:
            ours = work.refunds.lock_claims([claim for claim, _ in asked])
            made = work.refunds.list_reserved(ours)
            claims = [claim for claim, _ in asked if claim.id in ours - made]
            stops = _carry_out(
                work, [(claim, build_reservation(claim, self.ids.new_id())) for claim in claims]
            )
            promised = [claim for claim, _ in asked if claim.id in made]
            settlements: list[Settlement] = []
            events: list[PaymentEvent] = []
            for claim, stop in zip(claims, stops, strict=True):
                if stop is None:
                    promised.append(claim)
                    events.append(build_reservation_event(claim))
                else:
                    settlements.append(stop)
                    events += filter(None, [build_settlement_event(claim, stop)])
            work.events.add(events)
            work.refunds.settle(settlements)
            work.commit()
        promised = [claim._replace(reserved=True) for claim in promised]
        return _Done(settlements, promised=promised)

    def _ask(self, claims: Sequence[Claim]) -> Sequence[Asked]:
        """Each claim with the card network's answer, in order."""
        calls = {
            Step.CHARGE: self.card_network.authorize,
            Step.AUTHORIZE: self.card_network.authorize,
            Step.CAPTURE: self.card_network.capture,
            Step.VOID: self.card_network.void,
            Step.EXPIRE: self.card_network.void,
            Step.REFUND: self.card_network.refund,
        }
        together: dict[Callable[..., Sequence[NetworkResponse]], list[Claim]] = {}
        for claim in claims:
            together.setdefault(calls[claim.step], []).append(claim)
        if len(together) == 1:
            [call] = together
            return list(zip(claims, _told(call, claims), strict=True))
        answers: dict[UUID, NetworkResponse] = {}
        for call, some in together.items():
            told = _told(call, some)
            answers |= {claim.id: answer for claim, answer in zip(some, told, strict=True)}
        return [(claim, answers[claim.id]) for claim in claims]

    def _post(self, asked: Sequence[Asked]) -> "_Done":
        refunds = [claim for claim, _ in asked if claim.refund_id]
        with self.begin() as work:
            ours = work.payments.lock_claims([claim for claim, _ in asked if not claim.refund_id])
            if refunds:
                ours |= work.refunds.lock_claims(refunds)
            decided = [
                (claim, decide_settlement(claim, answer))
                for claim, answer in asked
                if claim.id in ours
            ]
            stops = _carry_out(
                work,
                [
                    (claim, build_posting(claim, settlement, self.ids.new_id()))
                    for claim, settlement in decided
                ],
            )
            settlements = [
                stop or settlement for stop, (_, settlement) in zip(stops, decided, strict=True)
            ]
            told = map(build_settlement_event, (claim for claim, _ in decided), settlements)
            work.events.add([event for event in told if event])
            if refunds:
                work.refunds.settle([each for each in settlements if each.refund_id])
            of_payments = [each for each in settlements if each.refund_id is None]
            work.payments.settle(of_payments, self.hold_period)
            work.commit()
        return _Done(settlements)


@dataclass(frozen=True, slots=True)
class _Done:
    """What one transaction, or several, made of some claims."""

    settlements: Sequence[Settlement] = ()
    rejected: Sequence[tuple[UUID, str]] = ()
    promised: Sequence[Claim] = ()

    def and_(self, other: "_Done") -> "_Done":
        return _Done(
            [*self.settlements, *other.settlements],
            [*self.rejected, *other.rejected],
            [*self.promised, *other.promised],
        )


def _batch(claimed: int, done: _Done) -> SettledBatch:
    return SettledBatch(claimed, done.settlements, done.rejected)


def _in_parts(asked: Sequence[Asked], write: Callable[[Sequence[Asked]], _Done]) -> _Done:
    """Write it all. If the database refuses it, halve it until what it refuses stands alone, so
    that one bad payment cannot hold up the others."""
    if not asked:
        return _Done()
    try:
        return _again(lambda: write(asked))
    except StorageRefused as refused:
        if len(asked) == 1:
            return _Done(rejected=[(asked[0][0].id, refused.message)])
    middle = len(asked) // 2
    return _in_parts(asked[:middle], write).and_(_in_parts(asked[middle:], write))


def _told(
    call: Callable[[Sequence[Claim]], Sequence[NetworkResponse]], claims: Sequence[Claim]
) -> Sequence[NetworkResponse]:
    try:
        return call(claims)
    except NetworkFault:
        return [NetworkResponse(Verdict.FAULT)] * len(claims)


def _lock_accounts(work: UnitOfWork, claims: Sequence[Claim]) -> Mapping[UUID, Account]:
    """The house's accounts are waited for: every settler needs them. A merchant's account that
    somebody else holds is left out, so that it holds up its own payments only."""
    house = work.accounts.lock({id for claim in claims for id in get_system_account_ids(claim)})
    return {**house, **work.accounts.lock_available({claim.account_id for claim in claims})}


def _carry_out(
    work: UnitOfWork, orders: Sequence[tuple[Claim, Posting | None]]
) -> Sequence[Settlement | None]:
    """Post, in order, what is for an account at hand. Of each: what becomes of its claim because
    the posting was not made; None if it was, or if there was none to make."""
    wanted = [(claim, posting) for claim, posting in orders if posting]
    accounts = _lock_accounts(work, [claim for claim, _ in wanted])
    possible = [posting for claim, posting in wanted if claim.account_id in accounts]
    # Read after the locks, so that an account's entries stand in order of time.
    posted = post(accounts, possible, work.now())
    work.ledger.save(posted)
    if len(possible) == len(wanted) and not posted.refusals:
        return [None] * len(orders)
    return [_stopped(claim, posting, accounts, posted) for claim, posting in orders]


def _stopped(
    claim: Claim, posting: Posting | None, accounts: Mapping[UUID, Account], posted: PostingResult
) -> Settlement | None:
    if posting is None:
        return None
    if claim.account_id not in accounts:
        return postpone_claim(claim)
    refusal = posted.refusals.get(posting.transaction_id)
    if refusal is None:
        return None
    if posting.released_hold:
        # A hold is room that is kept: to use it, or to let it go, is always possible.
        raise StorageRefused(f"a hold could not be let go of: {refusal}")
    return fail_claim(claim, refusal)


def _again(action: Callable[[], T]) -> T:
    for _ in range(MAX_TRIES - 1):
        try:
            return action()
        except AtomicError as error:
            if not error.retryable:
                raise
    return action()
