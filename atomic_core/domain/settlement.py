"""Settlement decisions: from a claim and the card network's response to a posting and a status."""

from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.accounts import fee_account_id, world_account_id
from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.ledger import Hold, TransactionKind
from atomic_core.domain.payments import Status, Step
from atomic_core.domain.posting import Leg, Posting, Refusal

MAX_NETWORK_ATTEMPTS: Final = 3
"""How often a step is tried against a faulty card network before the payment fails."""

BACK_OFF_BASE: Final = timedelta(seconds=2)
"""Delay after the first network fault; doubled after each further one."""

POSTPONE_DELAY: Final = timedelta(milliseconds=500)
"""Delay before the next attempt when the account is locked by another worker, or the card network
has not decided yet. About one sweep."""

PROCESSING_ERROR: Final = "processing_error"


class Claim(NamedTuple):
    """A payment or refund that one worker may settle until its lease ends or the worker dies.

    `attempt` is the fencing token: it grows with each claim, and only the latest claim can be
    settled. `faults` counts the network faults of the present step.
    """

    payment_id: UUID
    attempt: int
    faults: int
    account_id: UUID
    amount: int
    """Minor units, of the payment or of the refund."""
    currency: str
    source: str
    step: Step = Step.CHARGE
    capture_amount: int | None = None
    basis_points: int = 0
    fixed_fee: int = 0
    refund_id: UUID | None = None
    reserved: bool = False
    """Whether a refund has its hold on the merchant's account."""

    @property
    def id(self) -> UUID:
        """The refund's id, or the payment's if this is not a refund."""
        return self.refund_id or self.payment_id


class Verdict(StrEnum):
    APPROVED = "approved"
    DECLINED = "declined"
    FAULT = "fault"
    UNDECIDED = "undecided"
    """The network has the request and decides later; the same request returns the decision."""


class NetworkResponse(NamedTuple):
    """The card network's response to one claim. `reason` is set if it declined."""

    verdict: Verdict
    reason: str | None = None


class Settlement(NamedTuple):
    """The new state of a claimed payment or refund. `retry_after` is set if it stays open."""

    payment_id: UUID
    status: Status
    failure_reason: str | None
    faults: int
    retry_after: timedelta | None
    fee: int | None = None
    """Minor units, of a success. None without a fee."""
    refund_id: UUID | None = None

    @property
    def id(self) -> UUID:
        return self.refund_id or self.payment_id


def get_settled_amount(claim: Claim) -> int:
    """The amount that a success captures or refunds."""
    return claim.amount if claim.capture_amount is None else claim.capture_amount


def compute_fee(claim: Claim) -> int:
    """The fee of a success, in minor units."""
    if not (claim.basis_points or claim.fixed_fee) or claim.refund_id:
        return 0
    return FeeTerms(claim.basis_points, claim.fixed_fee).compute_fee(get_settled_amount(claim))


def get_system_account_ids(claim: Claim) -> tuple[UUID, ...]:
    """The system accounts that settling the claim may change."""
    world = world_account_id(claim.currency)
    if claim.basis_points or claim.fixed_fee:
        return world, fee_account_id(claim.currency)
    return (world,)


def build_hold(claim: Claim) -> Hold:
    """The claim's hold: into the merchant's account, or out of it for a refund."""
    world = world_account_id(claim.currency)
    accounts = (claim.account_id, world) if claim.refund_id else (world, claim.account_id)
    return Hold(claim.payment_id, claim.refund_id, *accounts, claim.amount)


def build_posting(claim: Claim, settlement: Settlement, transaction_id: UUID) -> Posting | None:
    """The posting that makes the ledger follow a settlement; None if the ledger does not change."""
    status, step = settlement.status, claim.step
    if status is Status.PROCESSING:
        return None
    if step == Step.CHARGE:
        if status is not Status.SUCCESS:
            return None
        return _build_payment_posting(claim, transaction_id, released_hold=None)
    if step == Step.AUTHORIZE:
        hold = build_hold(claim) if status is Status.AUTHORIZED else None
        return hold and Posting(
            transaction_id, claim.payment_id, TransactionKind.PAYMENT, (), placed_hold=hold
        )
    if step == Step.CAPTURE and status is Status.SUCCESS:
        return _build_payment_posting(claim, transaction_id, build_hold(claim))
    legs = _build_refund_legs(claim) if step == Step.REFUND and status is Status.SUCCESS else ()
    kind = TransactionKind.REFUND if step == Step.REFUND else TransactionKind.PAYMENT
    return Posting(
        transaction_id,
        claim.payment_id,
        kind,
        legs,
        claim.refund_id,
        released_hold=build_hold(claim),
    )


