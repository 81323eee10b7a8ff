"""Mutants of dashboards and of the totals that they show."""

from typing import Final

from mutants.mutant import Edit, Mutant

TOTALS_SQL: Final = "migrations/0017.payment-totals.sql"

DASHBOARD_CONTRACT_TEST: Final = "tests/contract/test_dashboard.py"
DASHBOARD_PROPERTY_TEST: Final = "tests/property/test_dashboard.py"
TOTALS_CONTRACT_TEST: Final = "tests/contract/test_payment_totals.py"
TOTALS_INTEGRATION_TEST: Final = "tests/integration/test_payment_totals.py"

TOTAL_MUTANTS: Final = (
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
        (TOTALS_CONTRACT_TEST, DASHBOARD_PROPERTY_TEST),
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
        (TOTALS_CONTRACT_TEST, DASHBOARD_PROPERTY_TEST),
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
        (TOTALS_CONTRACT_TEST, DASHBOARD_PROPERTY_TEST),
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
        "open-payments-share-the-maximum",
        "open payments are counted up to the maximum in each currency",
        (
            Edit(
                "atomic_adapters/postgres/dashboard.sql",
                "                      AND probed.currency = merchant_currencies.currency\n",
                "                      AND probed.currency = 'USD'\n",
            ),
        ),
        (DASHBOARD_CONTRACT_TEST,),
    ),
    Mutant(
        "sessions-compile-statements",
        "no session compiles statements",
        (
            Edit(
                "atomic_adapters/postgres/session_settings.py",
                "set_config('jit', 'off', {is_local})",
                "set_config('jit', 'on', {is_local})",
            ),
        ),
        ("tests/integration/test_connections.py",),
    ),
)
