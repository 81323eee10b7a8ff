"""The rules of the fence, on servers that are only numbers."""

from typing import Any

import pytest

from atomic_adapters.postgres.primary_fence import (
    REFRESH_SECONDS,
    FormerPrimaryRefused,
    PrimaryFence,
)


class SharedTimelines:
    def __init__(self) -> None:
        self.highest: dict[str, int] = {}
        self.calls = 0
        self.is_away = False

    def raise_to(self, cluster: str, timeline: int) -> int | None:
        self.calls += 1
        if self.is_away:
            return None
        self.highest[cluster] = max(self.highest.get(cluster, 0), timeline)
        return self.highest[cluster]


class Server:
    """Answers the fence's query as a connection does."""

    def __init__(self, timeline: int | None, cluster: str = "7") -> None:
        self.row = (cluster, timeline)

    def execute(self, _statement: bytes) -> "Server":
        return self

    def fetchall(self) -> list[Any]:
        return [self.row]


class Process:
    def __init__(self, shared: SharedTimelines) -> None:
        self.time = 0.0
        self.fence = PrimaryFence(shared, lambda: self.time)

    def connect(self, *server: Any) -> int:
        return self.fence.admit(Server(*server))  # pyright: ignore[reportArgumentType]


@pytest.fixture
def shared() -> SharedTimelines:
    return SharedTimelines()


def test_redis_is_asked_once_per_interval(shared: SharedTimelines) -> None:
    process = Process(shared)
    timeline = process.connect(3)
    for _ in range(10):
        process.fence.check(timeline)
    assert shared.calls == 1
    process.time += REFRESH_SECONDS
    for _ in range(10):
        process.fence.check(timeline)
    assert shared.calls == 2


def test_process_refuses_what_it_saw_replaced_while_redis_is_away(shared: SharedTimelines) -> None:
    process, shared.is_away = Process(shared), True
    old = process.connect(3)
    process.connect(4)
    for attempt in (lambda: process.connect(3), lambda: process.fence.check(old)):
        with pytest.raises(FormerPrimaryRefused):
            attempt()


def test_connection_to_a_replica_is_not_judged(shared: SharedTimelines) -> None:
    process = Process(shared)
    process.connect(4)
    assert process.connect(None) == 0
    process.fence.check(0)


def test_another_cluster_begins_anew(shared: SharedTimelines) -> None:
    """A database that was created anew, or restored by pg_dump, in the place of the former."""
    process = Process(shared)
    process.connect(4, "7")
    assert process.connect(1, "8") == 1
    process.fence.check(1)
    # Of the first cluster, what is shared still counts.
    with pytest.raises(FormerPrimaryRefused):
        Process(shared).connect(3, "7")
