"""API key usage is written rarely, in batches and in the background."""

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
class RecordingStore:
    """Records the keys that are written; fails on request."""

    failing: bool = False
    written_keys: list[Sequence[UUID]] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    @property
    def merchants(self) -> "RecordingStore":
        return self

    def record_api_key_usage(self, key_ids: Sequence[UUID]) -> None:
        self.written_keys.append(key_ids)
        self.arrived.release()
        if self.failing:
            raise StorageUnavailable

    def commit(self) -> None: ...

    @contextmanager
    def begin(self) -> Iterator["RecordingStore"]:
        yield self


def build_usage(store: RecordingStore) -> BackgroundApiKeyUsage:
    return BackgroundApiKeyUsage(store.begin, pause=0.01)  # type: ignore[arg-type]


def test_frequent_use_of_a_key_is_written_once(monkeypatch) -> None:
    store, key = RecordingStore(), IDS.new_id()
    usage = build_usage(store)
    for _ in range(1_000):
        usage.record_use(key)
    assert store.arrived.acquire(timeout=60)
    usage.record_use(key)
    other = IDS.new_id()
    usage.record_use(other)
    assert store.arrived.acquire(timeout=60)
    assert store.written_keys == [[key], [other]]
    monkeypatch.setattr(api_key_usage, "WRITE_INTERVAL_SECONDS", 0.0)
    usage.record_use(key)
    assert store.arrived.acquire(timeout=60)
    assert store.written_keys[-1] == [key]


def test_unavailable_store_is_ignored() -> None:
    store = RecordingStore(failing=True)
    usage = build_usage(store)
    first, second = IDS.new_id(), IDS.new_id()
    usage.record_use(first)
    assert store.arrived.acquire(timeout=60)
    store.failing = False
    usage.record_use(second)
    assert store.arrived.acquire(timeout=60)
    assert store.written_keys == [[first], [second]]


def test_number_of_remembered_keys_is_limited(monkeypatch) -> None:
    monkeypatch.setattr(api_key_usage, "MAX_RECENT_KEYS", 10)
    usage = build_usage(RecordingStore())
    for _ in range(100):
        usage.record_use(IDS.new_id())
    assert len(usage._last_writes) == 10