def build_reservation(claim: Claim, transaction_id: UUID) -> Posting:
    """The posting that reserves a refund's amount, before the network is asked to refund it."""
    hold = build_hold(claim)
    kind = TransactionKind.REFUND
    return Posting(transaction_id, claim.payment_id, kind, (), claim.refund_id, placed_hold=hold)


def decide_settlement(claim: Claim, response: NetworkResponse) -> Settlement:
    """Decide from the network's response. The ledger can still refuse the posting."""
    verdict, step = response.verdict, claim.step
    if verdict is Verdict.APPROVED:
        status = _APPROVED_STATUSES.get(step, Status.SUCCESS)
        fee = compute_fee(claim) if status is Status.SUCCESS else 0
        return _end_claim(claim, status, None, fee or None)
    if verdict is Verdict.UNDECIDED:
        return postpone_claim(claim)
    if verdict is Verdict.FAULT and claim.faults + 1 < MAX_NETWORK_ATTEMPTS:
        return _retry_claim(claim, claim.faults + 1, BACK_OFF_BASE * 2**claim.faults)
    faults = claim.faults + (verdict is Verdict.FAULT)
    if step in (Step.VOID, Step.EXPIRE):
        # Canceled even if the network refuses: an authorization that is not captured ends there
        # by itself.
        return _end_claim(claim, Status.CANCELED, None)._replace(faults=faults)
    reason = PROCESSING_ERROR if verdict is Verdict.FAULT else response.reason
    return _end_claim(claim, Status.FAILED, reason)._replace(faults=faults)


def fail_claim(claim: Claim, refusal: Refusal) -> Settlement:
    """The settlement of a claim whose posting the ledger refused."""
    return _end_claim(claim, Status.FAILED, refusal.value)


def postpone_claim(claim: Claim) -> Settlement:
    """Keep the claim open and due again soon. Does not count as a network fault."""
    return _retry_claim(claim, claim.faults, POSTPONE_DELAY)


_APPROVED_STATUSES: Final = {
    Step.AUTHORIZE: Status.AUTHORIZED,
    Step.VOID: Status.CANCELED,
    Step.EXPIRE: Status.CANCELED,
}


def _retry_claim(claim: Claim, faults: int, delay: timedelta) -> Settlement:
    return Settlement(
        claim.payment_id, Status.PROCESSING, None, faults, delay, refund_id=claim.refund_id
    )


def _end_claim(
    claim: Claim, status: Status, reason: str | None, fee: int | None = None
) -> Settlement:
    return Settlement(claim.payment_id, status, reason, claim.faults, None, fee, claim.refund_id)


def _build_payment_posting(
    claim: Claim, transaction_id: UUID, released_hold: Hold | None
) -> Posting:
    """Debits the currency's World account; credits the merchant's account, less the fee."""
    amount, world = get_settled_amount(claim), world_account_id(claim.currency)
    fee = compute_fee(claim)
    legs = (Leg(world, -amount), Leg(claim.account_id, amount - fee))
    if fee:
        # A fee of the whole amount leaves the merchant no leg.
        legs = (*(leg for leg in legs if leg.amount), Leg(fee_account_id(claim.currency), fee))
    kind = TransactionKind.PAYMENT
    return Posting(transaction_id, claim.payment_id, kind, legs, None, released_hold)


def _build_refund_legs(claim: Claim) -> tuple[Leg, ...]:
    """Debits the merchant's account and credits World. A refund returns no fee."""
    world = world_account_id(claim.currency)
    return Leg(claim.account_id, -claim.amount), Leg(world, claim.amount)
