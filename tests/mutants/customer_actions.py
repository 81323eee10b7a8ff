"""Mutants of payments that wait for their customers."""

from typing import Final

from mutants.mutant import Edit, Mutant

ACTIONS_TEST: Final = "tests/contract/test_customer_actions.py"
SETTLEMENT_PY: Final = "atomic_core/domain/settlement.py"

CUSTOMER_ACTION_MUTANTS: Final = (
    Mutant(
        "lost-inquiry-ends-wait",
        "an inquiry without an answer leaves the customer awaited",
        (
            Edit(
                SETTLEMENT_PY,
                "    if claim.awaits_customer and is_silent:\n",
                "    if False:\n",
            ),
        ),
        (ACTIONS_TEST,),
    ),
    Mutant(
        "abandoned-payment-only-voided",
        "what a customer confirmed at the last moment is undone at the network",
        (
            Edit(
                "atomic_core/use_cases/network_calls.py",
                '    Step.ABANDON: "reverse",\n',
                '    Step.ABANDON: "inquire",\n',
            ),
        ),
        (ACTIONS_TEST,),
    ),
    Mutant(
        "customer-time-begins-again",
        "an inquiry does not prolong the customer's time",
        (
            Edit(
                "atomic_adapters/postgres/payments.sql",
                "                        THEN coalesce(payments.expires_at, now()"
                " + settled.action_period)\n",
                "                        THEN now() + interval '1 hour'\n",
            ),
        ),
        (ACTIONS_TEST,),
    ),
    Mutant(
        "waiting-payments-fill-batches",
        "payments that wait for their customers take no place of a batch",
        (
            Edit(
                "atomic_core/use_cases/settlement.py",
                "            max_awaited = max(1, limit // AWAITED_SHARE)"
                " if limit == self.batch_size else 0\n",
                "            max_awaited = 2 * limit\n",
            ),
        ),
        (ACTIONS_TEST,),
    ),
    Mutant(
        "early-expiry-of-wait",
        "a wait ends when the customer's time is over, not before",
        (
            Edit(
                "atomic_adapters/postgres/payments.sql",
                "     WHERE phase = 'REQUIRES_ACTION'\n       AND expires_at <= now()\n",
                "     WHERE phase = 'REQUIRES_ACTION'\n",
            ),
        ),
        (ACTIONS_TEST,),
    ),
    Mutant(
        "open-step-without-hold",
        "what a network has left open of a refund or a capture is held",
        (
            Edit(
                "atomic_adapters/postgres/ledger_verification.sql",
                "    OR held IS DISTINCT FROM expected\n ORDER BY id\n",
                " ORDER BY id\n",
            ),
        ),
        ("tests/contract/test_ledger_verification_holds.py",),
    ),
)
