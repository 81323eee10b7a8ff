"""The rules of disputes, checked on the tables in memory."""

from collections.abc import Iterator

from atomic_adapters.memory.tables import Tables
from atomic_core.domain.disputes import DisputeStatus, build_opening, build_reversal
from atomic_core.domain.ledger import TransactionKind
from atomic_core.domain.ledger_verification import Finding, LedgerCheck
from atomic_core.domain.payments import Status


def check_disputes(tables: Tables) -> Iterator[Finding]:
    for id, row in sorted(tables.disputes.rows.items()):
        dispute = row.dispute
        payment_row = tables.payments.rows.get(dispute.payment_id)
        payment = payment_row and payment_row.item
        disputed = sum(
            other.dispute.money.amount
            for other in tables.disputes.rows.values()
            if other.dispute.payment_id == dispute.payment_id
            and other.dispute.status is not DisputeStatus.WON
        )
        owner = (dispute.merchant_id, dispute.account_id, dispute.network, dispute.money.currency)
        if (
            payment is None
            or payment.status is not Status.SUCCESS
            or owner
            != (payment.merchant_id, payment.account_id, payment.network, payment.money.currency)
            or disputed > payment.amount_captured
        ):
            problem = (
                "its payment is not a success of its merchant, or more is disputed than was"
                " captured"
            )
            yield Finding(LedgerCheck.DISPUTE_POSTED, str(id), problem)
            continue
        expected = sorted(build_opening(dispute, id).legs)
        reversal = sorted(build_reversal(dispute, id).legs)
        is_won = dispute.status is DisputeStatus.WON
        found = [
            sorted(
                (entry.account_id, entry.amount)
                for entry in tables.entries.rows.values()
                if entry.transaction_id
                == tables.transaction_ids.rows.get((id, kind, None), dispute.id)
            )
            for kind in (TransactionKind.DISPUTE, TransactionKind.DISPUTE_REVERSAL)
        ]
        if found != [expected, reversal if is_won else []]:
            problem = f"{dispute.status}, yet not posted so"
            yield Finding(LedgerCheck.DISPUTE_POSTED, str(id), problem)
