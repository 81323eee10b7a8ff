"""What settlers decide: from a claim and the card network's answer to postings and ends."""

from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.accounts import fee_account_id, world_account_id
from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.ledger import Hold, Leg, Posting, Refusal, TransactionKind
from atomic_core.domain.payments import Status, Step

MAX_NETWORK_ATTEMPTS: Final = 3
"""How often a payment is tried against a faulty card network before it fails (api.md)."""

BACK_OFF_BASE: Final = timedelta(seconds=2)
"""Wait after the first network fault; doubled after each further one (api.md)."""

POSTPONE_DELAY: Final = timedelta(milliseconds=500)
"""Wait before another try when somebody else holds the payment's account, or the card network has
not decided yet: about one sweep."""

PROCESSING_ERROR: Final = "processing_error"


class Claim(NamedTuple):
    """A payment or refund in the hands of one settler until its lease ends, or the settler dies.

    `attempt` is the fencing number: it grows with each claim, and only the settler that holds
    the latest may finish it. `faults` counts the network faults of its step so far.
    """

    payment_id: UUID
    attempt: int
    faults: int
    account_id: UUID
    amount: int
    """Of the payment, or of the refund."""
    currency: str
    source: str
    step: Step = Step.CHARGE
    capture_amount: int | None = None
    basis_points: int = 0
    fixed_fee: int = 0
    refund_id: UUID | None = None
    reserved: bool = False
    """Whether a refund's amount is promised already."""

    @property
    def id(self) -> UUID:
        """Whose claim it is: the refund's, or else the payment's."""
        return self.refund_id or self.payment_id


class Verdict(StrEnum):
    APPROVED = "approved"
    DECLINED = "declined"
    FAULT = "fault"
    UNDECIDED = "undecided"
    """The network has the request and will answer when it is asked again."""


class NetworkResponse(NamedTuple):
    """The card network's answer. `reason` says why for DECLINED, and is None otherwise."""

    verdict: Verdict
    reason: str | None = None


class Settlement(NamedTuple):
    """What became of one claim: an end (or a hold), or another try after `retry_after`."""

    payment_id: UUID
    status: Status
    failure_reason: str | None
    faults: int
    retry_after: timedelta | None
    fee: int | None = None
    """What of a success goes to the house; None if nothing."""
    refund_id: UUID | None = None

    @property
    def id(self) -> UUID:
        return self.refund_id or self.payment_id


def compute_fee(claim: Claim) -> int:
    """What of this claim's money goes to the house, should it succeed."""
    if not (claim.basis_points or claim.fixed_fee) or claim.refund_id:
        return 0
    return FeeTerms(claim.basis_points, claim.fixed_fee).compute_fee(get_settled_amount(claim))


def get_system_account_ids(claim: Claim) -> tuple[UUID, ...]:
    """The house's accounts that settling this claim may touch, beside its own."""
    world = world_account_id(claim.currency)
    if claim.basis_points or claim.fixed_fee:
        return world, fee_account_id(claim.currency)
    return (world,)


def build_hold(claim: Claim) -> Hold:
    """The claim's hold: into the merchant's account, or out of it for a refund."""
    world = world_account_id(claim.currency)
    between = (claim.account_id, world) if claim.refund_id else (world, claim.account_id)
    return Hold(claim.payment_id, claim.refund_id, *between, claim.amount)


def build_posting(claim: Claim, settlement: Settlement, transaction_id: UUID) -> Posting | None:
    """What shall be posted so that the books follow a settlement; None if nothing."""
    status, step = settlement.status, claim.step
    if status is Status.PROCESSING:
        return None
    if step == Step.CHARGE:
        return _taken(claim, transaction_id, None) if status is Status.SUCCESS else None
    if step == Step.AUTHORIZE:
        held = build_hold(claim) if status is Status.AUTHORIZED else None
        return held and Posting(
            transaction_id, claim.payment_id, TransactionKind.PAYMENT, (), placed_hold=held
        )
    if step == Step.CAPTURE and status is Status.SUCCESS:
        return _taken(claim, transaction_id, build_hold(claim))
    legs = _given_back(claim) if step == Step.REFUND and status is Status.SUCCESS else ()
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
    """The promise of a refund's amount, made before the network is asked to give it back."""
    hold = build_hold(claim)
    kind = TransactionKind.REFUND
    return Posting(transaction_id, claim.payment_id, kind, (), claim.refund_id, placed_hold=hold)


def decide_settlement(claim: Claim, answer: NetworkResponse) -> Settlement:
    """Decide a claim from what the network said; the ledger may still refuse."""
    verdict, step = answer.verdict, claim.step
    if verdict is Verdict.APPROVED:
        status = _APPROVED.get(step, Status.SUCCESS)
        fee = compute_fee(claim) if status is Status.SUCCESS else 0
        return _end(claim, status, None, fee or None)
    if verdict is Verdict.UNDECIDED:
        return postpone_claim(claim)
    if verdict is Verdict.FAULT and claim.faults + 1 < MAX_NETWORK_ATTEMPTS:
        wait = BACK_OFF_BASE * 2**claim.faults
        retry = Settlement(claim.payment_id, Status.PROCESSING, None, claim.faults + 1, wait)
        return retry._replace(refund_id=claim.refund_id)
    faults = claim.faults + (verdict is Verdict.FAULT)
    if step in (Step.VOID, Step.EXPIRE):
        # Nothing is taken, whatever the network says: what it still holds ends there by itself.
        return _end(claim, Status.CANCELED, None)._replace(faults=faults)
    reason = PROCESSING_ERROR if verdict is Verdict.FAULT else answer.reason
    return _end(claim, Status.FAILED, reason)._replace(faults=faults)


def fail_claim(claim: Claim, refusal: Refusal) -> Settlement:
    """The ledger said no."""
    return _end(claim, Status.FAILED, refusal.value)


def postpone_claim(claim: Claim) -> Settlement:
    """Given back undecided, to be due again soon. No fault of the network, so none is counted."""
    later = Settlement(claim.payment_id, Status.PROCESSING, None, claim.faults, POSTPONE_DELAY)
    return later._replace(refund_id=claim.refund_id)


_APPROVED: Final = {
    Step.AUTHORIZE: Status.AUTHORIZED,
    Step.VOID: Status.CANCELED,
    Step.EXPIRE: Status.CANCELED,
}


def _end(claim: Claim, status: Status, reason: str | None, fee: int | None = None) -> Settlement:
    return Settlement(claim.payment_id, status, reason, claim.faults, None, fee, claim.refund_id)


def get_settled_amount(claim: Claim) -> int:
    """What a success of this claim takes, or gives back."""
    return claim.amount if claim.capture_amount is None else claim.capture_amount


def _taken(claim: Claim, transaction_id: UUID, releases: Hold | None) -> Posting:
    """Debits the currency's World account and credits the merchant's, less the fee."""
    amount, world = get_settled_amount(claim), world_account_id(claim.currency)
    fee = compute_fee(claim)
    legs = (Leg(world, -amount), Leg(claim.account_id, amount - fee))
    if fee:
        # A fee that takes it all leaves the merchant no leg.
        legs = (*(leg for leg in legs if leg.amount), Leg(fee_account_id(claim.currency), fee))
    return Posting(transaction_id, claim.payment_id, TransactionKind.PAYMENT, legs, None, releases)


def _given_back(claim: Claim) -> tuple[Leg, ...]:
    """Debits the merchant's account and credits World: the payment's legs, turned round."""
    world = world_account_id(claim.currency)
    return Leg(claim.account_id, -claim.amount), Leg(world, claim.amount)
