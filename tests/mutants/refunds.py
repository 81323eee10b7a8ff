"""Mutants of fees and refunds, and of what the database and the stories say of them."""

from typing import Final

from mutants.mutant import Edit, Mutant

LEDGER: Final = "atomic_core/domain/ledger.py"
DECISIONS: Final = "atomic_core/domain/settlement.py"
ENGINE: Final = "atomic_core/use_cases/settlement.py"
LIFE_SQL: Final = "migrations/0008.payment-life.sql"
ENGINE_TEST: Final = "tests/contract/test_settlement.py"
HOLDING: Final = "tests/contract/test_holds.py"
REFUNDING: Final = "tests/contract/test_refunds.py"
CHARGING: Final = "tests/contract/test_fees.py"
STORY: Final = "tests/contract/test_timeline.py"
RACES: Final = "tests/integration/test_races.py"
GUARDS: Final = "tests/integration/test_payment_guards.py"
AUDIT: Final = "tests/contract/test_ledger_verification_holds.py"

REFUNDS: Final = (
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
        (CHARGING,),
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
        (CHARGING,),
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
        (REFUNDING, RACES),
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
        (REFUNDING,),
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
                "THEN n.amount ELSE -n.amount END, 0::bigint),\n",
                "THEN n.amount ELSE 0 END, 0::bigint),\n",
            ),
        ),
        (HOLDING,),
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
                "atomic_adapters/postgres/ledger_verification.sql",
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
        (REFUNDING,),
    ),
    Mutant(
        "promised-again",
        "a promise whose commit got no answer is not made a second time",
        (Edit(ENGINE, "if claim.id in ours - made]", "if claim.id in ours]"),),
        (ENGINE_TEST,),
    ),
    Mutant(
        "fails-and-keeps-its-hold",
        "the database refuses an end that leaves money on hold",
        (
            Edit(
                LIFE_SQL,
                "    WHEN (OLD.phase = 'OPEN' AND NEW.phase <> 'OPEN')\n",
                "    WHEN (OLD.phase = 'OPEN' AND NEW.phase = 'GONE')\n",
            ),
        ),
        (GUARDS, HOLDING),
    ),
    Mutant(
        "told-as-of-the-beginning",
        "a story is told in the order in which it happened",
        (
            Edit(
                "atomic_adapters/postgres/events.sql",
                "statement_timestamp(), attempt",
                "now(), attempt",
            ),
        ),
        (STORY,),
    ),
    Mutant(
        "another-payments-story",
        "a story is of one payment",
        (
            Edit(
                "atomic_adapters/postgres/events.sql",
                " WHERE payment_id = %(payment_id)s\n",
                " WHERE payment_id IS NOT NULL OR payment_id = %(payment_id)s\n",
            ),
        ),
        (STORY,),
    ),
    Mutant(
        "unsorted-refunded-payments",
        "two settlers never wait for each other in a circle (refunded payments)",
        (
            Edit(
                "atomic_adapters/postgres/refunds.sql",
                " WHERE id = ANY(%(ids)b)\n ORDER BY id\n",
                " WHERE id = ANY(%(ids)b)\n",
            ),
        ),
        ("tests/integration/test_locks.py",),
    ),
    Mutant(
        "resolved-whatever-it-is",
        "only what is held is captured or canceled, and others are told the state",
        (
            Edit(
                "atomic_core/use_cases/holds.py",
                "    if payment.status is not Status.AUTHORIZED:\n",
                "    if payment.status is None:\n",
            ),
        ),
        (HOLDING,),
    ),
    Mutant(
        "released-by-hearsay",
        "a hold that is not live cannot be let go of",
        (
            Edit(
                "atomic_adapters/postgres/ledger.py",
                "        if released != len(holds):\n",
                "        if released > len(holds):\n",
            ),
        ),
        ("tests/contract/test_ledger.py",),
    ),
    Mutant(
        "fees-not-posted",
        "the fee that a payment shows went to the house",
        (Edit(DECISIONS, "    fee = fee_of(claim)\n    legs", "    fee = 0\n    legs"),),
        (CHARGING,),
    ),
    Mutant(
        "refunds-posted-as-payments",
        "a refund is a ledger transaction of its own kind",
        (
            Edit(
                DECISIONS,
                "    kind = Kind.REFUND if step == Step.REFUND else Kind.PAYMENT\n",
                "    kind = Kind.PAYMENT\n",
            ),
        ),
        (REFUNDING,),
    ),
    Mutant(
        "payments-posted-twice",
        "the database refuses a second posting of a payment, which has no refund",
        (
            Edit(
                LIFE_SQL,
                "        UNIQUE NULLS NOT DISTINCT (payment_id, kind, refund_id);\n",
                "        UNIQUE (payment_id, kind, refund_id);\n",
            ),
        ),
        ("tests/integration/test_guards.py",),
    ),
)
