"""Posting the outcomes of claims to the ledger, inside settlement's transaction."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import compress
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.events import build_settlement_event
from atomic_core.domain.payments import Step
from atomic_core.domain.posting import Posting, PostingResult, post
from atomic_core.domain.settlement import (
    Claim,
    Settlement,
    build_posting,
    get_system_account_ids,
    postpone_claim,
    refuse_claim,
)
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.unit_of_work import UnitOfWork


class ChargeRefused(Exception):
    """The ledger refused the posting of a charge that is saved as settled already. The unit of work
    must not be committed."""


def save_settlements(
    work: UnitOfWork,
    decisions: Sequence[tuple[Claim, Settlement]],
    ids: IdGenerator,
    hold_period: timedelta,
    *,
    is_early: bool = False,
) -> Sequence[Settlement]:
    """Post and save what was decided for claims that this unit of work has locked, with its events.
    Returns the settlements as saved: those whose posting the ledger refused are others.

    `is_early`: charges are saved before the accounts are locked, as if the ledger refused none, so
    that other workers wait less for World. Raises ChargeRefused if it refuses one.
    """
    # Only charges have no hold, which would have to be released first.
    are_saved = [is_early and claim.step == Step.CHARGE for claim, _ in decisions]
    if any(are_saved):
        charges = compress((settlement for _, settlement in decisions), are_saved)
        work.payments.settle(list(charges), hold_period)
    failures = post_to_ledger(
        work,
        [
            (claim, build_posting(claim, settlement, transaction_id))
            for (claim, settlement), transaction_id in zip(
                decisions, ids.new_ids(len(decisions)), strict=True
            )
        ],
        is_called=True,
    )
    settlements = [
        # What the network has approved has a reference, also if it is to be reversed.
        failure._replace(network_reference=settlement.network_reference) if failure else settlement
        for failure, (_, settlement) in zip(failures, decisions, strict=True)
    ]
    if any(compress(failures, are_saved)):
        raise ChargeRefused
    events = map(build_settlement_event, (claim for claim, _ in decisions), settlements)
    work.events.add([event for event in events if event])
    refunds = [settlement for settlement in settlements if settlement.refund_id]
    if refunds:
        work.refunds.settle(refunds)
    payments = [
        settlement
        for settlement, is_saved in zip(settlements, are_saved, strict=True)
        if not (settlement.refund_id or is_saved)
    ]
    work.payments.settle(payments, hold_period)
    return settlements


def post_to_ledger(
    work: UnitOfWork,
    claimed_postings: Sequence[tuple[Claim, Posting | None]],
    *,
    is_called: bool,
) -> Sequence[Settlement | None]:
    """Post what can be posted, in order. Returns for each claim the settlement that replaces the
    intended one because its posting was not made; None if it was made or there was none.
    `is_called`: whether the card network has been called for the claims."""
    required = [(claim, posting) for claim, posting in claimed_postings if posting]
    accounts = _lock_accounts(work, [claim for claim, _ in required])
    locked = {id.int for id in accounts}
    postings = [posting for claim, posting in required if claim.account_id.int in locked]
    # The time is read after the accounts are locked: read before, it would be earlier than entries
    # that another worker posts meanwhile.
    result = post(accounts, postings, work.now())
    work.ledger.save(result)
    if len(postings) == len(required) and not result.refusals:
        return [None] * len(claimed_postings)
    return [
        _outcome_if_not_posted(claim, posting, accounts, result, is_called=is_called)
        for claim, posting in claimed_postings
    ]


def _lock_accounts(work: UnitOfWork, claims: Sequence[Claim]) -> Mapping[UUID, Account]:
    """Lock the accounts of the claims. Waits for system accounts, which every worker needs. A
    merchant's account that is locked elsewhere is left out, so that it delays its own payments
    only."""
    # By id as a number, which takes less to hash.
    merchant_accounts = {claim.account_id.int: claim.account_id for claim in claims}
    system_accounts = {id.int: id for claim in claims for id in get_system_account_ids(claim)}
    return {
        **work.accounts.lock(system_accounts.values()),
        **work.accounts.lock_available(merchant_accounts.values()),
    }


def _outcome_if_not_posted(
    claim: Claim,
    posting: Posting | None,
    accounts: Mapping[UUID, Account],
    result: PostingResult,
    *,
    is_called: bool,
) -> Settlement | None:
    if posting is None:
        return None
    if claim.account_id not in accounts:
        return postpone_claim(claim, is_called=is_called)
    refusal = result.refusals.get(posting.transaction_id)
    if refusal is None:
        return None
    if posting.released_hold:
        # A hold keeps its amount available, so releasing or capturing it cannot fail.
        raise StorageRefused(f"a hold could not be released: {refusal}")
    return refuse_claim(claim, refusal)
