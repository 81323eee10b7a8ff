"""Mutants of the claims of webhook endpoints."""

from typing import Final

from mutants.mutant import Edit, Mutant

CLAIMS: Final = "tests/contract/test_webhook_claims.py"
LIVENESS: Final = "tests/integration/test_webhook_worker_liveness.py"
DELIVER: Final = "atomic_core/use_cases/deliver_webhooks.py"
DELIVERIES_SQL: Final = "atomic_adapters/postgres/webhook_deliveries.sql"

IS_WORKER_DEAD: Final = (
    "       AND pg_try_advisory_xact_lock_shared('claimants'::regclass::integer, claimed_by)\n"
)

WEBHOOK_CLAIM_MUTANTS: Final = (
    Mutant(
        "dead-worker-keeps-endpoints",
        "the endpoints of a killed worker are taken over at once",
        (
            Edit(
                DELIVERIES_SQL,
                IS_WORKER_DEAD,
                "       AND false\n",
            ),
        ),
        (CLAIMS, LIVENESS),
    ),
    Mutant(
        "live-worker-loses-endpoints",
        "a live worker keeps its endpoints until their lease ends",
        (
            Edit(
                DELIVERIES_SQL,
                IS_WORKER_DEAD,
                "",
            ),
        ),
        (CLAIMS, LIVENESS),
    ),
    Mutant(
        "cut-session-loses-endpoints",
        "endpoints claimed under a session that was cut are kept until their lease ends",
        (
            Edit(
                DELIVERIES_SQL, "claimed_by = worker.id\n", "claimed_by = %(worker_id)s::integer\n"
            ),
        ),
        (CLAIMS,),
    ),
    Mutant(
        "released-endpoint-is-a-dead-workers",
        "a recorded round ends the claim, also of a worker that dies later",
        (
            Edit(
                DELIVERIES_SQL, "claimed_until = NULL, claimed_by = NULL,", "claimed_until = NULL,"
            ),
        ),
        (CLAIMS,),
    ),
    Mutant(
        "lost-endpoint-claims-kept",
        "endpoints whose claim got no reply are due at once",
        (
            Edit(
                DELIVER,
                "            self.worker_liveness.deregister()\n",
                "            pass\n",
            ),
        ),
        (CLAIMS,),
    ),
    Mutant(
        "stale-claim-records",
        "a claim that has ended records nothing",
        (Edit(DELIVERIES_SQL, "   AND claim = %(claim)s\n", "   AND claim >= %(claim)s\n"),),
        (CLAIMS,),
    ),
)
