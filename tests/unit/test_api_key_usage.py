"""When keys were used: told seldom, together, and by nobody who waits."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from atomic_adapters.security import api_key_usage
from atomic_adapters.security.api_key_usage import BackgroundApiKeyUsage
from atomic_core.domain.errors import StorageUnavailable
from support import IDS


@dataclass
class Store:
    """Notes what it is told; fails when it is told to."""

    failing: bool = False
    told: list[Sequence[UUID]] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    @property
    def merchants(self) -> "Store":
        return self

    def record_api_key_usage(self, key_ids: Sequence[UUID]) -> None:
        self.told.append(key_ids)
        self.arrived.release()
        if self.failing:
            raise StorageUnavailable

    def commit(self) -> None: ...

    @contextmanager
    def begin(self) -> Iterator["Store"]:
        yield self


def uses_over(store: Store) -> BackgroundApiKeyUsage:
    return BackgroundApiKeyUsage(store.begin, pause=0.01)  # type: ignore[arg-type]


def test_a_key_in_constant_use_is_told_once(monkeypatch) -> None:
    store, key = Store(), IDS.new_id()
    uses = uses_over(store)
    for _ in range(1_000):
        uses.note(key)
    assert store.arrived.acquire(timeout=5)
    uses.note(key)
    other = IDS.new_id()
    uses.note(other)
    assert store.arrived.acquire(timeout=5)
    assert store.told == [[key], [other]]
    monkeypatch.setattr(api_key_usage, "WRITE_INTERVAL_SECONDS", 0.0)
    uses.note(key)
    assert store.arrived.acquire(timeout=5)
    assert store.told[-1] == [key]


def test_a_store_that_is_away_harms_nobody() -> None:
    store = Store(failing=True)
    uses = uses_over(store)
    first, second = IDS.new_id(), IDS.new_id()
    uses.note(first)
    assert store.arrived.acquire(timeout=5)
    store.failing = False
    uses.note(second)
    assert store.arrived.acquire(timeout=5)
    assert store.told == [[first], [second]]


def test_it_remembers_a_bounded_number(monkeypatch) -> None:
    monkeypatch.setattr(api_key_usage, "MAX_RECENT_KEYS", 10)
    uses = uses_over(Store())
    for _ in range(100):
        uses.note(IDS.new_id())
    assert len(uses._last_writes) == 10
