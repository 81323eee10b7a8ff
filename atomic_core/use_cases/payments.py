"""The way of a payment: accepted by the web door, settled by the worker's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID

from atomic_core.domain.errors import (
    AtomicError,
    NetworkFault,
    NotFound,
    StorageRefused,
    StorageUnavailable,
)
from atomic_core.domain.idempotency import IdempotentRequest, StoredResponse
from atomic_core.domain.ledger import Account, Posted, Posting, post, world_account_id
from atomic_core.domain.merchants import Caller
from atomic_core.domain.payments import (
    Acceptance,
    Accepted,
    Authorization,
    Claim,
    Lookup,
    NewPayment,
    Payment,
    Settlement,
    Verdict,
    posting_of,
    postponed,
    settlement_of,
)
from atomic_core.ports.desk import Desk
from atomic_core.ports.outside import CardNetwork, IdGenerator, Job, JobQueue
from atomic_core.ports.presence import Presence
from atomic_core.ports.unit_of_work import Begin, UnitOfWork
from atomic_core.use_cases.idempotency import Answer, Command, PerformOnce
from atomic_core.use_cases.merchants import Confirm

AT_ONCE: Final = timedelta(0)

MAX_BATCHES: Final = 100
"""Batches per call, so that a job ends well within its time-out however much work arrives."""

MAX_TRIES: Final = 3
"""Tries of one batch's commit when the store fails in passing (a cut connection, a deadlock).
Repeating is safe: claims that a lost commit settled are no longer ours."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AcceptPayment(Command[NewPayment, Payment]):
    """Record a payment to be settled later. Answers at once; moves no money.

    Credits the merchant's first account in the currency, and opens one if there is none.
    Raises NotFound if there is no such merchant.
    """

    begin: Begin
    ids: IdGenerator
    queue: JobQueue

    def within(self, work: UnitOfWork, order: NewPayment) -> Payment:
        acceptance = Acceptance(self.ids.new_id(), order)
        accepted = _accept_one(work, acceptance)
        if accepted is None:
            self.ensure_account(work, order.merchant_id, order.money.currency)
            accepted = _accept_one(work, acceptance)
        if accepted is None:
            raise StorageRefused("a payment was not accepted although its account is there")
        return acceptance.recorded(accepted)

    def ensure_account(self, work: UnitOfWork, merchant_id: UUID, currency: str) -> None:
        """Open the merchant's first account in the currency unless there is one."""
        if work.accounts.credited(merchant_id, currency) is not None:
            return
        # Under the merchant's lock, so that two first payments open one account.
        work.merchants.lock(merchant_id)
        if work.accounts.credited(merchant_id, currency) is None:
            work.accounts.open(self.ids.new_id(), merchant_id, currency, currency)

    def afterwards(self) -> None:
        self.queue.ring(Job.SETTLE)


def _accept_one(work: UnitOfWork, acceptance: Acceptance) -> Accepted | None:
    return work.payments.accept([acceptance])[0]


Render = Callable[[UUID, NewPayment, datetime | None], StoredResponse]
"""The answer to an accepted payment: its id, what was ordered, when it was recorded. Without the
moment, STORE_TIME stands in its place."""


@dataclass(frozen=True, slots=True)
class CreatePayment:
    """AcceptPayment for a caller of the API, once per Idempotency-Key.

    The usual case is one statement at the desk, in which the caller is confirmed. Everything
    else goes the long way: revoked keys, first payments in a currency, repeats. Raises
    Unauthorized and what AcceptPayment and PerformOnce raise.
    """

    desk: Desk
    accept_payment: AcceptPayment
    perform_once: PerformOnce
    confirm: Confirm

    def __call__(
        self, caller: Caller, order: NewPayment, request: IdempotentRequest | None, render: Render
    ) -> Answer:
        payment_id = self.accept_payment.ids.new_id()
        draft = render(payment_id, order, None)
        record = (request, draft) if request else None
        [accepted] = self.desk.accept([Acceptance(payment_id, order, caller.key_id, record)])
        if accepted is None:
            return self._the_long_way(caller, order, request, render)
        self.accept_payment.afterwards()
        return Answer(draft.at(accepted.created_at), replayed=False)

    def _the_long_way(
        self, caller: Caller, order: NewPayment, request: IdempotentRequest | None, render: Render
    ) -> Answer:
        self.confirm(caller)

        def rendered(payment: Payment) -> StoredResponse:
            return render(payment.id, order, payment.created_at)

        if request is None:
            return Answer(rendered(self.accept_payment(order)), replayed=False)
        return self.perform_once(request, self.accept_payment, order, rendered)


