"""Mutants of the events that card networks send."""

from typing import Final

from mutants.mutant import Edit, Mutant

VERIFIER_PY: Final = "atomic_adapters/networks/stripe/events.py"
USE_CASES_PY: Final = "atomic_core/use_cases/network_events.py"
SETTLEMENT_PY: Final = "atomic_core/domain/settlement.py"
INQUIRIES_SQL: Final = "atomic_adapters/postgres/fragments/inquiry_requests.sql"
EVENTS_SQL: Final = "atomic_adapters/postgres/network_events.sql"
MEMORY_PY: Final = "atomic_adapters/memory/network_events.py"
LANES_PY: Final = "atomic_worker/settlement/lanes.py"
VIEW_PY: Final = "atomic_web/views/network_events.py"

CONTRACT_TEST: Final = "tests/contract/test_network_events.py"
WEB_TEST: Final = "tests/web/test_network_events.py"

NETWORK_EVENT_MUTANTS: Final = (
    Mutant(
        "event-signature-unchecked",
        "a forged event is refused",
        (Edit(VERIFIER_PY, "        self._check_signature(body, signature)\n", ""),),
        (WEB_TEST,),
    ),
    Mutant(
        "event-tolerance-without-end",
        "an event that was signed long ago is refused",
        (Edit(VERIFIER_PY, "self._secret, self._tolerance_seconds", "self._secret, None"),),
        (WEB_TEST,),
    ),
    Mutant(
        "event-acted-on-twice",
        "a repeated event changes nothing",
        (
            Edit(
                EVENTS_SQL,
                "ON CONFLICT (network, id) DO NOTHING",
                "ON CONFLICT (network, id) DO UPDATE SET due_at = now()",
            ),
        ),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "event-of-another-network",
        "an event concerns payments of its network only",
        (
            Edit(
                INQUIRIES_SQL,
                "       AND network = %(network)s\n       AND phase",
                "       AND phase",
            ),
        ),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "event-breaks-a-claim",
        "an event leaves a claimed payment to its worker",
        (Edit(INQUIRIES_SQL, "       AND leased_until IS NULL\n", ""),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "event-lost-while-claimed",
        "an event waits while its payment is claimed",
        (Edit(USE_CASES_PY, "if event.subject_id in busy and", "if False and"),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "event-repeats-instead-of-inquiring",
        "an event makes the next call of a step in doubt an inquiry",
        (Edit(INQUIRIES_SQL, "WHEN 'unknown'", "WHEN 'nothing'"),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "event-repeats-instead-of-inquiring-in-memory",
        "an event makes the next call of a step in doubt an inquiry",
        (Edit(SETTLEMENT_PY, "if state is not NetworkState.UNKNOWN:", "if state:"),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "open-events-purged",
        "an event is kept until it was acted on",
        (
            Edit(
                EVENTS_SQL,
                "     WHERE due_at IS NULL\n       AND received_at",
                "     WHERE received_at",
            ),
        ),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "events-open-without-secret",
        "the route does not exist unless both secrets are set",
        (Edit(VIEW_PY, "if not context.settings.networks.has_stripe_events:", "if False:"),),
        (WEB_TEST,),
    ),
)
