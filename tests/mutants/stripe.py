"""Mutants of Stripe, and of what the engine keeps to find a request at a network again."""

from typing import Final

from mutants.mutant import Edit, Mutant

SETTLEMENT_PY: Final = "atomic_core/domain/settlement.py"
POSTING_PY: Final = "atomic_core/use_cases/settlement_posting.py"
PAYMENTS_SQL: Final = "atomic_adapters/postgres/payments.sql"
ERRORS_PY: Final = "atomic_adapters/networks/stripe/errors.py"
HTTP_PY: Final = "atomic_adapters/networks/stripe/http_client.py"
STEPS_PY: Final = "atomic_adapters/networks/stripe/steps.py"
REQUESTS_PY: Final = "atomic_adapters/networks/stripe/requests.py"

REFERENCES_TEST: Final = "tests/contract/test_network_references.py"
STRIPE_TEST: Final = "tests/integration/test_stripe.py"
DOUBT_TEST: Final = "tests/integration/test_stripe_doubt.py"
FAULTS_TEST: Final = "tests/integration/test_stripe_faults.py"
MAPPING_TEST: Final = "tests/unit/test_stripe_mapping.py"

STRIPE_MUTANTS: Final = (
    Mutant(
        "reference-replaced",
        "the first reference of a payment stays",
        (
            Edit(
                PAYMENTS_SQL,
                "coalesce(payments.network_reference, settled.network_reference)",
                "coalesce(settled.network_reference, payments.network_reference)",
            ),
        ),
        (REFERENCES_TEST,),
    ),
    Mutant(
        "reversal-forgets-reference",
        "what the ledger refuses is reversed by its reference",
        (
            Edit(
                POSTING_PY,
                "failure._replace(network_reference=settlement.network_reference) if failure",
                "failure if failure",
            ),
        ),
        (REFERENCES_TEST,),
    ),
    Mutant(
        "abandonment-judged-as-a-void",
        "an abandoned payment whose customer has confirmed is refunded",
        (
            Edit(
                STEPS_PY,
                "if claim.step in (Step.REVERSE, Step.ABANDON):",
                "if claim.step == Step.REVERSE:",
            ),
        ),
        (STRIPE_TEST,),
    ),
    Mutant(
        "key-never-renewed",
        "a request that is not found is sent under a new key",
        (Edit(SETTLEMENT_PY, "claim.key_generation + 1)", "claim.key_generation)"),),
        (REFERENCES_TEST,),
    ),
    Mutant(
        "inquiry-counts-as-request",
        "an inquiry does not renew the time of the last request",
        (
            Edit(
                SETTLEMENT_PY,
                "NetworkState.UNKNOWN, was_sent=not claim.needs_inquiry)",
                "NetworkState.UNKNOWN, was_sent=True)",
            ),
        ),
        (REFERENCES_TEST,),
    ),
    Mutant(
        "only-inquiries",
        "inquiry and repetition take turns",
        (Edit(SETTLEMENT_PY, "repeats_left <= 0 and repeats_left % 2 == 0", "repeats_left <= 0"),),
        (REFERENCES_TEST,),
    ),
    Mutant(
        "interrupted-request-forgotten",
        "a claim that ended without a settlement may have sent its request",
        (
            Edit(
                PAYMENTS_SQL,
                "           -- of a dead worker may end later than now.\n"
                "           sent_at = CASE WHEN due.leased_until IS NULL THEN",
                "           -- of a dead worker may end later than now.\n"
                "           sent_at = CASE WHEN now() IS NOT NULL THEN",
            ),
        ),
        (REFERENCES_TEST,),
    ),
    Mutant(
        "doubt-begins-with-first-response",
        "a step in doubt after a dead worker is as old as its request, and so is its key",
        (
            Edit(
                PAYMENTS_SQL,
                "THEN payments.claimed_at\n                               ELSE",
                "THEN now()\n                               ELSE",
            ),
        ),
        (REFERENCES_TEST,),
    ),
    Mutant(
        "key-as-old-as-the-last-dead-worker",
        "after two dead workers the key is as old as the first request",
        (
            Edit(
                "atomic_adapters/memory/work_items.py",
                "    return row.item.claimed_at\n\n\ndef",
                "    return row.interrupted_lease\n\n\ndef",
            ),
        ),
        ("tests/property/test_in_doubt.py",),
    ),
    Mutant(
        "doubtful-claims-one-by-one",
        "a network with a request per claim is called once for all claims in doubt",
        (
            Edit(
                "atomic_core/use_cases/network_calls.py",
                "        rank = -1 if answers_apart else in_doubt\n",
                "        rank = in_doubt\n",
            ),
        ),
        ("tests/unit/test_network_calls.py",),
    ),
    Mutant(
        "stripe-errors-decline",
        "a 5xx is not a no",
        (
            Edit(
                ERRORS_PY,
                "isinstance(error, stripe.CardError | stripe.InvalidRequestError)",
                "isinstance(error, stripe.CardError | stripe.APIError)",
            ),
        ),
        (MAPPING_TEST, FAULTS_TEST),
    ),
    Mutant(
        "stripe-reset-is-not-sent",
        "a cut connection may have carried the request",
        (
            Edit(
                HTTP_PY,
                "        except HTTPError as error:\n"
                '            raise stripe.APIConnectionError("connection failed") from error\n',
                "        except HTTPError as error:\n"
                '            raise RequestNotSent("connection failed") from error\n',
            ),
        ),
        (MAPPING_TEST, DOUBT_TEST),
    ),
    Mutant(
        "stripe-random-keys",
        "a repeated request has the key of the first",
        (
            Edit(
                REQUESTS_PY,
                'f"{claim.id}:{claim.step}:{claim.key_generation}"}',
                'f"{claim.id}:{claim.step}:{claim.attempt}"}',
            ),
        ),
        (STRIPE_TEST, FAULTS_TEST),
    ),
    Mutant(
        "stripe-refusal-decides",
        "a refused capture, cancellation or refund looks at what Stripe holds",
        (
            Edit(
                STEPS_PY,
                "            return judge_refund(claim, found) if found else"
                " classify_error(refusal, claim)\n",
                "            return classify_error(refusal, claim)\n",
            ),
        ),
        (STRIPE_TEST,),
    ),
    Mutant(
        "stripe-missing-is-certain",
        "what the search does not find yet may exist",
        (
            Edit(
                STEPS_PY,
                "is_certain = claim.sent_for is not None and claim.sent_for >= delay",
                "is_certain = True",
            ),
        ),
        (DOUBT_TEST,),
    ),
    Mutant(
        "stripe-waits-for-customer",
        "a payment that fails for want of authentication cannot be charged later",
        (
            Edit(
                STEPS_PY,
                "self._give_up_authentication(claim, intent.id)\n",
                "self._look_up(intent.id)\n",
            ),
        ),
        (STRIPE_TEST,),
    ),
    Mutant(
        "stripe-read-error-is-not-sent",
        "a failed look-up says nothing about the step",
        (
            Edit(
                STEPS_PY,
                "        except stripe.StripeError as error:\n"
                '            raise OutcomeUnknown("the state could not be read") from error\n',
                "        except OutcomeUnknown:\n            raise\n",
            ),
        ),
        (DOUBT_TEST, FAULTS_TEST),
    ),
)
