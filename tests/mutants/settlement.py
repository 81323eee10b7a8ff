"""Mutants of settlement: claims, locks, wake-ups, dead workers."""

from typing import Final

from mutants.mutant import Edit, Mutant

PAYMENTS_SQL: Final = "atomic_adapters/postgres/payments.sql"
SETTLEMENT_PY: Final = "atomic_core/use_cases/settlement.py"

SETTLEMENT_TEST: Final = "tests/contract/test_settlement.py"
PAYMENTS_TEST: Final = "tests/contract/test_payments.py"
LIVENESS_TEST: Final = "tests/contract/test_worker_liveness.py"
LOCKS_TEST: Final = "tests/integration/test_locks.py"

SETTLE: Final = "        claimed = context.lanes.settle()\n"

SETTLEMENT_MUTANTS: Final = (
    Mutant(
        "no-claim-guard",
        "a worker whose claim was taken over changes nothing",
        (
            Edit(
                PAYMENTS_SQL,
                " WHERE payments.attempt = claim.attempt\n"
                "   AND payments.status IN ('PROCESSING', 'REQUIRES_ACTION')\n"
                " ORDER BY payments.id\n",
                " WHERE payments.attempt >= claim.attempt\n"
                "   AND payments.status IN ('PROCESSING', 'REQUIRES_ACTION')\n"
                " ORDER BY payments.id\n",
            ),
        ),
        (PAYMENTS_TEST, SETTLEMENT_TEST),
    ),
    Mutant(
        "attempt-not-incremented",
        "each claim has its own fencing token",
        (
            Edit(
                PAYMENTS_SQL,
                "SET status = 'PROCESSING', attempt = payments.attempt + 1,",
                "SET status = 'PROCESSING', attempt = payments.attempt,",
            ),
        ),
        (PAYMENTS_TEST, SETTLEMENT_TEST),
    ),
    Mutant(
        "claims-locked-unsorted",
        "two workers never deadlock on payments",
        (
            Edit(
                PAYMENTS_SQL,
                " ORDER BY payments.id\n   FOR NO KEY UPDATE OF payments",
                "   FOR NO KEY UPDATE OF payments",
            ),
        ),
        (LOCKS_TEST,),
    ),
    Mutant(
        "accounts-locked-unsorted",
        "two workers never deadlock on accounts",
        (
            Edit(
                "atomic_adapters/postgres/ledger.sql",
                " WHERE id = ANY(%(ids)b)\n ORDER BY id\n   FOR NO KEY UPDATE\n",
                " WHERE id = ANY(%(ids)b)\n   FOR NO KEY UPDATE\n",
            ),
        ),
        (LOCKS_TEST,),
    ),
    Mutant(
        "no-world-lock",
        "the World account is locked from reading its balance to writing it",
        (
            Edit(
                "atomic_adapters/postgres/ledger.sql",
                " WHERE id = ANY(%(ids)b)\n ORDER BY id\n   FOR NO KEY UPDATE\n",
                " WHERE id = ANY(%(ids)b)\n ORDER BY id\n",
            ),
        ),
        (LOCKS_TEST, SETTLEMENT_TEST),
    ),
    Mutant(
        "claim-waits-for-locks",
        "workers skip payments that others have locked (SKIP LOCKED)",
        (
            Edit(
                "atomic_adapters/postgres/fragments/due_items.sql",
                "       FOR NO KEY UPDATE SKIP LOCKED\n",
                "       FOR NO KEY UPDATE\n",
            ),
        ),
        (LOCKS_TEST,),
    ),
    Mutant(
        "lease-never-expires",
        "the claims of a stuck worker are taken over when their lease expires",
        (
            Edit(
                "atomic_adapters/postgres/fragments/due_items.sql",
                "(coalesce(leased_until, due_at) <= now() - %(overdue_by)s::interval\n",
                "(leased_until IS NULL AND due_at <= now() - %(overdue_by)s::interval\n",
            ),
        ),
        (PAYMENTS_TEST, SETTLEMENT_TEST),
    ),
    Mutant(
        "dead-worker-keeps-claims",
        "the claims of a killed worker are taken over at once",
        (
            Edit(
                "atomic_adapters/postgres/fragments/due_items.sql",
                "OR pg_try_advisory_xact_lock_shared('claimants'::regclass::integer, claimed_by))",
                "OR false)",
            ),
        ),
        (LIVENESS_TEST,),
        ("worker-kill-after-claim", "worker-kill-in-batch"),
    ),
    Mutant(
        "cut-session-loses-claims",
        "claims made under a session that was cut are kept until their lease expires",
        (
            Edit(
                PAYMENTS_SQL,
                "claimed_by = worker.id,",
                "claimed_by = %(worker_id)s::integer,",
            ),
        ),
        (LIVENESS_TEST,),
    ),
    Mutant(
        "liveness-ends-with-transaction",
        "a worker is alive until its process ends, and no longer",
        (
            Edit(
                "atomic_adapters/postgres/worker_liveness.sql",
                "pg_try_advisory_lock(",
                "pg_try_advisory_xact_lock(",
            ),
        ),
        (LIVENESS_TEST,),
    ),
    Mutant(
        "sweeper-settles-nothing",
        "the sweeper settles payments without a wake-up",
        (
            Edit(
                "atomic_worker/settlement/sweeper.py",
                "        expired = self.application.settlement.expire_holds()\n",
                "        return 0\n        expired = self.application.settlement.expire_holds()\n",
            ),
        ),
        ("tests/unit/test_sweeper.py",),
        ("valkey-kill",),
    ),
    Mutant(
        "refused-charge-stays-settled",
        "a charge that the ledger refuses is not saved as a success",
        (
            Edit(
                "atomic_core/use_cases/settlement_posting.py",
                "        raise ChargeRefused\n",
                "        pass\n",
            ),
        ),
        ("tests/contract/test_settlement.py",),
    ),
    Mutant(
        "no-wakeup-at-start",
        "a started worker does what the wake-up of its killed predecessor announced",
        (
            Edit(
                "atomic_worker/settlement_worker.py",
                "        enqueue_wakeup(worker.queues[0], wake_up)\n",
                "        pass\n",
            ),
        ),
        ("tests/integration/test_worker.py",),
    ),
    Mutant(
        "wakeup-cleared-late",
        "a payment that arrives during a settlement causes another wake-up",
        (
            Edit(
                "atomic_worker/jobs.py",
                "    application.job_queue.clear(Job.SETTLE)\n    try:\n" + SETTLE,
                "    try:\n" + SETTLE + "        application.job_queue.clear(Job.SETTLE)\n",
            ),
        ),
        ("tests/unit/test_jobs.py",),
    ),
    Mutant(
        "network-called-with-locks",
        "no locks are held during a call of the card network",
        (
            Edit(
                SETTLEMENT_PY,
                "            decisions = [\n",
                "            calls = NetworkCalls(self.card_network, self.network_timeout)\n"
                "            called_claims = calls.call([claim for claim, _ in called_claims])\n"
                "            decisions = [\n",
            ),
            Edit(
                SETTLEMENT_PY,
                "            called_claims = network_calls.call(claims_to_call)\n",
                "            called_claims = [(claim, None) for claim in claims_to_call]\n",
            ),
        ),
        (SETTLEMENT_TEST, LIVENESS_TEST),
    ),
    Mutant(
        "lost-commit-not-retried",
        "a batch whose COMMIT got no reply is retried, and found if it was committed",
        (
            Edit(
                SETTLEMENT_PY,
                "_retry_transient(lambda: write(called_claims))",
                "write(called_claims)",
            ),
        ),
        (SETTLEMENT_TEST,),
    ),
    Mutant(
        "network-called-in-transaction",
        "no transaction is open during a call of the card network",
        (
            Edit(
                SETTLEMENT_PY,
                "            called_claims = network_calls.call(claims_to_call)\n",
                "            with self.begin():\n"
                "                called_claims = network_calls.call(claims_to_call)\n",
            ),
        ),
        ("tests/contract/test_network_calls_outside_transactions.py",),
    ),
    Mutant(
        "lost-claims-kept",
        "claims whose COMMIT got no reply are due at once",
        (
            Edit(
                SETTLEMENT_PY,
                "                self.worker_liveness.deregister()\n                raise\n",
                "                raise\n",
            ),
        ),
        (LIVENESS_TEST,),
        ("commit-reply-lost",),
    ),
    Mutant(
        "batch-not-bisected",
        "a payment that the database refuses does not delay others",
        (
            Edit(
                SETTLEMENT_PY,
                "        if len(called_claims) == 1:\n",
                "        if called_claims:\n",
            ),
        ),
        (SETTLEMENT_TEST,),
    ),
    Mutant(
        "settlement-waits-for-accounts",
        "a locked account delays only its own payments",
        (
            Edit(
                "atomic_adapters/postgres/ledger.sql",
                "   FOR NO KEY UPDATE SKIP LOCKED\n",
                "   FOR NO KEY UPDATE\n",
            ),
        ),
        (LOCKS_TEST,),
    ),
    Mutant(
        "frozen-process-keeps-locks",
        "a process that freezes in a transaction loses its locks after five seconds",
        (
            Edit(
                "atomic_adapters/postgres/session_settings.py",
                '"idle": IDLE_IN_TRANSACTION_SECONDS,',
                '"idle": 0,',
            ),
        ),
        ("tests/integration/test_connections.py",),
    ),
    Mutant(
        "dead-process-keeps-locks",
        "a process that is killed while it waits for a lock loses its own locks at once",
        (
            Edit(
                "atomic_adapters/postgres/session_settings.py",
                '"client_check": CLIENT_CHECK_SECONDS,',
                '"client_check": 0,',
            ),
        ),
        ("tests/integration/test_worker_liveness.py",),
    ),
)