@dataclass(frozen=True, slots=True)
class GetPayment:
    """A payment of this merchant. Raises NotFound, for another merchant's too."""

    desk: Desk
    confirm: Confirm

    def __call__(self, merchant_id: UUID, payment_id: UUID) -> Payment:
        return self._found(Lookup(merchant_id, payment_id))

    def for_caller(self, caller: Caller, payment_id: UUID) -> Payment:
        """The same for a caller of the API, confirmed by the same statement. Raises
        Unauthorized."""
        try:
            return self._found(Lookup(caller.merchant_id, payment_id, caller.key_id))
        except NotFound:
            self.confirm(caller)
            raise

    def _found(self, lookup: Lookup) -> Payment:
        [payment] = self.desk.find([lookup])
        if payment is None:
            raise NotFound("There is no such payment.")
        return payment


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of one claimed batch."""

    claimed: int
    settlements: Sequence[Settlement]
    stuck: Sequence[tuple[UUID, str]] = ()
    """Payments the database refused to post, with its words: bugs. Due again after the lease."""

    @property
    def lost(self) -> int:
        """Claims that somebody else took over: our lease had ended, or we were thought gone."""
        return self.claimed - len(self.settlements) - len(self.stuck)


@dataclass(frozen=True, slots=True)
class SettlePayments:
    """Settle what is due, batch after batch, until nothing is left or MAX_BATCHES are done.

    Claim and commit; ask the card network outside any transaction; then, in one transaction,
    lock, post and commit. Any number of settlers may run at once, and any of them may die at
    any point: its payments are due again at once. One that is merely slow keeps them until their
    lease ends.
    """

    begin: Begin
    presence: Presence
    network: CardNetwork
    ids: IdGenerator
    batch_size: int
    lease: timedelta
    """Must exceed the network's time-out, or slow answers are asked for again for nothing."""

    def __call__(
        self, overdue_by: timedelta = AT_ONCE, done: Callable[[Batch], None] | None = None
    ) -> int:
        """Return how many payments were claimed; `done` is told of each batch as it ends."""
        total = 0
        for _ in range(MAX_BATCHES):
            claims = self._claim(overdue_by)
            if claims:
                batch = self._finish(claims, self._authorize(claims))
                if done:
                    done(batch)
            total += len(claims)
            if len(claims) < self.batch_size:
                break
        return total

    def _claim(self, overdue_by: timedelta) -> Sequence[Claim]:
        claimant = self.presence.claimant()
        with self.begin() as work:
            claims = work.payments.claim(self.batch_size, self.lease, overdue_by, claimant)
            try:
                work.commit()
            except StorageUnavailable:
                # Perhaps they were made, and then nobody knows that they are ours.
                self.presence.leave()
                raise
        return claims

    def _authorize(self, claims: Sequence[Claim]) -> Sequence[Authorization]:
        try:
            return self.network.authorize(claims)
        except NetworkFault:
            return [Authorization(Verdict.FAULT)] * len(claims)

    def _finish(self, claims: Sequence[Claim], answers: Sequence[Authorization]) -> Batch:
        """Post the batch. If the database refuses it, halve it until what it refuses stands
        alone, so that one bad payment cannot hold up the others."""
        try:
            return Batch(len(claims), _again(lambda: self._post(claims, answers)))
        except StorageRefused as refused:
            if len(claims) == 1:
                return Batch(1, (), ((claims[0].payment_id, refused.message),))
        middle = len(claims) // 2
        one = self._finish(claims[:middle], answers[:middle])
        other = self._finish(claims[middle:], answers[middle:])
        return Batch(
            len(claims),
            [*one.settlements, *other.settlements],
            [*one.stuck, *other.stuck],
        )

    def _post(
        self, claims: Sequence[Claim], answers: Sequence[Authorization]
    ) -> Sequence[Settlement]:
        with self.begin() as work:
            ours = work.payments.hold(claims)
            held = [
                (claim, answer)
                for claim, answer in zip(claims, answers, strict=True)
                if claim.payment_id in ours
            ]
            approved = [claim for claim, answer in held if answer.verdict is Verdict.APPROVED]
            accounts = self._lock_accounts(work, approved)
            postings = {
                claim.payment_id: posting_of(claim, self.ids.new_id())
                for claim in approved
                if claim.account_id in accounts
            }
            # Read after the locks, so that an account's entries stand in order of time.
            posted = post(accounts, postings.values(), work.now())
            work.ledger.record(posted)
            settlements = [
                _decided(claim, answer, postings.get(claim.payment_id), posted)
                for claim, answer in held
            ]
            work.payments.settle(settlements)
            work.commit()
        return settlements

    def _lock_accounts(self, work: UnitOfWork, claims: Sequence[Claim]) -> Mapping[UUID, Account]:
        """World accounts are waited for: every settler needs them. A merchant's account that
        somebody else holds is left out, so that it holds up its own payments only."""
        worlds = work.accounts.lock({world_account_id(claim.currency) for claim in claims})
        return {**worlds, **work.accounts.lock_free({claim.account_id for claim in claims})}


def _decided(
    claim: Claim, answer: Authorization, posting: Posting | None, posted: Posted
) -> Settlement:
    if answer.verdict is not Verdict.APPROVED:
        return settlement_of(claim, answer, None)
    if posting is None:
        return postponed(claim)
    return settlement_of(claim, answer, posted.refusals.get(posting.transaction_id))


def _again(action: Callable[[], T]) -> T:
    for _ in range(MAX_TRIES - 1):
        try:
            return action()
        except AtomicError as error:
            if not error.retryable:
                raise
    return action()
