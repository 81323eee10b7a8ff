"""Mutants of what keeps one client from starving others."""

from typing import Final

from mutants.mutant import Edit, Mutant

SERVER_TEST: Final = "tests/web/test_server.py"
READER_TEST: Final = "tests/unit/test_request_reader.py"
RATE_LIMITS_TEST: Final = "tests/web/test_rate_limits.py"

WORKER_PY: Final = "atomic_web/server/gunicorn_worker.py"
READER_PY: Final = "atomic_web/server/request_reader.py"
RATE_LIMITING_PY: Final = "atomic_web/access/rate_limiting.py"


def _mutant(name: str, guarantee: str, path: str, old: str, new: str, *likely_tests: str) -> Mutant:
    return Mutant(name, guarantee, (Edit(path, old, new),), likely_tests)


AVAILABILITY_MUTANTS: Final = (
    _mutant(
        "pipelined-requests-served-in-one-turn",
        "a client that pipelines requests takes turns with others",
        WORKER_PY,
        '            return pipelined if self._wait_until_writable(client) else b""\n',
        "            return pipelined\n",
        SERVER_TEST,
    ),
    _mutant(
        "connection-without-a-last-request",
        "the number of requests per connection is bounded",
        WORKER_PY,
        "        if is_last or not self.alive:\n",
        "        if not self.alive:\n",
        SERVER_TEST,
    ),
    _mutant(
        "chunk-overhead-unbounded",
        "the overhead of a chunked body is bounded",
        READER_PY,
        "            if self._overhead_bytes > MAX_CHUNK_OVERHEAD_BYTES:\n",
        "            if self._overhead_bytes < 0:\n",
        SERVER_TEST,
    ),
    _mutant(
        "fast-client-extends-its-deadline",
        "the deadline of a request is absolute, also if its bytes arrive without a pause",
        READER_PY,
        "        if seconds_left <= 0:\n            raise RequestTimeout\n",
        "        seconds_left = max(0.001, seconds_left)\n",
        READER_TEST,
    ),
    _mutant(
        "fast-client-occupies-the-process",
        "other greenlets run while a client sends without a pause",
        READER_PY,
        "                    wait_read(self._client.fileno(), seconds_left)\n",
        "",
        READER_TEST,
    ),
    _mutant(
        "preflights-not-counted",
        "preflights are rate limited",
        "atomic_web/access/guards.py",
        "        count_request(PREFLIGHT)\n",
        "",
        RATE_LIMITS_TEST,
    ),
    _mutant(
        "malformed-requests-not-counted",
        "requests that cannot be parsed count against their client address",
        RATE_LIMITING_PY,
        "        return application.rate_limiter.count([limit])\n",
        "        return application.rate_limiter.count([])\n",
        RATE_LIMITS_TEST,
    ),
    _mutant(
        "passwords-tested-uncounted",
        "no password is tested while logins cannot be counted",
        RATE_LIMITING_PY,
        "    passes_uncounted = not policy.must_be_counted and (\n",
        "    passes_uncounted = (\n",
        RATE_LIMITS_TEST,
    ),
    _mutant(
        "windows-fill-redis",
        "the number of rate limit windows is bounded",
        "atomic_adapters/redis/rate_limiter.lua",
        "redis.call('DBSIZE') >= max_keys",
        "redis.call('DBSIZE') < 0",
        "tests/contract/test_services.py",
    ),
    _mutant(
        "full-redis-is-up",
        "a Redis that accepts no writes is reported as down",
        "atomic_adapters/redis/connections.py",
        "            return bool(self.redis.set(_PROBE_KEY, 1, px=_PROBE_TTL_MS))\n",
        "            return bool(self.redis.ping())\n",
        "tests/integration/test_redis_away.py",
    ),
)
