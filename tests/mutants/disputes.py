"""Mutants of disputes."""

from typing import Final

from mutants.mutant import Edit, Mutant

DOMAIN_PY: Final = "atomic_core/domain/disputes.py"
POSTING_PY: Final = "atomic_core/domain/posting.py"
PROCESSING_PY: Final = "atomic_core/use_cases/dispute_processing.py"
RESERVATION_PY: Final = "atomic_core/use_cases/refund_reservation.py"
TIMELINE_PY: Final = "atomic_core/use_cases/timeline.py"
REFUNDS_PY: Final = "atomic_core/use_cases/refunds.py"
DISPUTES_SQL: Final = "atomic_adapters/postgres/disputes.sql"
MIGRATION: Final = "migrations/0039.disputes.sql"
VERIFICATION_SQL: Final = "atomic_adapters/postgres/ledger_verification.sql"
STRIPE_PY: Final = "atomic_adapters/networks/stripe/disputes.py"

CONTRACT_TEST: Final = "tests/contract/test_disputes.py"
GUARDS_TEST: Final = "tests/integration/test_dispute_guards.py"
VERIFICATION_TEST: Final = "tests/contract/test_dispute_verification.py"
STRIPE_TEST: Final = "tests/unit/test_stripe_disputes.py"

DISPUTE_MUTANTS: Final = (
    Mutant(
        "dispute-goes-back",
        "a report that is older than what is recorded changes nothing",
        (Edit(DOMAIN_PY, " or _RANKS[reported.status] < _RANKS[dispute.status]", ""),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "dispute-without-fee",
        "opening a dispute debits the network's fee",
        (Edit(DOMAIN_PY, "-dispute.money.amount - dispute.fee", "-dispute.money.amount"),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "won-dispute-returns-the-fee",
        "a won dispute returns as much of the fee as the network does",
        (Edit(DOMAIN_PY, "amount + dispute.fee_returned", "amount + dispute.fee"),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "dispute-needs-balance",
        "a dispute is posted whatever the balance",
        (
            Edit(
                POSTING_PY,
                "    if kind is TransactionKind.DISPUTE:\n",
                "    if kind is TransactionKind.JOURNAL:\n",
            ),
        ),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "overdrawn-account-takes-no-credit",
        "an account below zero takes credits",
        (Edit(POSTING_PY, "is_reserved else 0) >= 0", "is_reserved else 0) == 0"),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "disputed-amount-refunded",
        "what is disputed cannot be refunded",
        (Edit(REFUNDS_PY, "work.disputes.sum_disputed(payment.id)", "0"),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "unsent-refund-of-disputed-amount-sent",
        "a refund that was not sent fails when its amount is disputed",
        (
            Edit(
                RESERVATION_PY,
                "work.disputes.list_exceeded({claim.payment_id for claim in current})",
                "frozenset()",
            ),
        ),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "dispute-does-not-wait-for-refund",
        "a dispute waits for a refund that may have been sent",
        (
            Edit(
                PROCESSING_PY,
                "event.postponements < MAX_REFUND_WAIT and",
                "event.postponements < 0 and",
            ),
        ),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "dispute-of-unanswered-look-up-dropped",
        "a dispute is looked up until the network answers",
        (
            Edit(
                PROCESSING_PY,
                "            case DisputeVerdict.NOT_FOUND:\n",
                "            case DisputeVerdict.NOT_FOUND | DisputeVerdict.UNKNOWN:\n",
            ),
        ),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "dispute-of-open-payment-dropped",
        "a dispute waits for the success of its payment",
        (
            Edit(
                PROCESSING_PY,
                "return compute_back_off(event.postponements)\n            raise",
                "return None\n            raise",
            ),
        ),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "response-during-look-up-delayed",
        "a response that comes during a look-up is sent at once",
        (
            Edit(
                PROCESSING_PY,
                "if dispute.pending_response is not claimed.pending_response:",
                "if dispute.pending_response is DisputeStatus.WON:",
            ),
        ),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "dispute-above-capture",
        "the database refuses more disputes than were captured",
        (Edit(MIGRATION, "d.status <> 'WON') > captured\n", "d.status <> 'WON') < 0\n"),),
        (GUARDS_TEST,),
    ),
    Mutant(
        "dispute-unposted",
        "the database refuses a dispute that the ledger does not match",
        (Edit(MIGRATION, "WHERE d.id = NEW.id) IS NOT TRUE\n", "WHERE d.id = NEW.id) = 7\n"),),
        (GUARDS_TEST,),
    ),
    Mutant(
        "dispute-refundable-in-the-database",
        "the database refuses a refund of what is disputed",
        (
            Edit(
                MIGRATION,
                "    IF NEW.refunds_reserved\n",
                "    IF false AND NEW.refunds_reserved\n",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "anything-overdraws",
        "the database refuses an overdraft without a dispute",
        (
            Edit(
                MIGRATION,
                "    IF NEW.balance - NEW.pending_out < OLD.balance",
                "    IF false AND NEW.balance - NEW.pending_out < OLD.balance",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "verify-dispute-of-another-amount",
        "verification finds a dispute that is not posted with its amount and fee",
        (Edit(VERIFICATION_SQL, "AND e.amount = -(d.amount + d.fee)\n", "AND e.amount < 0\n"),),
        (VERIFICATION_TEST,),
    ),
    Mutant(
        "verify-dispute-without-reversal",
        "verification finds a won dispute that is not returned",
        (
            Edit(
                VERIFICATION_SQL,
                "<> (CASE d.status WHEN 'WON' THEN 4 ELSE 2 END, 2,"
                " CASE d.status WHEN 'WON' THEN 2 ELSE 0 END)",
                "<> (found.legs, 2, found.reversals)",
            ),
        ),
        (VERIFICATION_TEST,),
    ),
    Mutant(
        "verify-dispute-of-another-payment",
        "verification finds a dispute that is not of a success of its merchant",
        (
            Edit(
                VERIFICATION_SQL,
                " WHERE p.id IS NULL\n    OR disputed.total >",
                " WHERE disputed.total >",
            ),
        ),
        (VERIFICATION_TEST,),
    ),
    Mutant(
        "verify-dispute-above-capture",
        "verification finds more disputes than were captured",
        (
            Edit(
                VERIFICATION_SQL,
                "    OR disputed.total > coalesce(p.capture_amount, p.amount)\n    OR (found",
                "    OR (found",
            ),
        ),
        (VERIFICATION_TEST,),
    ),
    Mutant(
        "timeline-without-the-end-of-disputes",
        "a timeline has the decision of a dispute with what it posted",
        (Edit(TIMELINE_PY, "    if dispute.closed_at:\n", "    if False:\n"),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "inquiry-recorded-as-dispute",
        "an inquiry of Stripe moves no money",
        (Edit(STRIPE_PY, "    if not transactions:\n", "    if not STATUSES:\n"),),
        (STRIPE_TEST,),
    ),
    Mutant(
        "lost-answer-sent-again",
        "a response that Stripe has is not sent again",
        (
            Edit(
                STRIPE_PY,
                "if request.dispute is None or not _needs_response(report):",
                "if request.dispute is None:",
            ),
        ),
        (STRIPE_TEST,),
    ),
)
