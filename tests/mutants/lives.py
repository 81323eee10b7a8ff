"""Mutants of holds, refunds and fees."""

from typing import Final

from mutants.mutant import Edit, Mutant

LEDGER: Final = "atomic_core/domain/ledger.py"
DECISIONS: Final = "atomic_core/domain/settling.py"
ENGINE: Final = "atomic_core/use_cases/settling.py"
PAYMENTS_SQL: Final = "atomic_adapters/postgres/payments.sql"
LIFE_SQL: Final = "migrations/0008.payment-life.sql"

HOLDS_TEST: Final = "tests/property/test_holds.py"
LIVES_TEST: Final = "tests/contract/test_lives.py"
RACES: Final = "tests/integration/test_races.py"
GUARDS: Final = "tests/integration/test_life_guards.py"
AUDIT: Final = "tests/contract/test_audit_life.py"

LIVES: Final = (
    Mutant(
        "promised-money-is-spent",
        "what a refund was promised cannot be promised again",
        (Edit(LEDGER, "            low + account.pending_out,\n", "            low,\n"),),
        (HOLDS_TEST, LIVES_TEST, RACES),
    ),
    Mutant(
        "held-money-needs-no-room",
        "what is held finds room when it is captured",
        (Edit(LEDGER, "            high - account.pending_in,\n", "            high,\n"),),
        (HOLDS_TEST, LIVES_TEST),
    ),
    Mutant(
        "promises-of-a-batch-forgotten",
        "two refunds of one batch cannot be promised the same money",
        (Edit(LEDGER, "    tips[hold.debit_account_id].low += amount\n", ""),),
        (HOLDS_TEST,),
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
        (LIVES_TEST, RACES),
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
        (LIVES_TEST,),
    ),
    Mutant(
        "expires-early",
        "a hold never expires early",
        (Edit(PAYMENTS_SQL, "           AND expires_at <= now()\n", ""),),
        (LIVES_TEST,),
    ),
    Mutant(
        "never-expires",
        "a hold that nobody captures is let go of",
        (
            Edit(
                "atomic_worker/sweeper.py",
                "        expired = self.application.expire_holds()\n",
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
        (LIVES_TEST,),
    ),
    Mutant(
        "void-keeps-the-hold",
        "what is let go of is pending no more",
        (
            Edit(
                DECISIONS,
                "claim.refund_id, releases=hold_of(claim)\n",
                "claim.refund_id, releases=hold_of(claim) if legs else None\n",
            ),
        ),
        (LIVES_TEST,),
    ),
    Mutant(
        "fees-rounded-up",
        "fees are rounded half to even",
        (
            Edit(
                "atomic_core/domain/fees.py",
                "(2 * rest == WHOLE and part % 2 == 1)",
                "2 * rest == WHOLE",
            ),
        ),
        (LIVES_TEST,),
    ),
    Mutant(
        "fees-without-bound",
        "a fee is never more than was captured",
        (
            Edit(
                "atomic_core/domain/fees.py",
                "        return min(amount, part + self.fixed)\n",
                "        return part + self.fixed\n",
            ),
        ),
        (LIVES_TEST,),
    ),
    Mutant(
        "refunded-beyond-capture",
        "the database refuses refunds beyond what was captured",
        (
            Edit(
                LIFE_SQL,
                "            AND refunds_reserved <= coalesce(capture_amount, amount));\n",
                "            AND true);\n",
            ),
        ),
        (GUARDS,),
    ),
    Mutant(
        "refunds-counted-when-done",
        "refunds under way count",
        (
            Edit(
                "atomic_core/domain/payments.py",
                "        return self.amount_captured - self.refunds_reserved\n",
                "        return self.amount_captured - self.amount_refunded\n",
            ),
        ),
        (LIVES_TEST, RACES),
    ),
    Mutant(
        "failed-refunds-count",
        "a refund that failed can be asked for again",
        (
            Edit(
                LIFE_SQL,
                "           SET refunds_reserved = payments.refunds_reserved - ended.lost,\n",
                "           SET refunds_reserved = payments.refunds_reserved,\n",
            ),
        ),
        (LIVES_TEST,),
    ),
    Mutant(
        "held-twice",
        "the database refuses a second hold of a payment or refund",
        (
            Edit(
                LIFE_SQL,
                "    CONSTRAINT holds_once UNIQUE NULLS NOT DISTINCT (payment_id, refund_id),\n",
                "",
            ),
        ),
        (GUARDS,),
    ),
    Mutant(
        "holds-not-summed",
        "what is pending follows from holds",
        (
            Edit(
                LIFE_SQL,
                "    AFTER UPDATE ON holds\n    REFERENCING NEW TABLE AS new_holds\n",
                "    AFTER UPDATE OF placed_at ON holds\n    REFERENCING NEW TABLE AS new_holds\n",
            ),
        ),
        (LIVES_TEST,),
    ),
    Mutant(
        "refund-hash-without-refund",
        "a posting cannot be moved to another refund unseen",
        (
            Edit(
                LEDGER,
                "    return kind.encode() + refund_id.bytes if refund_id else kind.encode()\n",
                "    return kind.encode()\n",
            ),
        ),
        (AUDIT,),
    ),
    Mutant(
        "verify-blind-to-holds",
        "verify names holds that are missing or too many",
        (
            Edit(
                "atomic_adapters/postgres/audit.sql",
                "           THEN (h.payment_id IS NOT NULL)\n",
                "           THEN h.payment_id IS NOT NULL AND (h.payment_id IS NOT NULL)\n",
            ),
        ),
        (AUDIT,),
    ),
    Mutant(
        "settled-refund-posted-again",
        "a refund is given back once, whoever dies and takes over",
        (
            Edit(
                "atomic_adapters/postgres/refunds.sql",
                " WHERE refunds.attempt = claim.attempt\n",
                " WHERE refunds.attempt >= claim.attempt\n",
            ),
        ),
        ("tests/contract/test_refunds_queue.py",),
    ),
    Mutant(
        "another-merchants-refund",
        "what belongs to another merchant is unknown",
        (
            Edit(
                "atomic_adapters/postgres/refunds.sql",
                " WHERE id = %(id)s\n   AND merchant_id = %(merchant_id)s\n",
                " WHERE id = %(id)s\n",
            ),
        ),
        (LIVES_TEST,),
    ),
)
