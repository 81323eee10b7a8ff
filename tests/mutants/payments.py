"""Mutants of holds, and of what becomes of them."""

from typing import Final

from mutants.mutant import Edit, Mutant

LEDGER: Final = "atomic_core/domain/ledger.py"
DECISIONS: Final = "atomic_core/domain/settlement.py"
ENGINE: Final = "atomic_core/use_cases/settlement.py"
PAYMENTS_SQL: Final = "atomic_adapters/postgres/payments.sql"
LIFE_SQL: Final = "migrations/0008.payment-life.sql"

HOLDS_TEST: Final = "tests/property/test_holds.py"
HOLDING: Final = "tests/contract/test_holds.py"
REFUNDING: Final = "tests/contract/test_refunds.py"
RACES: Final = "tests/integration/test_races.py"

LIVES: Final = (
    Mutant(
        "promised-money-is-spent",
        "what a refund was promised cannot be promised again",
        (Edit(LEDGER, "            low + account.pending_out,\n", "            low,\n"),),
        (HOLDS_TEST, REFUNDING, RACES),
    ),
    Mutant(
        "held-money-needs-no-room",
        "what is held finds room when it is captured",
        (Edit(LEDGER, "            high - account.pending_in,\n", "            high,\n"),),
        (HOLDS_TEST, HOLDING),
    ),
    Mutant(
        "promises-of-a-batch-forgotten",
        "two refunds of one batch cannot be promised the same money",
        (Edit(LEDGER, "    tips[hold.debit_account_id].low += amount\n", ""),),
        (REFUNDING, HOLDS_TEST),
    ),
    Mutant(
        "network-before-promise",
        "money is given back only once it is promised",
        (
            Edit(
                ENGINE,
                "if claim.refund_id and not claim.reserved]",
                "if not claims]",
            ),
        ),
        (REFUNDING, RACES),
    ),
    Mutant(
        "an-old-claim-decides",
        "who authorized a hold and does not know it yet cannot touch its capture",
        (
            Edit(
                PAYMENTS_SQL,
                "cancellation_reason = %(reason)s, attempt = attempt + 1, faults = 0,\n",
                "cancellation_reason = %(reason)s, faults = 0,\n",
            ),
            Edit(LIFE_SQL, " OR NEW.attempt <= OLD.attempt\n", "\n"),
        ),
        (HOLDING,),
    ),
    Mutant(
        "expires-early",
        "a hold never expires early",
        (Edit(PAYMENTS_SQL, "           AND expires_at <= now()\n", ""),),
        (HOLDING,),
    ),
    Mutant(
        "never-expires",
        "a hold that nobody captures is let go of",
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
        "resolved-unseen",
        "whoever captures or cancels holds the payment while looking at its state",
        (
            Edit(
                PAYMENTS_SQL,
                " WHERE id = %(id)s\n   AND merchant_id = %(merchant_id)s\n   FOR NO KEY UPDATE\n",
                " WHERE id = %(id)s\n   AND merchant_id = %(merchant_id)s\n",
            ),
        ),
        (RACES,),
    ),
    Mutant(
        "capture-takes-it-all",
        "of a hold no more is taken than was asked for",
        (
            Edit(
                DECISIONS,
                "return claim.amount if claim.capture_amount is None else claim.capture_amount",
                "return claim.amount",
            ),
        ),
        (HOLDING,),
    ),
    Mutant(
        "void-keeps-the-hold",
        "what is let go of is pending no more",
        (
            Edit(
                DECISIONS,
                "claim.refund_id, releases=build_hold(claim)\n",
                "claim.refund_id, releases=build_hold(claim) if legs else None\n",
            ),
        ),
        (HOLDING,),
    ),
)
