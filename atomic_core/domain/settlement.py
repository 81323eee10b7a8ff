"""Settlement decisions: from a claim and the card network's response to a posting and a status."""

from datetime import timedelta
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.accounts import fee_account_id, world_account_id
from atomic_core.domain.card_networks import (
    INQUIRIES_SKIPPED,
    KEY_MEMORY,
    MAX_FAULTS,
    REPEATS_BEFORE_INQUIRY,
    NetworkResponse,
    NetworkState,
    NextAction,
    Verdict,
    compute_back_off,
)
from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.ledger import Hold, TransactionKind
from atomic_core.domain.payments import DEFAULT_ACTION_PERIOD, Status, Step
from atomic_core.domain.posting import Leg, Posting, Refusal

DEFAULT_NETWORK_PATIENCE: Final = timedelta(hours=4)
"""How long a request that cannot be sent is retried before its payment fails."""

NETWORK_UNAVAILABLE: Final = "network_unavailable"
"""The failure reason of a payment or refund that could not be sent to the card network."""

CAPTURE_DECLINED: Final = "capture_declined"
"""The failure reason of a capture that the network declined without giving one."""

DISPUTED: Final = "disputed"
"""The failure reason of a refund whose amount was disputed before it was sent."""

NO_DELAY: Final = timedelta(0)


class Claim(NamedTuple):
    """A payment or refund that one worker may settle until its lease ends or the worker dies.

    `attempt` is the fencing token: it grows with each claim, and only the latest claim can be
    settled. `faults` counts the present step's responses that were not final.
    """

    payment_id: UUID
    attempt: int
    faults: int
    merchant_id: UUID
    account_id: UUID
    amount: int
    """Minor units, of the payment or of the refund."""
    currency: str
    source: str
    step: Step = Step.CHARGE
    capture_amount: int | None = None
    basis_points: int = 0
    fixed_fee: int = 0
    network_state: NetworkState | str | None = None
    """What is known of the step. UNKNOWN also if the claim before this one ended without a
    settlement: its worker may have called the network."""
    unresolved_for: timedelta | None = None
    """How long the outcome of the step has been open; None before the first call."""
    reversal_reason: str | None = None
    """Of a REVERSE step: the failure reason of the payment, once the network has confirmed."""
    network_reference: str | None = None
    """The network's id of the payment, also if this is a refund; None if it has not named one."""
    key_generation: int = 0
    """How often the network has had no record of a request: part of the idempotency key, because a
    network may keep an error under a key."""
    sent_for: timedelta | None = None
    """How long ago the open step was last sent, or may have been; None if it was not."""
    is_taken_over: bool = False
    """Whether the claim before this one ended without a settlement: its worker had died, or was
    frozen for longer than its lease."""
    refund_id: UUID | None = None
    reserved: bool = False
    """Whether a refund has its hold on the merchant's account."""

    @property
    def id(self) -> UUID:
        """The refund's id, or the payment's if this is not a refund."""
        return self.refund_id or self.payment_id

    @property
    def awaits_customer(self) -> bool:
        return self.network_state == NetworkState.REQUIRES_ACTION

    @property
    def may_be_processed(self) -> bool:
        """Whether the network may have processed the step already."""
        return self.network_state in (
            NetworkState.UNKNOWN,
            NetworkState.PENDING,
            NetworkState.REQUIRES_ACTION,
        )

    @property
    def is_unsent_refund(self) -> bool:
        """Whether it is a refund that has certainly not been processed: without its hold, the
        network has not been called."""
        return self.refund_id is not None and not (self.reserved and self.may_be_processed)

    @property
    def needs_inquiry(self) -> bool:
        """Whether to inquire about the step at the network instead of repeating it."""
        if self.awaits_customer:
            return True
        has_key_expired = self.unresolved_for is not None and self.unresolved_for >= KEY_MEMORY
        is_in_doubt = self.network_state == NetworkState.UNKNOWN
        repeats_left = REPEATS_BEFORE_INQUIRY - self.faults
        is_asked_next = repeats_left <= 0 and repeats_left % 2 == 0
        return self.may_be_processed and (has_key_expired or (is_in_doubt and is_asked_next))


