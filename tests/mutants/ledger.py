"""Mutants of the books: what the database refuses, what is undone, what `verify` sees."""

from typing import Final

from mutants.mutant import Edit, Mutant

LIFE: Final = "migrations/0008.payment-life.sql"

GUARDS: Final = "tests/integration/test_guards.py"

BOOKS: Final = (
    Mutant(
        "posted-twice",
        "the database refuses a second posting of a payment: UNIQUE (payment_id, kind, refund_id)",
        (
            Edit(
                LIFE,
                "UNIQUE NULLS NOT DISTINCT (payment_id, kind, refund_id)",
                "UNIQUE (payment_id, kind, refund_id, id)",
            ),
        ),
        (GUARDS,),
    ),
    Mutant(
        "nothing-stands-behind",
        "a payment is posted once: without fence, UNIQUE and final statuses it is posted again,"
        " and every sum still agrees",
        (
            Edit(
                "atomic_adapters/postgres/payments.sql",
                " WHERE payments.attempt = claim.attempt\n   AND payments.status = 'PROCESSING'\n",
                " WHERE true\n",
            ),
            Edit(
                LIFE,
                "UNIQUE NULLS NOT DISTINCT (payment_id, kind, refund_id)",
                "UNIQUE (payment_id, kind, refund_id, id)",
            ),
            Edit(
                LIFE,
                "CREATE TRIGGER payments_settled_are_final\n    BEFORE UPDATE ON payments\n",
                "CREATE TRIGGER payments_settled_are_final\n"
                "    BEFORE UPDATE OF webhook_url ON payments\n",
            ),
        ),
        ("tests/contract/test_payments.py",),
        ("freeze-claimed", "network-frozen"),
    ),
    Mutant(
        "entries-unchecked",
        "the database refuses entries that do not balance, or do not continue their account",
        (
            Edit(
                "migrations/0005.settling.sql",
                "BEGIN\n    SELECT array_agg(sums.id), sum(sums.legs)",
                "BEGIN\n    RETURN NULL;\n    SELECT array_agg(sums.id), sum(sums.legs)",
            ),
        ),
        (GUARDS,),
    ),
    Mutant(
        "balances-unchecked",
        "the database refuses a balance that no entry explains",
        (
            Edit(
                "migrations/0002.ledger.sql",
                "BEGIN\n    PERFORM FROM accounts a\n",
                "BEGIN\n    RETURN NULL;\n    PERFORM FROM accounts a\n",
            ),
        ),
        (GUARDS,),
    ),
    Mutant(
        "entries-can-be-edited",
        "the database refuses to change or delete an entry",
        (
            Edit(
                "migrations/0002.ledger.sql",
                "    BEFORE UPDATE OR DELETE OR TRUNCATE ON entries\n",
                "    BEFORE TRUNCATE ON entries\n",
            ),
        ),
        (GUARDS,),
    ),
    Mutant(
        "rollback-swallowed",
        "a unit of work that was left without commit has done nothing",
        (
            Edit(
                "atomic_adapters/postgres/connections.py",
                'connection.execute(b"ROLLBACK")',
                'connection.execute(b"COMMIT")',
            ),
        ),
        ("tests/contract/test_unit_of_work.py",),
    ),
    Mutant(
        "commit-unread",
        "a COMMIT that PostgreSQL answers with ROLLBACK does not pass for one",
        (
            Edit(
                "atomic_adapters/postgres/session.py",
                'if done != "COMMIT":',
                "if not done:",
            ),
        ),
        ("tests/integration/test_connections.py",),
    ),
    Mutant(
        "chain-unchecked",
        "`verify` recomputes the hash of every entry",
        (
            Edit(
                "atomic_adapters/postgres/ledger_verification.sql",
                "OR c.hash IS DISTINCT FROM sha256(",
                "OR c.hash IS NULL AND c.hash IS DISTINCT FROM sha256(",
            ),
        ),
        ("tests/contract/test_ledger_verification.py",),
    ),
    Mutant(
        "hash-without-history",
        "an entry's hash covers the entry before it",
        (
            Edit(
                "atomic_core/domain/ledger.py",
                "hashlib.sha256(tip.head + canonical + tail)",
                "hashlib.sha256(canonical + tail)",
            ),
        ),
        ("tests/unit/test_ledger.py", "tests/contract/test_ledger_verification.py"),
    ),
    Mutant(
        "books-never-checked",
        "the sweeper checks the books by itself",
        (
            Edit(
                "atomic_worker/settlement/sweeper.py",
                "        self._check_if_due()\n        return interval\n",
                "        return interval\n",
            ),
        ),
        ("tests/unit/test_sweeper.py",),
    ),
    Mutant(
        "time-of-the-client",
        "money's times are the database's, whatever a settler's clock says",
        (
            Edit(
                "atomic_adapters/postgres/unit_of_work.py",
                '        return self._session.one(_SQL["now"])[0]\n',
                "        from datetime import UTC\n\n        return datetime.now(UTC)\n",
            ),
        ),
        ("tests/integration/test_database_clock.py",),
    ),
)
