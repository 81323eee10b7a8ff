"""Mutants of fees, refunds, timelines and their database guards."""

from typing import Final

from mutants.mutant import Edit, Mutant

LEDGER_PY: Final = "atomic_core/domain/ledger.py"
SETTLEMENT_DOMAIN_PY: Final = "atomic_core/domain/settlement.py"
RESERVATION_PY: Final = "atomic_core/use_cases/refund_reservation.py"
LIFECYCLE_SQL: Final = "migrations/0008.payment-life.sql"
COMMIT_GUARDS_SQL: Final = "migrations/0014.commit-guards.sql"
SETTLEMENT_TEST: Final = "tests/contract/test_settlement.py"
HOLDS_TEST: Final = "tests/contract/test_holds.py"
REFUNDS_TEST: Final = "tests/contract/test_refunds.py"
FEES_TEST: Final = "tests/contract/test_fees.py"
TIMELINE_TEST: Final = "tests/contract/test_timeline.py"
RACES_TEST: Final = "tests/integration/test_races.py"
GUARDS_TEST: Final = "tests/integration/test_payment_guards.py"
COMMIT_GUARDS_TEST: Final = "tests/integration/test_commit_guards.py"
LISTS_TEST: Final = "tests/integration/test_lists.py"
VERIFICATION_TEST: Final = "tests/contract/test_ledger_verification_holds.py"