class CustomerWait(NamedTuple):
    """Of a payment that waits for its customer."""

    next_action: NextAction
    period: timedelta
    """How long it waits; counted from the first time only."""


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
    network_state: NetworkState | str | None = None
    """Why it stays open; None if it does not, or for a reason of our own."""
    reversal_reason: str | None = None
    """Set if its step becomes REVERSE."""
    network_reference: str | None = None
    """The network's id of the payment or refund, if its response names one. The first one stays."""
    key_generation: int | None = None
    """Set if the idempotency key changes."""
    was_sent: bool = False
    """Whether the step stays open after a request that the network may have processed."""
    wait: CustomerWait | None = None
    """Of REQUIRES_ACTION; None if what the customer has to do is known already."""

    @property
    def id(self) -> UUID:
        return self.refund_id or self.payment_id


def hasten_inquiry(faults: int, state: NetworkState) -> int:
    """The count of faults with which the next claim of a step in doubt inquires. What is PENDING is
    requested again under its key, which returns the decision."""
    if state is not NetworkState.UNKNOWN:
        return faults
    return max(REPEATS_BEFORE_INQUIRY, faults + abs(faults - REPEATS_BEFORE_INQUIRY) % 2)


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
    if status in (Status.PROCESSING, Status.REQUIRES_ACTION) or step == Step.ABANDON:
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
    if step == Step.REVERSE and claim.capture_amount is None:
        # Reversed because the ledger refused it: it was neither posted nor held.
        return None
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
    """The posting that reserves a refund's amount, before the network is requested to refund it."""
    hold = build_hold(claim)
    kind = TransactionKind.REFUND
    return Posting(transaction_id, claim.payment_id, kind, (), claim.refund_id, placed_hold=hold)


def decide_settlement(
    claim: Claim,
    response: NetworkResponse,
    patience: timedelta = DEFAULT_NETWORK_PATIENCE,
    action_period: timedelta = DEFAULT_ACTION_PERIOD,
) -> Settlement:
    """Decide from the network's response. The ledger can still refuse the posting.

    Only APPROVED and DECLINED end a step, and a request that could not be sent for `patience`. A
    payment waits for its customer for `action_period`.
    """
    is_silent = response.verdict in (Verdict.UNKNOWN, Verdict.NOT_SENT)
    if claim.awaits_customer and is_silent:
        # Only an inquiry was lost: the customer is awaited as before.
        return _await_customer(claim, None)
    match response.verdict:
        case Verdict.APPROVED:
            return _name_at_network(_approve_claim(claim), response)
        case Verdict.DECLINED:
            return _name_at_network(_decline_claim(claim, response.reason), response)
        case Verdict.REQUIRES_ACTION if response.next_action and claim.step in _CHARGING_STEPS:
            wait = CustomerWait(response.next_action, action_period)
            return _name_at_network(_await_customer(claim, wait), response)
        case Verdict.PENDING:
            return _keep_open(claim, NetworkState.PENDING, was_sent=not claim.needs_inquiry)
        case Verdict.UNKNOWN | Verdict.REQUIRES_ACTION:
            return _keep_open(claim, NetworkState.UNKNOWN, was_sent=not claim.needs_inquiry)
        case Verdict.NOT_FOUND:
            # Nothing was processed, so the request can be sent again.
            settlement = _keep_open(claim, NetworkState.NOT_SENT)
            return settlement._replace(key_generation=claim.key_generation + 1)
        case Verdict.NOT_SENT:
            return _retry_sending(claim, patience)


def _await_customer(claim: Claim, wait: CustomerWait | None) -> Settlement:
    """REQUIRES_ACTION, with the time of the next inquiry. `faults` then counts the inquiries."""
    faults = min(claim.faults + 1, MAX_FAULTS) if claim.awaits_customer else 0
    delay = compute_back_off(faults + INQUIRIES_SKIPPED)
    settlement = _retry_claim(claim, faults, delay, None)
    return settlement._replace(status=Status.REQUIRES_ACTION, wait=wait)


def _name_at_network(settlement: Settlement, response: NetworkResponse) -> Settlement:
    if response.reference is None:
        return settlement
    return settlement._replace(network_reference=response.reference)


