"""Mutants of waiting until a payment is settled."""

from typing import Final

from mutants.mutant import Edit, Mutant

SIGNAL: Final = "atomic_adapters/event_signal.py"
WAITING: Final = "atomic_web/waiting.py"
SIGNAL_TEST: Final = "tests/contract/test_event_signal.py"
WAITING_TEST: Final = "tests/web/test_waiting.py"


def _mutant(
    name: str, invariant: str, path: str, old: str, new: str, test: str = SIGNAL_TEST
) -> Mutant:
    return Mutant(name, invariant, (Edit(path, old, new),), (test,))


WAITING_MUTANTS: Final = (
    _mutant(
        "watch-ignores-what-was-before",
        "a payment that is settled before its watch begins is found",
        SIGNAL,
        "if watch.is_fresh or watch.subject_id in subject_ids:",
        "if watch.subject_id in subject_ids:",
    ),
    _mutant(
        "watch-woken-by-any-event",
        "a watch is woken by the events of its own payment or refund only",
        SIGNAL,
        "if watch.is_fresh or watch.subject_id in subject_ids:",
        "if watch.is_fresh or subject_ids:",
    ),
    _mutant(
        "watch-passes-over-unread-events",
        "events that could not be read at once are read the next time",
        SIGNAL,
        "last = events[-1].sequence if events else position",
        "",
    ),
    _mutant(
        "watch-keeps-its-place",
        "a place is free again after the wait",
        SIGNAL,
        "                watches.remove(watch)\n                self._waiting -= 1\n",
        "                watches.remove(watch)\n",
    ),
    _mutant(
        "replay-waits",
        "a replay is the stored response",
        WAITING,
        "if not seconds or IDEMPOTENT_REPLAYED in accepted.headers:",
        "if not seconds:",
        WAITING_TEST,
    ),
    _mutant(
        "refused-wait-refuses-payment",
        "a payment that is accepted is not answered with an error of its wait",
        WAITING,
        "except (TooManyWaiting, WaitingPlacesTaken, StorageUnavailable):",
        "except ():",
        WAITING_TEST,
    ),
    _mutant(
        "preference-unbounded",
        "a wait takes MAX_WAIT_SECONDS at most",
        WAITING,
        "min(int(match[1]), MAX_WAIT_SECONDS)",
        "-int(match[1])",
        WAITING_TEST,
    ),
)
