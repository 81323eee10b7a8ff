"""Mutants of balances by time and of closed periods: moments, snapshots, shifts, guards."""

from typing import Final

from mutants.mutant import Edit, Mutant

BALANCES_SQL: Final = "atomic_adapters/postgres/balances.sql"
TIME_MIGRATION: Final = "migrations/0034.balances-by-time.sql"
PERIODS_MIGRATION: Final = "migrations/0035.ledger-periods.sql"
PERIODS_SQL: Final = "atomic_adapters/postgres/periods.sql"
PERIODS_PY: Final = "atomic_core/domain/periods.py"
VERIFICATION_SQL: Final = "atomic_adapters/postgres/ledger_verification.sql"

CONTRACT_TEST: Final = "tests/contract/test_balances.py"
PERIODS_TEST: Final = "tests/contract/test_periods.py"
GUARDS_TEST: Final = "tests/integration/test_balance_guards.py"
PROPERTY_TEST: Final = "tests/property/test_balances.py"
RACES_TEST: Final = "tests/integration/test_journal_races.py"

BALANCE_MUTANTS: Final = (
    Mutant(
        "balance-includes-the-moment-after",
        "a balance has the entries before its moment, and none at it",
        (
            Edit(
                TIME_MIGRATION,
                "WHERE t.id = e.transaction_id) < before",
                "WHERE t.id = e.transaction_id) <= before",
            ),
        ),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "balance-trusts-the-snapshot-of-its-day",
        "the search ends at a snapshot of a later day: that of its own day may lack entries",
        (Edit(TIME_MIGRATION, " + interval '1 day' - interval '1 microsecond'", ""),),
        (CONTRACT_TEST, PROPERTY_TEST),
    ),
    Mutant(
        "shift-is-not-subtracted-when-posted",
        "a shifted entry counts once on the effective axis",
        (
            Edit(
                TIME_MIGRATION,
                "(VALUES (effective_at, amount), (posted_at, -amount))",
                "(VALUES (effective_at, amount))",
            ),
        ),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "shift-of-the-last-minute-is-left-out",
        "the sum of shifts goes up to the moment",
        (
            Edit(
                TIME_MIGRATION,
                "('moment', date_trunc('minute', before, 'UTC'), before)",
                "('moment', date_trunc('minute', before, 'UTC'),"
                " date_trunc('minute', before, 'UTC'))",
            ),
        ),
        (CONTRACT_TEST, PROPERTY_TEST),
    ),
    Mutant(
        "snapshot-does-not-advance",
        "a snapshot is replaced by that of an entry of its day that was committed later",
        (
            Edit(
                BALANCES_SQL,
                "DO UPDATE SET sequence = excluded.sequence, balance = excluded.balance\n"
                "           WHERE kept.sequence < excluded.sequence",
                "DO NOTHING",
            ),
        ),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "snapshots-are-taken-by-many",
        "a second process that takes snapshots does not wait for the first",
        (Edit(BALANCES_SQL, "   FOR NO KEY UPDATE SKIP LOCKED", ""),),
        (GUARDS_TEST,),
    ),
    Mutant(
        "snapshot-guard-is-off",
        "the database refuses a snapshot that is not that of an entry",
        (Edit(TIME_MIGRATION, "AND e.sequence = NEW.sequence) IS NOT TRUE", ") IS NULL"),),
        (GUARDS_TEST,),
    ),
    Mutant(
        "shift-check-is-off",
        "verification finds a shift that is not the sum of its entries",
        (
            Edit(
                VERIFICATION_SQL,
                "WHERE coalesce(kept.amount, 0) <> coalesce(sums.amount, 0)",
                "WHERE false",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "period-closes-without-locks",
        "what is being posted is committed before the closing balances are read",
        (Edit(PERIODS_SQL, " ORDER BY id\n   FOR NO KEY UPDATE", " ORDER BY id"),),
        (RACES_TEST,),
    ),
    Mutant(
        "period-posts-pending-transactions",
        "a pending transaction that takes effect in a closed period is refused with its code",
        (
            Edit(
                "atomic_core/use_cases/pending_transactions.py",
                "        build_period_check(work, pending.merchant_id)(pending.effective_at)\n",
                "",
            ),
        ),
        (PERIODS_TEST,),
    ),
    Mutant(
        "period-digest-without-the-one-before",
        "the digest of a period covers all periods before",
        (
            Edit(
                PERIODS_PY,
                "        f\"previous {previous_digest.hex() if previous_digest else '-'}\",\n",
                '        "previous -",\n',
            ),
        ),
        (PERIODS_TEST,),
    ),
    Mutant(
        "period-guard-is-off",
        "the database refuses what takes effect in a closed period",
        (
            Edit(
                PERIODS_MIGRATION,
                "IF NEW.effective_at >= date_trunc('day', clock_timestamp(), 'UTC') THEN",
                "IF true THEN",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "closing-balances-are-not-verified",
        "verification finds a closing balance that is not the sum of its entries",
        (Edit(VERIFICATION_SQL, " WHERE wrong.kept <> wrong.total", " WHERE false"),),
        (PERIODS_TEST,),
    ),
    Mutant(
        "explanation-counts-later-entries",
        "an explanation has no entries after its second moment",
        (
            Edit(
                "atomic_core/use_cases/explanations.py",
                "top = closing.sequence if after is None",
                "top = account.sequence if after is None",
            ),
        ),
        ("tests/contract/test_explanations.py",),
    ),
)
