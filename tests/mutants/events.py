"""Mutants of reading the stream of events and waiting for its next event."""

from typing import Final

from mutants.mutant import Edit, Mutant

SIGNAL: Final = "atomic_adapters/event_signal.py"

EVENTS_TEST: Final = "tests/web/test_events.py"
SIGNAL_TEST: Final = "tests/contract/test_event_signal.py"

EVENT_MUTANTS: Final = (
    Mutant(
        "other-merchants-event-readable",
        "an event of another merchant is 404",
        (
            Edit(
                "atomic_adapters/memory/events.py",
                "(found.event.merchant_id, found.id) == (merchant_id, event_id)",
                "found.id == event_id",
            ),
        ),
        (EVENTS_TEST,),
    ),
    Mutant(
        "wait-not-woken",
        "an event ends the waits for it",
        (
            Edit(
                SIGNAL,
                "waiter.last_sequence = last_sequence\n"
                "                        waiter.wake_up.set()\n",
                "waiter.last_sequence = last_sequence\n",
            ),
        ),
        (SIGNAL_TEST,),
    ),
    Mutant(
        "wait-ended-by-other-event",
        "an event that does not match the filters does not end a wait",
        (
            Edit(
                "atomic_core/use_cases/events.py",
                "            if last_sequence == previous:\n",
                "            if last_sequence >= previous:\n",
            ),
        ),
        (EVENTS_TEST,),
    ),
    Mutant(
        "waits-unbounded-per-merchant",
        "one merchant cannot take all places of waiting requests",
        (Edit(SIGNAL, ">= self._max_waiting_per_merchant", "> self._max_waiting"),),
        (SIGNAL_TEST,),
    ),
    Mutant(
        "stop-leaves-waits",
        "a process that stops answers waiting requests at once",
        (
            Edit(
                SIGNAL,
                "        for waiter in self._list_waiters():\n",
                "        for waiter in ():\n",
            ),
        ),
        (SIGNAL_TEST,),
    ),
    Mutant(
        "revoked-key-reads-after-its-wait",
        "a key that is revoked during a wait reads nothing",
        (
            Edit(
                "atomic_adapters/event_reader.py",
                "read.key_id is None or read.key_id in active_key_ids",
                "read.key_id is None or read.key_id in key_ids",
            ),
        ),
        (SIGNAL_TEST, EVENTS_TEST),
    ),
    Mutant(
        "event-cursor-of-other-filters",
        "a cursor belongs to its filters and order",
        (
            Edit(
                "atomic_web/schemas/event_filters.py",
                'return ("events", sorted(types), payment_id, after, before, self.is_oldest_first)',
                'return ("events", payment_id, after, before)',
            ),
        ),
        (EVENTS_TEST,),
    ),
)
