"""A server that does not respond is given up, and one that was replaced is refused."""

from typing import Final

from mutants.mutant import Edit, Mutant

SILENCE_TEST: Final = "tests/integration/test_silent_database.py"
FENCE_TEST: Final = "tests/integration/test_former_primary.py"

CONNECTIONS_PY: Final = "atomic_adapters/postgres/connections.py"
FENCE_PY: Final = "atomic_adapters/postgres/primary_fence.py"
SILENCE_PY: Final = "atomic_adapters/postgres/silence.py"


def _mutant(name: str, guarantee: str, path: str, old: str, new: str, *likely_tests: str) -> Mutant:
    return Mutant(name, guarantee, (Edit(path, old, new),), likely_tests)


FAILOVER_MUTANTS: Final = (
    _mutant(
        "silence-is-waited-for",
        "a server that does not respond is given up",
        SILENCE_PY,
        "        limit = self.response_seconds if timeout is None else timeout\n",
        "        limit = timeout\n",
        SILENCE_TEST,
    ),
    _mutant(
        "silent-connection-reused",
        "a connection whose statement was given up is closed",
        SILENCE_PY,
        "                self.close()\n",
        "",
        SILENCE_TEST,
    ),
    _mutant(
        "silent-pool-kept",
        "after one silent connection the others of the pool are not tried one by one",
        CONNECTIONS_PY,
        "        self._pool.drain()\n",
        "",
        SILENCE_TEST,
    ),
    _mutant(
        "former-primary-admitted",
        "a primary that another one has replaced gets no transaction",
        FENCE_PY,
        "        self._refresh()\n        self._refuse_below_highest(timeline)\n        return",
        "        return",
        FENCE_TEST,
    ),
    _mutant(
        "open-connections-to-a-former-primary-kept",
        "connections that were open before a failover are given up",
        CONNECTIONS_PY,
        "        self._fence.check(connection.wal_timeline)\n        with",
        "        with",
        FENCE_TEST,
    ),
    _mutant(
        "session-on-a-former-primary-kept",
        "a worker does not stay alive on a former primary",
        CONNECTIONS_PY,
        "        self._fence.check(connection.wal_timeline)\n        # The first",
        "        # The first",
        FENCE_TEST,
    ),
    _mutant(
        "only-the-first-host-tried",
        "after a former primary the other hosts of the URL are tried",
        CONNECTIONS_PY,
        '            self._connect_options["load_balance_hosts"] = "random"\n',
        "",
        FENCE_TEST,
    ),
    _mutant(
        "highest-timeline-written-once",
        "an emptied Redis learns the highest timeline again",
        FENCE_PY,
        "        if self._get_time() >= self._refresh_at:\n            self._refresh()\n",
        "",
        FENCE_TEST,
    ),
    _mutant(
        "timeline-falls-in-redis",
        "a lower timeline does not replace a higher one",
        "atomic_adapters/redis/wal_timelines.py",
        ", gt=True)",
        ")",
        FENCE_TEST,
    ),
)
