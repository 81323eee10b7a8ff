"""Mutants of holds: reservation, capture, cancellation, expiry; and of dashboards."""

from typing import Final

from mutants.mutant import Edit, Mutant

POSTING_PY: Final = "atomic_core/domain/posting.py"
SETTLEMENT_DOMAIN_PY: Final = "atomic_core/domain/settlement.py"
SETTLEMENT_PY: Final = "atomic_core/use_cases/settlement.py"
PAYMENTS_SQL: Final = "atomic_adapters/postgres/payments.sql"
LIFECYCLE_SQL: Final = "migrations/0008.payment-life.sql"
TOTALS_SQL: Final = "migrations/0017.payment-totals.sql"

HOLDS_PROPERTY_TEST: Final = "tests/property/test_holds.py"
HOLDS_TEST: Final = "tests/contract/test_holds.py"
REFUNDS_TEST: Final = "tests/contract/test_refunds.py"
DASHBOARD_PROPERTY_TEST: Final = "tests/property/test_dashboard.py"
TOTALS_CONTRACT_TEST: Final = "tests/contract/test_payment_totals.py"
TOTALS_INTEGRATION_TEST: Final = "tests/integration/test_payment_totals.py"
RACES_TEST: Final = "tests/integration/test_races.py"

PAYMENT_MUTANTS: Final = (
    Mutant(
        "reserved-funds-reused",
        "funds reserved for one refund cannot be reserved for another",
        (
            Edit(
                POSTING_PY,
                "            min_balance + account.pending_out,\n",
                "            min_balance,\n",
            ),
        ),
        (HOLDS_PROPERTY_TEST, REFUNDS_TEST, RACES_TEST),
    ),
    Mutant(
        "hold-ignores-max-balance",
        "a captured hold never exceeds the maximum balance",
        (
            Edit(
                POSTING_PY,
                "            max_balance - account.pending_in,\n",
                "            max_balance,\n",
            ),
        ),
        (HOLDS_PROPERTY_TEST, HOLDS_TEST),
    ),
    Mutant(
        "batch-reservations-ignored",
        "two refunds of one batch cannot reserve the same funds",
        (
            Edit(
                POSTING_PY,
                "    states[hold.debit_account_id].min_balance += amount\n",
                "",
            ),
        ),
        (REFUNDS_TEST, HOLDS_PROPERTY_TEST),
    ),
    Mutant(
        "refund-before-reservation",
        "the network refunds only reserved funds",
        (
            Edit(
                SETTLEMENT_PY,
                "if claim.refund_id and not claim.reserved]",
                "if not claims]",
            ),
        ),
        (REFUNDS_TEST, RACES_TEST),
    ),
    Mutant(
        "stale-claim-decides",
        "the worker that authorized a hold cannot change it once it is captured",
        (
            Edit(
                PAYMENTS_SQL,
                "cancellation_reason = %(reason)s, attempt = attempt + 1, faults = 0,\n",
                "cancellation_reason = %(reason)s, faults = 0,\n",
            ),
            Edit(LIFECYCLE_SQL, " OR NEW.attempt <= OLD.attempt\n", "\n"),
        ),
        (HOLDS_TEST,),
    ),
    Mutant(
        "hold-expires-early",
        "a hold never expires early",
        (Edit(PAYMENTS_SQL, "           AND expires_at <= now()\n", ""),),
        (HOLDS_TEST,),
    ),
    Mutant(
        "hold-never-expires",
        "a hold that is never captured expires",
        (
            Edit(
                "atomic_worker/settlement/sweeper.py",
                "        expired = self.application.settlement.expire_holds()\n",
                "        expired = 0\n",
            ),
        ),
        ("tests/unit/test_sweeper.py",),
    ),
    Mutant(
        "hold-resolved-without-lock",
        "a capture or cancellation locks the payment before checking its state",
        (
            Edit(
                PAYMENTS_SQL,
                " WHERE id = %(id)s\n   AND merchant_id = %(merchant_id)s\n   FOR NO KEY UPDATE\n",
                " WHERE id = %(id)s\n   AND merchant_id = %(merchant_id)s\n",
            ),
        ),
        (RACES_TEST,),
    ),
    Mutant(
        "capture-ignores-amount",
        "a capture takes only the requested amount",
        (
            Edit(
                SETTLEMENT_DOMAIN_PY,
                "return claim.amount if claim.capture_amount is None else claim.capture_amount",
                "return claim.amount",
            ),
        ),
        (HOLDS_TEST,),
    ),
    Mutant(
        "void-keeps-hold",
        "a voided hold is no longer pending",
        (
            Edit(
                SETTLEMENT_DOMAIN_PY,
                "        released_hold=build_hold(claim),\n    )",
                "        released_hold=build_hold(claim) if legs else None,\n    )",
            ),
        ),
        (HOLDS_TEST,),
    ),
    Mutant(
        "totals-count-requested-amounts",
        "totals count what was captured of a hold, not what was requested",
        (
            Edit(
                TOTALS_SQL,
                "WHEN 'SUCCESS' THEN coalesce(n.capture_amount, n.amount)\n",
                "WHEN 'SUCCESS' THEN n.amount\n",
            ),
        ),
        (DASHBOARD_PROPERTY_TEST, TOTALS_CONTRACT_TEST),
    ),
    Mutant(
        "totals-ignore-refunds",
        "a refund that succeeds changes the totals in the same commit",
        (
            Edit(
                TOTALS_SQL,
                "coalesce(n.amount_refunded, 0) AS refunded, ",
                "coalesce(NULL::bigint, 0) AS refunded, ",
            ),
            Edit(
                TOTALS_SQL,
                "                   -coalesce(o.amount_refunded, 0), ",
                "                   0, ",
            ),
        ),
        (DASHBOARD_PROPERTY_TEST, TOTALS_CONTRACT_TEST),
    ),
    Mutant(
        "totals-keep-what-changed",
        "a payment that leaves a status leaves its total",
        (
            Edit(
                TOTALS_SQL,
                "             WHERE o.phase <> 'OPEN') change\n",
                "             WHERE false) change\n",
            ),
        ),
        (DASHBOARD_PROPERTY_TEST, TOTALS_CONTRACT_TEST),
    ),
    Mutant(
        "totals-share-a-slot",
        "transactions do not wait for one another's totals",
        (
            Edit(
                TOTALS_SQL,
                "            free_slot := (pg_backend_pid() + number) % slots;\n",
                "            free_slot := 0;\n",
            ),
        ),
        (TOTALS_INTEGRATION_TEST,),
    ),
    Mutant(
        "totals-by-local-day",
        "a day begins at midnight UTC in every session's time zone",
        (
            Edit(
                TOTALS_SQL,
                "SELECT change.merchant_id, (change.created_at AT TIME ZONE 'UTC')::date,",
                "SELECT change.merchant_id, change.created_at::date,",
            ),
        ),
        (TOTALS_INTEGRATION_TEST,),
    ),
    Mutant(
        "totals-of-earlier-payments-missing",
        "the migration totals the payments that are there",
        (Edit(TOTALS_SQL, "    PERFORM correct_payment_totals();\n", "    NULL;\n"),),
        (TOTALS_INTEGRATION_TEST,),
    ),
    Mutant(
        "concurrent-corrections-add-twice",
        "concurrent corrections of totals correct once",
        (
            Edit(
                TOTALS_SQL,
                "    PERFORM pg_advisory_xact_lock('payment_totals'::regclass::integer,"
                " correction_slot);\n",
                "",
            ),
        ),
        (TOTALS_INTEGRATION_TEST,),
    ),
    Mutant(
        "verify-ignores-totals",
        "verification finds a total that is not the sum of its payments",
        (
            Edit(
                "atomic_adapters/postgres/ledger_verification.sql",
                " WHERE (coalesce(total.payments, 0), coalesce(total.amount, 0),",
                " WHERE false AND (coalesce(total.payments, 0), coalesce(total.amount, 0),",
            ),
        ),
        (TOTALS_CONTRACT_TEST,),
    ),
    Mutant(
        "memory-verify-ignores-totals",
        "verification in memory finds a total that is not the sum of its payments",
        (
            Edit(
                "atomic_adapters/memory/payment_totals.py",
                "        if total != expected:\n",
                "        if total.count != expected.count:\n",
            ),
        ),
        (TOTALS_CONTRACT_TEST,),
    ),
    Mutant(
        "dashboard-net-includes-fees",
        "the net amount of a dashboard is what the merchant's accounts received",
        (
            Edit(
                "atomic_core/domain/dashboard.py",
                "net = captured - row.refunded - row.fees",
                "net = captured - row.refunded",
            ),
        ),
        (DASHBOARD_PROPERTY_TEST,),
    ),
)
