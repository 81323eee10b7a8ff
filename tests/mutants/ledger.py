"""Mutants of the ledger: database guards, transactions, verification."""

from typing import Final

from mutants.mutant import Edit, Mutant

LIFECYCLE_SQL: Final = "migrations/0008.payment-life.sql"
POSTING_TIMES_SQL: Final = "migrations/0012.posting-times.sql"

COMMIT_GUARDS_SQL: Final = "migrations/0014.commit-guards.sql"
PENDING_SQL: Final = "migrations/0030.pending-transactions.sql"
COMMIT_CHECKS_SQL: Final = "migrations/0022.commit-checks.sql"
SUCCESS_CHECKS_SQL: Final = "migrations/0023.success-checks.sql"
ACCEPT_TRIGGER_SQL: Final = "migrations/0024.accept-trigger.sql"

GUARDS_TEST: Final = "tests/integration/test_guards.py"
POSTING_TIMES_TEST: Final = "tests/contract/test_posting_times.py"
COMMIT_GUARDS_TEST: Final = "tests/integration/test_commit_guards.py"

SESSION_PY: Final = "atomic_adapters/postgres/database_session.py"
PIPELINE_TEST: Final = "tests/integration/test_statement_pipeline.py"

LEDGER_MUTANTS: Final = (
    Mutant(
        "payment-for-any-account",
        "a payment is for an account of its merchant in its currency",
        (Edit(ACCEPT_TRIGGER_SQL, "IS NOT TRUE)", "IS NULL)"),),
        (GUARDS_TEST,),
    ),
    Mutant(
        "payment-for-no-account",
        "a payment is for an account that exists",
        (Edit(ACCEPT_TRIGGER_SQL, "IS NOT TRUE)", "IS FALSE)"),),
        (GUARDS_TEST,),
    ),
    Mutant(
        "metadata-of-first-payment-decides",
        "the metadata of each payment of a batch is listed",
        (Edit(ACCEPT_TRIGGER_SQL, "bool_or(n.metadata", "bool_and(n.metadata"),),
        ("tests/contract/test_payment_store.py",),
    ),
    Mutant(
        "rows-of-a-pipeline-not-checked",
        "a statement of a pipeline that affects other rows than it must prevents the commit",
        (
            Edit(
                SESSION_PY,
                "            self._pipeline.close()\n        self._check_rows()\n",
                "            self._pipeline.close()\n",
            ),
        ),
        (PIPELINE_TEST,),
    ),
    Mutant(
        "commit-before-the-errors-of-a-pipeline",
        "an error of a statement in a pipeline is raised as what it is",
        (Edit(SESSION_PY, "        with map_errors():\n            self._pipeline.close()\n", ""),),
        (PIPELINE_TEST,),
    ),
    Mutant(
        "duplicate-posting-allowed",
        "the database refuses a second posting of a payment: UNIQUE (payment_id, kind, refund_id)",
        (
            Edit(
                LIFECYCLE_SQL,
                "UNIQUE NULLS NOT DISTINCT (payment_id, kind, refund_id)",
                "UNIQUE (payment_id, kind, refund_id, id)",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "no-posting-guard-at-all",
        "a payment is posted once: without fencing token, UNIQUE, final statuses and the check of"
        " its posting it is posted again, and every sum still agrees",
        (
            Edit(
                "atomic_adapters/postgres/payments.sql",
                " WHERE payments.attempt = claim.attempt\n"
                "   AND payments.status IN ('PROCESSING', 'REQUIRES_ACTION')\n",
                " WHERE true\n",
            ),
            Edit(
                LIFECYCLE_SQL,
                "UNIQUE NULLS NOT DISTINCT (payment_id, kind, refund_id)",
                "UNIQUE (payment_id, kind, refund_id, id)",
            ),
            Edit(
                LIFECYCLE_SQL,
                "CREATE TRIGGER payments_settled_are_final\n    BEFORE UPDATE ON payments\n",
                "CREATE TRIGGER payments_settled_are_final\n"
                "    BEFORE UPDATE OF webhook_url ON payments\n",
            ),
            Edit(
                SUCCESS_CHECKS_SQL,
                "     WHERE n.status = 'SUCCESS' AND n.refunds_reserved IS NULL\n",
                "     WHERE false\n",
            ),
        ),
        ("tests/contract/test_payments.py",),
        ("worker-freeze-after-claim", "network-frozen"),
    ),
    Mutant(
        "entries-not-checked",
        "the database refuses entries that do not balance, or do not continue their account",
        (
            Edit(
                POSTING_TIMES_SQL,
                "BEGIN\n    SELECT array_agg(sums.id), sum(sums.legs)",
                "BEGIN\n    RETURN NULL;\n    SELECT array_agg(sums.id), sum(sums.legs)",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "success-not-checked",
        "the database refuses a payment that succeeds without its posting",
        (
            Edit(
                SUCCESS_CHECKS_SQL,
                "     WHERE n.status = 'SUCCESS' AND n.refunds_reserved IS NULL\n",
                "     WHERE false\n",
            ),
        ),
        (COMMIT_GUARDS_TEST,),
    ),
    Mutant(
        "posted-amounts-not-checked",
        "the database refuses a success with other accounts, another amount or another fee",
        (
            Edit(
                SUCCESS_CHECKS_SQL,
                "            HAVING sum(CASE WHEN e.account_id = world.id AND e.amount = -n.capt",
                "            HAVING false AND"
                " sum(CASE WHEN e.account_id = world.id AND e.amount = -n.capt",
            ),
        ),
        (COMMIT_GUARDS_TEST,),
    ),
    Mutant(
        "posted-legs-not-counted",
        "the database refuses a success with more legs than its posting has",
        (
            Edit(
                SUCCESS_CHECKS_SQL,
                "                OR count(*) <> 1 + CASE",
                "                OR false AND count(*) <> 1 + CASE",
            ),
        ),
        (COMMIT_GUARDS_TEST,),
    ),
    Mutant(
        "posting-without-success",
        "the database refuses to commit a posting of a payment that did not succeed",
        (
            Edit(
                COMMIT_GUARDS_SQL,
                "         WHERE p.id = ANY (NEW.payment_ids) AND p.status = 'SUCCESS')\n",
                "         WHERE p.id = ANY (NEW.payment_ids))\n",
            ),
        ),
        (COMMIT_GUARDS_TEST,),
    ),
    Mutant(
        "guards-read-temporary-tables",
        "no guard reads a temporary table instead of the books",
        (
            Edit(
                COMMIT_GUARDS_SQL,
                "SET search_path = pg_catalog, %I, pg_temp'",
                "SET search_path = pg_temp, pg_catalog, %I'",
            ),
        ),
        (COMMIT_GUARDS_TEST,),
    ),
    Mutant(
        "pending-sums-not-checked",
        "the database refuses pending amounts that do not follow from holds",
        (
            Edit(
                PENDING_SQL,
                "    IF NOT EXISTS (SELECT FROM new_accounts n\n",
                "    IF true OR NOT EXISTS (SELECT FROM new_accounts n\n",
            ),
        ),
        (COMMIT_GUARDS_TEST,),
    ),
    Mutant(
        "pending-record-writable",
        "what was pending before a transaction is recorded by the database only",
        (
            Edit(
                COMMIT_GUARDS_SQL,
                "    BEFORE UPDATE OF pending_in, pending_out, summed_by, summed_since,"
                " pending_in_before,\n                     pending_out_before\n",
                "    BEFORE UPDATE OF pending_in, pending_out\n",
            ),
        ),
        (COMMIT_GUARDS_TEST,),
    ),
    Mutant(
        "account-opens-with-pending-record",
        "an account is opened without a record of what was pending",
        (
            Edit(
                COMMIT_GUARDS_SQL,
                "NEW.pending_out <> 0 OR NEW.summed_by IS NOT NULL)",
                "NEW.pending_out <> 0)",
            ),
        ),
        (COMMIT_GUARDS_TEST,),
    ),
    Mutant(
        "balances-not-checked",
        "the database refuses a balance that differs from its entries",
        (
            Edit(
                COMMIT_CHECKS_SQL,
                "WHERE a.id = checked.id) IS NOT TRUE\n",
                "WHERE a.id = checked.id) IS NULL\n",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "changed-balances-not-collected",
        "the database checks at the commit which balances changed",
        (
            Edit(
                COMMIT_CHECKS_SQL,
                "(n.balance, n.sequence, n.head) IS DISTINCT FROM (o.balance, o.sequence, o.head)",
                "n.balance IS NULL",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "new-accounts-not-collected",
        "the database refuses an account that begins with a balance",
        (
            Edit(
                COMMIT_CHECKS_SQL,
                "    AFTER INSERT ON accounts\n"
                "    REFERENCING NEW TABLE AS new_accounts\n"
                "    FOR EACH STATEMENT EXECUTE",
                "    AFTER INSERT ON accounts\n"
                "    REFERENCING NEW TABLE AS new_accounts\n"
                "    FOR EACH STATEMENT WHEN (false) EXECUTE",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "entries-mutable",
        "the database refuses to change or delete an entry",
        (
            Edit(
                "migrations/0002.ledger.sql",
                "    BEFORE UPDATE OR DELETE OR TRUNCATE ON entries\n",
                "    BEFORE TRUNCATE ON entries\n",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "rollback-commits",
        "a unit of work that is left without a commit changes nothing",
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
        "failed-commit-ignored",
        "a COMMIT that PostgreSQL answers with ROLLBACK raises an error",
        (
            Edit(
                "atomic_adapters/postgres/database_session.py",
                'if result != "COMMIT":',
                "if not result:",
            ),
        ),
        ("tests/integration/test_connections.py",),
    ),
    Mutant(
        "hash-chain-not-verified",
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
        "hash-without-previous-entry",
        "the hash of an entry includes the hash of the previous entry",
        (
            Edit(
                "atomic_core/domain/posting.py",
                "hashlib.sha256(state.head + canonical + suffix)",
                "hashlib.sha256(canonical + suffix)",
            ),
        ),
        ("tests/unit/test_ledger.py", "tests/contract/test_ledger_verification.py"),
    ),
    Mutant(
        "ledger-never-verified",
        "the sweeper verifies the ledger periodically",
        (
            Edit(
                "atomic_worker/settlement/sweeper.py",
                "        self._verify_if_due()\n        return interval\n",
                "        return interval\n",
            ),
        ),
        ("tests/unit/test_sweeper.py",),
    ),
    Mutant(
        "client-clock-used",
        "ledger timestamps are those of the database, not of the worker",
        (
            Edit(
                "atomic_adapters/postgres/unit_of_work.py",
                '        return self._session.fetch_one(_SQL["read_clock"])[0]\n',
                "        from datetime import UTC\n\n        return datetime.now(UTC)\n",
            ),
        ),
        ("tests/integration/test_database_clock.py",),
    ),
    Mutant(
        "posting-time-falls",
        "a batch is posted no earlier than the last entry of any of its accounts",
        (
            Edit(
                "atomic_core/domain/posting.py",
                "    posted_at = find_posting_time(accounts, now)\n",
                "    posted_at = now\n",
            ),
        ),
        (POSTING_TIMES_TEST,),
    ),
    Mutant(
        "old-entries-have-no-time",
        "an account without a stored posting time continues from the time of its last entry",
        (
            Edit(
                "atomic_adapters/postgres/fragments/account_columns.sql",
                "WHERE entries.account_id = accounts.id\n",
                "WHERE entries.account_id IS NULL\n",
            ),
        ),
        ("tests/integration/test_database_clock.py",),
    ),
    Mutant(
        "falling-posting-time-not-refused",
        "the database refuses an entry that is posted before the last one of its account",
        (
            Edit(
                POSTING_TIMES_SQL,
                " AND t.posted_at >= coalesce(last_time, t.posted_at))\n",
                ")\n",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "stored-posting-time-may-change",
        "the database refuses to change an account's last posting time without an entry",
        (
            Edit(
                POSTING_TIMES_SQL,
                "               OR NEW.sequence <= OLD.sequence))\n",
                "               ))\n",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "falling-posting-time-not-found",
        "`verify` finds an entry that was posted before the previous one of its account",
        (
            Edit(
                "atomic_adapters/postgres/ledger_verification.sql",
                "WHERE c.posted_at < c.previous_posted_at\n",
                "WHERE c.posted_at IS NULL\n",
            ),
        ),
        (POSTING_TIMES_TEST,),
    ),
)
