"""Mutants of reconciliation."""

from typing import Final

from mutants.mutant import Edit, Mutant

USE_CASE_PY: Final = "atomic_core/use_cases/reconciliation.py"
DOMAIN_PY: Final = "atomic_core/domain/reconciliation.py"
STATEMENT_PY: Final = "atomic_adapters/networks/stripe/statement.py"
REQUESTS_PY: Final = "atomic_adapters/networks/stripe/requests.py"
SQL: Final = "atomic_adapters/postgres/reconciliation.sql"

MOVEMENTS_PY: Final = "atomic_adapters/networks/stripe/dispute_movements.py"

CONTRACT_TEST: Final = "tests/contract/test_reconciliation.py"
DISPUTES_TEST: Final = "tests/contract/test_dispute_reconciliation.py"
STRIPE_TEST: Final = "tests/integration/test_stripe_statement.py"

RECONCILIATION_MUTANTS: Final = (
    Mutant(
        "reconcile-ignores-amounts",
        "a line is matched only if its amount is that of the ledger",
        (
            Edit(
                USE_CASE_PY,
                "(line.amount, line.currency) == (posting.amount, posting.currency)",
                "line.currency == posting.currency",
            ),
        ),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "reconcile-matches-twice",
        "a second line of a payment is not matched by the same ledger transaction",
        (Edit(USE_CASE_PY, "and not is_repeated:", ":"),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "reconcile-one-way",
        "a ledger transaction without a line is looked up",
        (
            Edit(
                USE_CASE_PY,
                "            if posting.get_item() not in findings.matched:\n",
                "            if False:\n",
            ),
        ),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "reconcile-foreign-line-ignored",
        "a charge of which nothing is known here is a difference",
        (Edit(USE_CASE_PY, "                findings.add(report_foreign_line(line))\n", ""),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "reconcile-doubt-is-a-difference",
        "what is in doubt explains a difference",
        (Edit(DOMAIN_PY, "    if payment.open_ids:\n", "    if False:\n"),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "reconcile-forgets-what-is-left-out",
        "a run that leaves payments out is not clean",
        (Edit(DOMAIN_PY, "and not self.unchecked", ""),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "reconcile-open-refund-unseen",
        "an open refund explains a difference",
        (Edit(SQL, "r.phase = 'OPEN'", "r.phase = 'NONE'"),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "reconcile-other-networks",
        "payments of another network need no line in a statement",
        (Edit(SQL, "AND p.network = %(network)s", "AND %(network)s::text IS NOT NULL"),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "reconcile-scheduled-twice",
        "one scheduled report of a day is kept",
        (
            Edit(
                SQL,
                "    ON CONFLICT (network, period_end) WHERE is_scheduled DO NOTHING\n",
                "    ON CONFLICT (id) DO NOTHING\n",
            ),
        ),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "reconcile-disputes-of-a-payment-alike",
        "a dispute is matched by its own ledger transaction",
        (
            Edit(
                DOMAIN_PY,
                'return self.payment_id, (self.reference or "", (self.amount or 0) > 0)',
                'return self.payment_id, ("dp_1", (self.amount or 0) > 0)',
            ),
        ),
        (DISPUTES_TEST,),
    ),
    Mutant(
        "reconcile-dispute-unposted",
        "what disputes have posted counts for the payment",
        (
            Edit(
                SQL,
                "AND t.kind IN ('payment', 'refund', 'dispute', 'dispute_reversal'))::bigint",
                "AND t.kind IN ('payment', 'refund'))::bigint",
            ),
        ),
        (DISPUTES_TEST,),
    ),
    Mutant(
        "reconcile-dispute-needs-no-line",
        "what was posted for a dispute needs a line",
        (
            Edit(
                SQL,
                "   AND t.kind IN ('payment', 'refund', 'dispute', 'dispute_reversal')\n",
                "   AND t.kind IN ('payment', 'refund')\n",
            ),
        ),
        (DISPUTES_TEST,),
    ),
    Mutant(
        "statement-dispute-without-fee",
        "a dispute's line contains its fee",
        (Edit(MOVEMENTS_PY, "return Movement(amount - fee, 0)", "return Movement(amount, 0)"),),
        (STRIPE_TEST,),
    ),
    Mutant(
        "statement-measures-no-disputes",
        "what disputes have moved counts for the payment",
        (
            Edit(
                STATEMENT_PY,
                "return captured + self._measure_disputes(intent)",
                "return captured",
            ),
        ),
        (STRIPE_TEST,),
    ),
    Mutant(
        "statement-first-page-only",
        "all pages of Stripe's statement are read",
        (Edit(STATEMENT_PY, "if not page.has_more or not page.data:", "if True:"),),
        (STRIPE_TEST,),
    ),
    Mutant(
        "statement-counts-one-intent",
        "all PaymentIntents of a payment are counted",
        (
            Edit(
                REQUESTS_PY,
                "    return list(found.values())",
                "    return list(found.values())[:1]",
            ),
        ),
        (STRIPE_TEST,),
    ),
    Mutant(
        "statement-unavailable-is-empty",
        "a statement that cannot be read is no empty statement",
        (
            Edit(
                STATEMENT_PY,
                "                if pause is None:\n                    raise",
                "                if pause is None:\n                    raise StopIteration\n"
                "                if False:\n                    raise",
            ),
        ),
        (STRIPE_TEST,),
    ),
)
