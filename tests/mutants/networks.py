"""Mutants of card networks side by side."""

from typing import Final

from mutants.mutant import Edit, Mutant

PAYMENTS_SQL: Final = "atomic_adapters/postgres/payments.sql"
REFUNDS_SQL: Final = "atomic_adapters/postgres/refunds.sql"
DUE_SQL: Final = "atomic_adapters/postgres/fragments/due_items.sql"
MEMORY_PY: Final = "atomic_adapters/memory/payments.py"
BREAKER_PY: Final = "atomic_core/use_cases/network_breaker.py"
SETTLEMENT_PY: Final = "atomic_core/use_cases/settlement.py"
LANES_PY: Final = "atomic_worker/settlement/lanes.py"
MERCHANTS_PY: Final = "atomic_core/use_cases/merchants.py"
NETWORKS_SQL: Final = "migrations/0026.networks.sql"

STATES_PY: Final = "atomic_adapters/redis/breaker_states.py"
ADMIN_SQL: Final = "atomic_adapters/postgres/admin_queries.sql"

STATES_TEST: Final = "tests/contract/test_breaker_states.py"
NETWORKS_TEST: Final = "tests/contract/test_networks.py"
BREAKER_TEST: Final = "tests/unit/test_network_breaker.py"
GUARDS_TEST: Final = "tests/integration/test_payment_guards.py"

NETWORK_MUTANTS: Final = (
    Mutant(
        "lane-claims-for-all",
        "a lane claims the payments of its network only",
        (Edit(DUE_SQL, "WHERE network = %(network)s", "WHERE %(network)s::text IS NOT NULL"),),
        (NETWORKS_TEST,),
    ),
    Mutant(
        "lane-claims-for-all-in-memory",
        "a lane claims the payments of its network only",
        (Edit(MEMORY_PY, "if row.item.network == network)", "if network)"),),
        (NETWORKS_TEST,),
    ),
    Mutant(
        "merchants-network-ignored",
        "a merchant's own network takes the place of the deployment's",
        (
            Edit(
                PAYMENTS_SQL,
                "WHERE merchants.id = requested.merchant_id), requested.network)",
                "WHERE false), requested.network)",
            ),
        ),
        (NETWORKS_TEST,),
    ),
    Mutant(
        "refund-at-default-network",
        "a refund has the network of its payment",
        (
            Edit(
                REFUNDS_SQL,
                "(SELECT network FROM payments WHERE id = %(payment_id)s))",
                "'sandbox')",
            ),
        ),
        (NETWORKS_TEST,),
    ),
    Mutant(
        "network-change-not-audited",
        "a change of a merchant's network is audited, and only a change",
        (
            Edit(
                MERCHANTS_PY,
                "if work.merchants.set_network(merchant_id, network):",
                "if work.merchants.set_network(merchant_id, network) or True:",
            ),
        ),
        (NETWORKS_TEST,),
    ),
    Mutant(
        "payments-network-replaceable",
        "PostgreSQL keeps the network of a payment",
        (
            Edit(
                NETWORKS_SQL,
                "BEFORE UPDATE OF network ON payments\n    FOR EACH ROW\n"
                "    WHEN (OLD.network IS DISTINCT FROM NEW.network)",
                "BEFORE UPDATE OF network ON payments\n    FOR EACH ROW\n    WHEN (false)",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "breaker-ignored",
        "an open breaker leaves payments in the queue",
        (
            Edit(
                SETTLEMENT_PY,
                "self.breaker.limit(self.batch_size) if self.breaker else self.batch_size",
                "self.batch_size",
            ),
        ),
        (NETWORKS_TEST,),
    ),
    Mutant(
        "breaker-never-fed",
        "a lane tells its breaker what the network answered",
        (
            Edit(
                SETTLEMENT_PY,
                "self.breaker.record(response for _, response in called_claims if response)",
                "pass",
            ),
        ),
        (NETWORKS_TEST,),
    ),
    Mutant(
        "breaker-counts-answers",
        "an answer that decides nothing is an answer",
        (
            Edit(
                BREAKER_PY,
                "            response.is_answered for response in responses if",
                "            response.verdict == 'approved' for response in responses if",
            ),
        ),
        (BREAKER_TEST,),
    ),
    Mutant(
        "breaker-counts-what-was-not-sent",
        "a request that was not made says nothing about the network",
        (Edit(BREAKER_PY, "if response.is_answered is not None", "if True"),),
        (BREAKER_TEST,),
    ),
    Mutant(
        "breaker-kept-closed-by-one-answer",
        "a batch that is mostly unanswered counts",
        (Edit(BREAKER_PY, "if unanswered * 2 <= len(answers):", "if unanswered < len(answers):"),),
        (BREAKER_TEST,),
    ),
    Mutant(
        "breaker-tries-a-batch",
        "an open breaker tries one payment",
        (Edit(BREAKER_PY, "            return 1\n", "            return batch_size\n"),),
        (BREAKER_TEST,),
    ),
    Mutant(
        "closed-breaker-not-reported",
        "a breaker that closes is reported",
        (Edit(BREAKER_PY, "return was_open or self._was_open", "return self._was_open"),),
        (BREAKER_TEST,),
    ),
    Mutant(
        "breakers-report-for-each-other",
        "the breaker of one process does not hide that another's is open",
        (Edit(STATES_PY, "secrets.token_hex(8)", '"process"'),),
        (STATES_TEST,),
    ),
    Mutant(
        "report-of-a-breaker-never-ends",
        "the report of a dead process ends",
        (Edit(STATES_PY, 'f"({self.get_time()}", "+inf")', '"-inf", "+inf")'),),
        (STATES_TEST,),
    ),
    Mutant(
        "claimed-payments-parked",
        "what a worker has claimed is not parked",
        (
            Edit(
                ADMIN_SQL,
                "AND coalesce(leased_until, due_at) <= now()\n                 LIMIT",
                "LIMIT",
            ),
        ),
        (NETWORKS_TEST,),
    ),
    Mutant(
        "lanes-wait-for-each-other",
        "a network that hangs delays no other",
        (Edit(LANES_PY, "            if wait:\n", "            if True:\n"),),
        (NETWORKS_TEST,),
    ),
    Mutant(
        "lane-ends-with-a-bug",
        "a lane settles again after a bug",
        (
            Edit(
                LANES_PY,
                '            _log.exception("settlement failed", network=self._lane.network)\n'
                "            return 0\n",
                '            _log.exception("settlement failed", network=self._lane.network)\n'
                "            raise\n",
            ),
        ),
        (NETWORKS_TEST,),
    ),
)