def _approve_claim(claim: Claim) -> Settlement:
    if claim.step == Step.REVERSE:
        return _end_claim(claim, Status.FAILED, claim.reversal_reason)
    status = _APPROVED_STATUSES.get(claim.step, Status.SUCCESS)
    fee = compute_fee(claim) if status is Status.SUCCESS else 0
    return _end_claim(claim, status, None, fee or None)


def _decline_claim(claim: Claim, reason: str | None) -> Settlement:
    if claim.step == Step.CAPTURE:
        # The authorization may still hold money at the network.
        return reverse_claim(claim, reason)
    if claim.step in RELEASING_STEPS:
        return _keep_open(claim, NetworkState.REFUSED)
    return _end_claim(claim, Status.FAILED, reason)


def _retry_sending(claim: Claim, patience: timedelta) -> Settlement:
    if claim.may_be_processed:
        # That this request was not sent says nothing about the one before it.
        return _keep_open(claim, claim.network_state or NetworkState.UNKNOWN)
    is_out_of_patience = claim.unresolved_for is not None and claim.unresolved_for >= patience
    if is_out_of_patience and claim.step in _FIRST_STEPS:
        return _end_claim(claim, Status.FAILED, NETWORK_UNAVAILABLE)
    return _keep_open(claim, NetworkState.NOT_SENT)


def refuse_claim(claim: Claim, refusal: Refusal) -> Settlement:
    """The settlement of a claim whose posting the ledger refused. What the network has approved is
    reversed there before the payment fails; a refund is refused before the network is called."""
    if claim.refund_id:
        return _end_claim(claim, Status.FAILED, refusal.value)
    return reverse_claim(claim, refusal.value)


def fail_disputed_refund(claim: Claim) -> Settlement:
    """The settlement of a refund that has not been sent, of an amount that is disputed."""
    return _end_claim(claim, Status.FAILED, DISPUTED)


def reverse_claim(claim: Claim, reason: str | None) -> Settlement:
    """Begin the step that undoes at the network what it has approved. It is repeated until the
    network confirms; then the payment fails with `reason`."""
    settlement = _retry_claim(claim, 0, NO_DELAY, None)
    return settlement._replace(reversal_reason=reason or CAPTURE_DECLINED)


def postpone_claim(claim: Claim, *, is_called: bool) -> Settlement:
    """Keep the claim open and due again soon, for a reason of our own. If the network was called
    (`is_called`), it has the request."""
    if claim.awaits_customer and not is_called:
        return _retry_claim(claim, claim.faults, compute_back_off(0), None)._replace(
            status=Status.REQUIRES_ACTION
        )
    state = NetworkState.PENDING if is_called else claim.network_state
    settlement = _retry_claim(claim, claim.faults, compute_back_off(0), state)
    return settlement._replace(was_sent=is_called)


_CHARGING_STEPS: Final = frozenset({Step.CHARGE, Step.AUTHORIZE})
"""Steps in which a customer may have to authenticate."""

_FIRST_STEPS: Final = frozenset({Step.CHARGE, Step.AUTHORIZE, Step.REFUND})
"""Steps before which the network holds no money of the payment, or all of it is settled. The others
are retried until the network answers."""

RELEASING_STEPS: Final = frozenset({Step.VOID, Step.EXPIRE, Step.ABANDON, Step.REVERSE})
"""Steps that end what the network holds. They are repeated until the network confirms."""

_APPROVED_STATUSES: Final = {
    Step.AUTHORIZE: Status.AUTHORIZED,
    Step.VOID: Status.CANCELED,
    Step.EXPIRE: Status.CANCELED,
    Step.ABANDON: Status.CANCELED,
}


def _keep_open(claim: Claim, state: NetworkState | str, *, was_sent: bool = False) -> Settlement:
    faults = min(claim.faults + 1, MAX_FAULTS)
    settlement = _retry_claim(claim, faults, compute_back_off(claim.faults), state)
    return settlement._replace(was_sent=True) if was_sent else settlement


def _retry_claim(
    claim: Claim, faults: int, delay: timedelta, state: NetworkState | str | None
) -> Settlement:
    return Settlement(
        claim.payment_id,
        Status.PROCESSING,
        None,
        faults,
        delay,
        refund_id=claim.refund_id,
        network_state=state,
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
