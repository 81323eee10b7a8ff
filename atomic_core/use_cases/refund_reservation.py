"""Reserving the amounts of refunds before the card network is called for them."""

from collections.abc import Sequence

from atomic_core.domain.events import Event, build_reservation_event, build_settlement_event
from atomic_core.domain.settlement import (
    Claim,
    Settlement,
    build_posting,
    build_reservation,
    fail_disputed_refund,
)
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.unit_of_work import UnitOfWork
from atomic_core.use_cases.settlement_posting import post_to_ledger


def reserve_refunds(
    work: UnitOfWork, claims: Sequence[Claim], ids: IdGenerator
) -> tuple[Sequence[Settlement], Sequence[Claim]]:
    """Place a hold on the merchant's account for each refund, in order; a refund that the available
    balance does not cover fails. A hold that exists already, from a claim before or from a commit
    whose reply was lost, is kept. A refund of what has been disputed since it was created fails
    too: the network has paid it out already. None of them may have been sent.

    Returns the settlements of those that are not to be sent, and the claims of the others.
    """
    current = work.refunds.lock_claims(claims)
    reserved_ids = work.refunds.list_reserved([claim.id for claim in current])
    exceeded_ids = work.disputes.list_exceeded({claim.payment_id for claim in current})
    disputed = [claim for claim in current if claim.payment_id in exceeded_ids]
    kept = [claim for claim in current if claim.payment_id not in exceeded_ids]
    new = [claim for claim in kept if claim.id not in reserved_ids]
    failures = [fail_disputed_refund(claim) for claim in disputed]
    transaction_ids = ids.new_ids(len(disputed) + len(new))
    postings = [
        *(
            build_posting(claim, failure, id) if claim.id in reserved_ids else None
            for claim, failure, id in zip(disputed, failures, transaction_ids, strict=False)
        ),
        *(
            build_reservation(claim, id)
            for claim, id in zip(new, transaction_ids[len(disputed) :], strict=True)
        ),
    ]
    outcomes = post_to_ledger(
        work, list(zip([*disputed, *new], postings, strict=True)), is_called=False
    )
    settlements = [outcome or failure for outcome, failure in zip(outcomes, failures, strict=False)]
    reserved = [claim for claim in kept if claim.id in reserved_ids]
    events: list[Event | None] = [
        build_settlement_event(claim, settlement)
        for claim, settlement in zip(disputed, settlements, strict=True)
    ]
    for claim, outcome in zip(new, outcomes[len(disputed) :], strict=True):
        if outcome is None:
            reserved.append(claim)
            events.append(build_reservation_event(claim))
        else:
            settlements.append(outcome)
            events.append(build_settlement_event(claim, outcome))
    work.events.add([event for event in events if event])
    work.refunds.settle(settlements)
    return settlements, [claim._replace(reserved=True) for claim in reserved]