REFUND_MUTANTS: Final = (
    Mutant(
        "refund-list-by-amount",
        "a page of refunds reads a page of the index by age, however many the merchant has",
        (
            Edit(
                "atomic_adapters/postgres/refund_lists.sql",
                "AND probed.amount + 0 BETWEEN",
                "AND probed.amount BETWEEN",
            ),
        ),
        (LISTS_TEST,),
    ),
    Mutant(
        "fee-rounded-up",
        "fees are rounded half to even",
        (
            Edit(
                "atomic_core/domain/fees.py",
                "(is_half and percentage % 2 == 1)",
                "is_half",
            ),
        ),
        (FEES_TEST,),
    ),
    Mutant(
        "fee-exceeds-capture",
        "a fee is never more than the captured amount",
        (
            Edit(
                "atomic_core/domain/fees.py",
                "        return min(amount, percentage + self.fixed)\n",
                "        return percentage + self.fixed\n",
            ),
        ),
        (FEES_TEST,),
    ),
    Mutant(
        "refunds-exceed-capture",
        "the database refuses refunds beyond the captured amount",
        (
            Edit(
                LIFECYCLE_SQL,
                "            AND refunds_reserved <= coalesce(capture_amount, amount));\n",
                "            AND true);\n",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "refunded-sums-not-checked",
        "the database refuses sums of refunds that do not follow from the refunds",
        (
            Edit(
                COMMIT_GUARDS_SQL,
                "    IF (NEW.refunds_reserved, NEW.amount_refunded)\n",
                "    IF false AND (NEW.refunds_reserved, NEW.amount_refunded)\n",
            ),
        ),
        (COMMIT_GUARDS_TEST,),
    ),
    Mutant(
        "refund-success-not-checked",
        "the database refuses a refund that succeeds without its posting",
        (
            Edit(
                COMMIT_GUARDS_SQL,
                "     WHERE n.status = 'SUCCESS';\n    IF succeeded",
                "     WHERE false;\n    IF succeeded",
            ),
        ),
        (COMMIT_GUARDS_TEST,),
    ),
    Mutant(
        "refund-posting-without-success",
        "the database refuses to commit a posting of a refund that did not succeed",
        (
            Edit(
                COMMIT_GUARDS_SQL,
                "r.payment_id = posted.payment_id AND r.status = 'SUCCESS'",
                "r.payment_id = posted.payment_id",
            ),
        ),
        (COMMIT_GUARDS_TEST,),
    ),
    Mutant(
        "refunds-posted-crosswise",
        "the database refuses a refund's posting in the name of another payment",
        (
            Edit(
                COMMIT_GUARDS_SQL,
                "r.payment_id = posted.payment_id AND r.status = 'SUCCESS'",
                "r.status = 'SUCCESS'",
            ),
        ),
        (COMMIT_GUARDS_TEST,),
    ),
    Mutant(
        "pending-refunds-not-counted",
        "pending refunds count as refunded",
        (
            Edit(
                "atomic_core/domain/payments.py",
                "        return self.amount_captured - self.refunds_reserved\n",
                "        return self.amount_captured - self.amount_refunded\n",
            ),
        ),
        (REFUNDS_TEST, RACES_TEST),
    ),
    Mutant(
        "failed-refunds-counted",
        "the amount of a failed refund can be refunded again",
        (
            Edit(
                LIFECYCLE_SQL,
                "           SET refunds_reserved = payments.refunds_reserved - ended.lost,\n",
                "           SET refunds_reserved = payments.refunds_reserved,\n",
            ),
        ),
        (REFUNDS_TEST,),
    ),
    Mutant(
        "duplicate-hold-allowed",
        "the database refuses a second hold of a payment or refund",
        (
            Edit(
                LIFECYCLE_SQL,
                "    CONSTRAINT holds_once UNIQUE NULLS NOT DISTINCT (payment_id, refund_id),\n",
                "",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "pending-amounts-ignore-holds",
        "pending amounts follow from holds",
        (
            Edit(
                LIFECYCLE_SQL,
                "THEN n.amount ELSE -n.amount END, 0::bigint),\n",
                "THEN n.amount ELSE 0 END, 0::bigint),\n",
            ),
        ),
        (HOLDS_TEST,),
    ),
    Mutant(
        "refund-id-not-hashed",
        "moving a posting to another refund breaks the hash chain",
        (
            Edit(
                LEDGER_PY,
                "    return kind.encode() + refund_id.bytes if refund_id else kind.encode()\n",
                "    return kind.encode()\n",
            ),
        ),
        (VERIFICATION_TEST,),
    ),
    Mutant(
        "verify-ignores-missing-holds",
        "verify reports missing and surplus holds",
        (
            Edit(
                "atomic_adapters/postgres/ledger_verification.sql",
                "           THEN (h.payment_id IS NOT NULL)\n",
                "           THEN h.payment_id IS NOT NULL AND (h.payment_id IS NOT NULL)\n",
            ),
        ),
        (VERIFICATION_TEST,),
    ),
    Mutant(
        "refund-posted-twice",
        "a refund is posted once, although a worker dies and another takes over",
        (
            Edit(
                "atomic_adapters/postgres/refunds.sql",
                " WHERE refunds.attempt = claim.attempt\n"
                "   AND refunds.status = 'PROCESSING'\n"
                " ORDER BY refunds.id\n",
                " WHERE refunds.attempt >= claim.attempt\n"
                "   AND refunds.status = 'PROCESSING'\n"
                " ORDER BY refunds.id\n",
            ),
        ),
        ("tests/contract/test_refunds_queue.py",),
    ),
    Mutant(
        "refund-of-other-merchant-visible",
        "a merchant sees only its own refunds",
        (
            Edit(
                "atomic_adapters/postgres/refunds.sql",
                " WHERE id = %(id)s\n   AND merchant_id = %(merchant_id)s\n",
                " WHERE id = %(id)s\n",
            ),
        ),
        (REFUNDS_TEST,),
    ),
    Mutant(
        "reservation-repeated",
        "a reservation whose COMMIT got no reply is not made twice",
        (
            Edit(
                RESERVATION_PY,
                "for claim in kept if claim.id not in reserved_ids]",
                "for claim in kept]",
            ),
        ),
        (SETTLEMENT_TEST,),
    ),
    Mutant(
        "failed-payment-keeps-hold",
        "the database refuses a final status that leaves funds on hold",
        (
            Edit(
                LIFECYCLE_SQL,
                "    WHEN (OLD.phase = 'OPEN' AND NEW.phase <> 'OPEN')\n",
                "    WHEN (OLD.phase = 'OPEN' AND NEW.phase = 'GONE')\n",
            ),
        ),
        (GUARDS_TEST, HOLDS_TEST),
    ),
    Mutant(
        "events-at-transaction-start",
        "timeline events are in the order in which they happened",
        (
            Edit(
                "atomic_adapters/postgres/events.sql",
                "data::jsonb, clock_timestamp()",
                "data::jsonb, now()",
            ),
        ),
        (TIMELINE_TEST,),
    ),
    Mutant(
        "timeline-of-other-payments",
        "a timeline contains the events of one payment",
        (
            Edit(
                "atomic_adapters/postgres/events.sql",
                " WHERE payment_id = %(payment_id)s\n ORDER BY id\n",
                " WHERE payment_id IS NOT NULL OR payment_id = %(payment_id)s\n ORDER BY id\n",
            ),
        ),
        (TIMELINE_TEST,),
    ),
    Mutant(
        "refunded-payments-locked-unsorted",
        "two workers never deadlock on refunded payments",
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
        "hold-resolved-in-any-state",
        "only a hold can be captured or canceled",
        (
            Edit(
                "atomic_core/use_cases/holds.py",
                "        if payment.status is not Status.AUTHORIZED:\n"
                "            raise build_state_conflict(payment, PaymentNotCapturable)\n",
                "",
            ),
            Edit(
                "atomic_core/use_cases/holds.py",
                "        step = _CANCELING_STEPS.get(payment.status)\n",
                "        step = _CANCELING_STEPS.get(payment.status, Step.VOID)\n",
            ),
        ),
        (HOLDS_TEST,),
    ),
    Mutant(
        "released-hold-released-again",
        "a hold that was released cannot be released again",
        (
            Edit(
                "atomic_adapters/postgres/ledger.py",
                'self.session.send_checked(\n            RowCheck("holds released", len(holds)),\n',
                "self.session.send(\n",
            ),
        ),
        ("tests/contract/test_ledger.py",),
    ),
    Mutant(
        "fee-not-posted",
        "the fee of a payment is posted to the fee account",
        (
            Edit(
                SETTLEMENT_DOMAIN_PY,
                "    fee = compute_fee(claim)\n    legs",
                "    fee = 0\n    legs",
            ),
        ),
        (FEES_TEST,),
    ),
    Mutant(
        "refund-posted-as-payment",
        "a refund is posted as its own kind of ledger transaction",
        (
            Edit(
                SETTLEMENT_DOMAIN_PY,
                "    kind = TransactionKind.REFUND if step == Step.REFUND else TransactionKind."
                "PAYMENT\n",
                "    kind = TransactionKind.PAYMENT\n",
            ),
        ),
        (REFUNDS_TEST,),
    ),
    Mutant(
        "duplicate-payment-posting-allowed",
        "the database refuses a second posting of a payment, which has no refund",
        (
            Edit(
                LIFECYCLE_SQL,
                "        UNIQUE NULLS NOT DISTINCT (payment_id, kind, refund_id);\n",
                "        UNIQUE (payment_id, kind, refund_id);\n",
            ),
        ),
        ("tests/integration/test_guards.py",),
    ),
)
