"""Mutants of holds: reservation, capture, cancellation, expiry."""

from typing import Final

from mutants.mutant import Edit, Mutant

POSTING_PY: Final = "atomic_core/domain/posting.py"
SETTLEMENT_DOMAIN_PY: Final = "atomic_core/domain/settlement.py"
SETTLEMENT_PY: Final = "atomic_core/use_cases/settlement.py"
PAYMENTS_SQL: Final = "atomic_adapters/postgres/payments.sql"
LIFECYCLE_SQL: Final = "migrations/0008.payment-life.sql"

HOLDS_PROPERTY_TEST: Final = "tests/property/test_holds.py"
HOLDS_TEST: Final = "tests/contract/test_holds.py"
REFUNDS_TEST: Final = "tests/contract/test_refunds.py"
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
                "    states[hold.debit_account_id.int].min_balance += amount\n",
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
                "if claim.refund_id and claim.is_unsent_refund]",
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
        (
            Edit(
                PAYMENTS_SQL,
                "     WHERE phase = 'AUTHORIZED'\n       AND expires_at <= now()\n",
                "     WHERE phase = 'AUTHORIZED'\n",
            ),
        ),
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
)
