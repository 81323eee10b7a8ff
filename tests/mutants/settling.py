"""Mutants of settling: claims, locks, bells, dead settlers."""

from typing import Final

from mutants.mutant import Edit, Mutant

PAYMENTS_SQL: Final = "atomic_adapters/postgres/payments.sql"
ENGINE_PY: Final = "atomic_core/use_cases/settlement.py"

ENGINE: Final = "tests/contract/test_settlement.py"
QUEUE: Final = "tests/contract/test_payments.py"
PRESENCE: Final = "tests/contract/test_worker_liveness.py"
LOCKS: Final = "tests/integration/test_locks.py"

SETTLING: Final = (
    Mutant(
        "no-claim-guard",
        "a settler whose claim was taken over changes nothing",
        (
            Edit(
                PAYMENTS_SQL,
                " WHERE payments.attempt = claim.attempt\n",
                " WHERE payments.attempt >= claim.attempt\n",
            ),
        ),
        (QUEUE, ENGINE),
    ),
    Mutant(
        "attempt-not-raised",
        "each claim has a fencing number of its own",
        (
            Edit(
                PAYMENTS_SQL,
                "SET status = 'PROCESSING', attempt = payments.attempt + 1,",
                "SET status = 'PROCESSING', attempt = payments.attempt,",
            ),
        ),
        (QUEUE, ENGINE),
    ),
    Mutant(
        "unsorted-claims",
        "two settlers never wait for each other in a circle (payments)",
        (
            Edit(
                PAYMENTS_SQL,
                " ORDER BY payments.id\n   FOR NO KEY UPDATE OF payments",
                "   FOR NO KEY UPDATE OF payments",
            ),
        ),
        (LOCKS,),
    ),
    Mutant(
        "unsorted-accounts",
        "two settlers never wait for each other in a circle (accounts)",
        (
            Edit(
                "atomic_adapters/postgres/ledger.sql",
                " ORDER BY id\n   FOR NO KEY UPDATE\n",
                "   FOR NO KEY UPDATE\n",
            ),
        ),
        (LOCKS,),
    ),
    Mutant(
        "no-world-lock",
        "the World account is held from reading its balance to writing it",
        (
            Edit(
                "atomic_adapters/postgres/ledger.sql",
                " ORDER BY id\n   FOR NO KEY UPDATE\n",
                " ORDER BY id\n",
            ),
        ),
        (LOCKS, ENGINE),
    ),
    Mutant(
        "waits-for-claims",
        "settlers share the work instead of waiting for each other (SKIP LOCKED)",
        (
            Edit(
                PAYMENTS_SQL,
                "       FOR NO KEY UPDATE SKIP LOCKED\n",
                "       FOR NO KEY UPDATE\n",
            ),
        ),
        (LOCKS,),
    ),
    Mutant(
        "leases-never-end",
        "what a stopped settler holds is taken over when its lease has ended",
        (
            Edit(
                PAYMENTS_SQL,
                "(coalesce(leased_until, due_at) <= now() - %(overdue_by)s::interval\n",
                "(leased_until IS NULL AND due_at <= now() - %(overdue_by)s::interval\n",
            ),
        ),
        (QUEUE, ENGINE),
    ),
    Mutant(
        "the-dead-keep-their-claims",
        "what a killed settler had claimed is taken over at once",
        (
            Edit(
                PAYMENTS_SQL,
                "OR pg_try_advisory_xact_lock_shared('claimants'::regclass::integer, claimed_by))",
                "OR false)",
            ),
        ),
        (PRESENCE,),
        ("kill-claimed", "kill-posting"),
    ),
    Mutant(
        "the-living-lose-their-claims",
        "what is claimed under a session that was cut is kept until its lease ends",
        (
            Edit(
                PAYMENTS_SQL,
                "claimed_by = worker_id.number,",
                "claimed_by = %(worker_id)s::integer,",
            ),
        ),
        (PRESENCE,),
    ),
    Mutant(
        "presence-of-a-moment",
        "a settler is there until its process ends, and no longer",
        (
            Edit(
                "atomic_adapters/postgres/worker_liveness.sql",
                "pg_try_advisory_lock(",
                "pg_try_advisory_xact_lock(",
            ),
        ),
        (PRESENCE,),
    ),
    Mutant(
        "sweeper-off",
        "what no bell announced is settled by the sweeper",
        (
            Edit(
                "atomic_worker/settlement/sweeper.py",
                "        overdue_by = self.settings.sweep_interval / 2\n",
                "        return 0\n        overdue_by = self.settings.sweep_interval / 2\n",
            ),
        ),
        ("tests/unit/test_sweeper.py",),
        ("valkey-kill",),
    ),
    Mutant(
        "bell-answered-late",
        "a payment that arrives while others are settled rings again",
        (
            Edit(
                "atomic_worker/jobs.py",
                "    application.queue.clear(Job.SETTLE)\n    try:\n"
                '        claimed = settle_concurrently(application, "worker", bench.stopping)\n',
                "    try:\n"
                '        claimed = settle_concurrently(application, "worker", bench.stopping)\n'
                "        application.queue.clear(Job.SETTLE)\n",
            ),
        ),
        ("tests/unit/test_jobs.py",),
    ),
    Mutant(
        "network-inside-the-transaction",
        "nobody waits for the card network with locks held",
        (
            Edit(
                ENGINE_PY,
                "            decided = [",
                "            asked = self._ask([claim for claim, _ in asked])\n"
                "            decided = [",
            ),
            Edit(
                ENGINE_PY,
                "_in_parts(self._ask(claims), self._post)",
                "_in_parts([(claim, _NOT_ASKED) for claim in claims], self._post)",
            ),
        ),
        (ENGINE, PRESENCE),
    ),
    Mutant(
        "lost-commit-is-failure",
        "a batch whose COMMIT got no answer is tried again, and found if it was done",
        (
            Edit(
                ENGINE_PY,
                "_again(lambda: write(asked))",
                "write(asked)",
            ),
        ),
        (ENGINE,),
    ),
    Mutant(
        "network-inside-a-transaction",
        "no transaction is open while the card network is asked",
        (
            Edit(
                ENGINE_PY,
                "return _batch(len(claims), _in_parts(self._ask(claims), self._post))",
                "with self.begin():\n"
                "                asked = self._ask(claims)\n"
                "            return _batch(len(claims), _in_parts(asked, self._post))",
            ),
        ),
        ("tests/contract/test_network_calls_outside_transactions.py",),
    ),
    Mutant(
        "claims-nobody-knows-of",
        "claims whose COMMIT got no answer are due at once",
        (
            Edit(
                ENGINE_PY,
                "                self.worker_liveness.leave()\n                raise\n",
                "                raise\n",
            ),
        ),
        (PRESENCE,),
        ("commit-reply-lost",),
    ),
    Mutant(
        "one-spoils-the-batch",
        "a payment that the database refuses holds up no other",
        (Edit(ENGINE_PY, "        if len(asked) == 1:\n", "        if asked:\n"),),
        (ENGINE,),
    ),
    Mutant(
        "waits-for-accounts",
        "an account that somebody holds holds up its own payments only",
        (
            Edit(
                "atomic_adapters/postgres/ledger.sql",
                "   FOR NO KEY UPDATE SKIP LOCKED\n",
                "   FOR NO KEY UPDATE\n",
            ),
        ),
        (LOCKS,),
    ),
    Mutant(
        "frozen-with-locks-held",
        "a process that is frozen inside a transaction loses its locks after five seconds",
        (
            Edit(
                "atomic_adapters/postgres/connections.py",
                '"idle": _milliseconds(IDLE_IN_TRANSACTION_SECONDS),',
                '"idle": _milliseconds(0),',
            ),
        ),
        ("tests/integration/test_connections.py",),
    ),
    Mutant(
        "dead-with-locks-held",
        "a process that was killed while it waited for a lock loses its own at once",
        (
            Edit(
                "atomic_adapters/postgres/connections.py",
                '"hangup": _milliseconds(HANGUP_SECONDS),',
                '"hangup": _milliseconds(0),',
            ),
        ),
        ("tests/integration/test_worker_liveness.py",),
    ),
)
