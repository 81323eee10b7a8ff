"""Mutants of the stream of events and its database guards."""

from typing import Final

from mutants.mutant import Edit, Mutant

NEEDED: Final = "atomic_adapters/postgres/fragments/first_needed_event.sql"
RETENTION_TEST: Final = "tests/contract/test_event_retention.py"
RETENTION_GUARDS_TEST: Final = "tests/integration/test_event_retention_guards.py"
EVENTS_TEST: Final = "tests/contract/test_events.py"
EVENT_GUARDS_TEST: Final = "tests/integration/test_event_guards.py"

STREAM_MUTANTS: Final = (
    Mutant(
        "charge-without-event",
        "the end of every payment has an event",
        (
            Edit(
                "atomic_core/domain/events.py",
                "    types = _REFUND_EVENT_TYPES if claim.refund_id else _PAYMENT_EVENT_TYPES\n",
                '    if claim.step == "charge":\n        return None\n'
                "    types = _REFUND_EVENT_TYPES if claim.refund_id else _PAYMENT_EVENT_TYPES\n",
            ),
        ),
        (EVENTS_TEST,),
    ),
    Mutant(
        "events-outside-their-commit",
        "events are stored by the commit of what they report",
        (
            Edit(
                "atomic_adapters/postgres/events.py",
                "        self._added.extend(events)\n",
                "        self._added.extend(events)\n        self.flush()\n",
            ),
        ),
        (EVENTS_TEST,),
    ),
    Mutant(
        "event-purged-that-an-endpoint-needs",
        "events that an enabled endpoint has not passed are kept",
        (Edit(NEEDED, "THEN webhook_endpoints.position + 1", "THEN NULL::bigint"),),
        (RETENTION_TEST,),
    ),
    Mutant(
        "event-purged-that-a-delivery-needs",
        "events of deliveries are kept",
        (Edit(NEEDED, "             min(endpoint.first_delivery)) AS", "             NULL) AS"),),
        (RETENTION_TEST,),
    ),
    Mutant(
        "last-event-purged",
        "the last event of a stream is kept",
        (
            Edit(
                NEEDED,
                "least(event_counters.last_sequence,",
                "least(event_counters.last_sequence + 1,",
            ),
        ),
        (RETENTION_TEST,),
    ),
    Mutant(
        "young-event-purged-with-an-old-one",
        "a stream is deleted up to its first young event",
        (
            Edit(
                "atomic_adapters/postgres/events.sql",
                "AND young.sequence <= beginning.sequence",
                "AND young.sequence = beginning.sequence",
            ),
        ),
        (RETENTION_TEST,),
    ),
    Mutant(
        "missing-events-passed-over",
        "a reader whose next event is not kept is refused",
        (
            Edit(
                "atomic_core/use_cases/events.py",
                "if first and after + 1 < first[0].sequence:",
                "if first and after + 1 < 0:",
            ),
        ),
        (RETENTION_TEST,),
    ),
    Mutant(
        "gap-within-a-stream",
        "the database lets a stream lose its beginning only",
        (
            Edit(
                "migrations/0020.retention.sql",
                "                      AND events.sequence < purged.last)",
                "                      AND events.sequence < 0)",
            ),
        ),
        (RETENTION_GUARDS_TEST,),
    ),
    Mutant(
        "database-deletes-what-an-endpoint-needs",
        "the database keeps events that an enabled endpoint has not passed",
        (
            Edit(
                "migrations/0020.retention.sql",
                "                      AND webhook_endpoints.position < purged.last)",
                "                      AND webhook_endpoints.position < 0)",
            ),
        ),
        (RETENTION_GUARDS_TEST,),
    ),
    Mutant(
        "inner-step-in-stream",
        "retries are in timelines, not in the stream",
        (
            Edit(
                "atomic_core/domain/events.py",
                "        EventType.ACCOUNT_CREATED,\n",
                "        EventType.ACCOUNT_CREATED,\n        EventType.IN_DOUBT,\n",
            ),
        ),
        (EVENTS_TEST,),
    ),
    Mutant(
        "later-reason-in-older-event",
        "the data of an event does not change afterwards",
        (
            Edit(
                "atomic_core/domain/events.py",
                "subject.reason if is_cancellation else None",
                "subject.reason",
            ),
        ),
        (EVENTS_TEST,),
    ),
    Mutant(
        "stream-of-any-merchant-by-payment",
        "a merchant reads its own events only",
        (
            Edit(
                "atomic_adapters/postgres/events.sql",
                "         WHERE payment_id = %(payment_id)s\n"
                "           AND merchant_id = %(merchant_id)s\n",
                "         WHERE payment_id = %(payment_id)s\n"
                "           AND (merchant_id = %(merchant_id)s OR true)\n",
            ),
        ),
        (EVENTS_TEST,),
    ),
    Mutant(
        "event-of-any-merchant",
        "a merchant reads its own events only",
        (
            Edit(
                "atomic_adapters/postgres/events.sql",
                "         WHERE id = %(id)s\n           AND merchant_id = %(merchant_id)s\n",
                "         WHERE id = %(id)s\n"
                "           AND (merchant_id = %(merchant_id)s OR true)\n",
            ),
        ),
        (EVENTS_TEST,),
    ),
    Mutant(
        "page-of-types-unmerged",
        "a page of several types is in order of sequence",
        (
            Edit(
                "atomic_adapters/postgres/events.sql",
                "         ORDER BY of_type.sequence\n         LIMIT %(limit)s) AS page\n",
                "         ORDER BY of_type.type DESC\n         LIMIT %(limit)s) AS page\n",
            ),
        ),
        (EVENTS_TEST,),
    ),
    Mutant(
        "stream-with-gap",
        "the numbers of a stream have no gap",
        (
            Edit(
                "migrations/0022.commit-checks.sql",
                "<> counted.last - counted.before\n",
                "> counted.last - counted.before\n",
            ),
        ),
        (EVENT_GUARDS_TEST,),
    ),
    Mutant(
        "gap-at-the-beginning-of-a-stream",
        "the numbers of a new stream have events",
        (
            Edit(
                "migrations/0022.commit-checks.sql",
                "    AFTER INSERT ON event_counters\n"
                "    REFERENCING NEW TABLE AS new_counters\n"
                "    FOR EACH STATEMENT EXECUTE",
                "    AFTER INSERT ON event_counters\n"
                "    REFERENCING NEW TABLE AS new_counters\n"
                "    FOR EACH STATEMENT WHEN (false) EXECUTE",
            ),
        ),
        (EVENT_GUARDS_TEST,),
    ),
    Mutant(
        "uncounted-event",
        "an event has the number that was counted for it",
        (
            Edit(
                "migrations/0018.events.sql",
                "IS DISTINCT FROM added.last\n",
                "< added.last\n",
            ),
        ),
        (EVENT_GUARDS_TEST,),
    ),
    Mutant(
        "number-used-again",
        "a number is not used again after its event was deleted",
        (
            Edit(
                "migrations/0018.events.sql",
                "               AND event_counters.xmin = pg_current_xact_id()::xid) IS DISTINCT",
                "               AND true) IS DISTINCT",
            ),
        ),
        (EVENT_GUARDS_TEST,),
    ),
    Mutant(
        "young-events-deleted",
        "events are kept for 30 days",
        (
            Edit(
                "migrations/0018.events.sql",
                "interval '30 days')\n    EXECUTE",
                "interval '-30 days' AND false)\n    EXECUTE",
            ),
        ),
        (EVENT_GUARDS_TEST,),
    ),
    Mutant(
        "events-rewritten",
        "events are not rewritten",
        (
            Edit(
                "migrations/0018.events.sql",
                "    BEFORE UPDATE OR TRUNCATE ON events\n",
                "    BEFORE TRUNCATE ON events\n",
            ),
        ),
        (EVENT_GUARDS_TEST,),
    ),
    Mutant(
        "old-workers-lose-events",
        "events of the version before are kept during an upgrade",
        (
            Edit(
                "migrations/0018.events.sql",
                "    AFTER INSERT ON payment_events\n"
                "    REFERENCING NEW TABLE AS new_events\n"
                "    FOR EACH STATEMENT EXECUTE FUNCTION payment_events_are_copied();",
                "    AFTER INSERT ON payment_events\n"
                "    REFERENCING NEW TABLE AS new_events\n"
                "    FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION "
                "payment_events_are_copied();",
            ),
        ),
        (EVENT_GUARDS_TEST,),
    ),
)
