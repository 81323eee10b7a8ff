"""Mutants of what keeps one client from starving others."""

from typing import Final

from mutants.mutant import Edit, Mutant

SERVER_TEST: Final = "tests/web/test_server.py"
READER_TEST: Final = "tests/unit/test_request_reader.py"
RATE_LIMITS_TEST: Final = "tests/web/test_rate_limits.py"

LOCKS_TEST: Final = "tests/integration/test_locks.py"
PAYMENT_STORE_TEST: Final = "tests/contract/test_payment_store.py"
BULKHEAD_TEST: Final = "tests/unit/test_bulkhead.py"
FAIRNESS_TEST: Final = "tests/web/test_merchant_shares.py"

CONNECTIONS_TEST: Final = "tests/integration/test_connections.py"

CONNECTIONS_PY: Final = "atomic_adapters/postgres/connections.py"
BULKHEAD_PY: Final = "atomic_adapters/bulkhead.py"
HEALTH_TEST: Final = "tests/web/test_health.py"

UNIT_OF_WORK_PY: Final = "atomic_adapters/postgres/unit_of_work.py"
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
    _mutant(
        "header-key-locked-first",
        "all keys of a request are locked in one order",
        "atomic_core/use_cases/idempotency.py",
        "            if keys:\n",
        "            if not keys:\n",
        LOCKS_TEST,
    ),
    _mutant(
        "keys-of-a-request-locked-unsorted",
        "all keys of a request are locked in one order",
        "atomic_adapters/postgres/idempotency.sql",
        "  FROM unnest(%(keys)b::text[]) AS requested (key)\n ORDER BY key\n",
        "  FROM unnest(%(keys)b::text[]) AS requested (key)\n ORDER BY key DESC\n",
        LOCKS_TEST,
    ),
    _mutant(
        "expired-keys-not-locked",
        "expired keys are locked in the same order as unused ones",
        "atomic_adapters/postgres/idempotency.sql",
        "    ON CONFLICT (merchant_id, key) DO UPDATE\n"
        "   SET expires_at = existing.expires_at\n"
        " WHERE existing.expires_at <= now()\n\n",
        "    ON CONFLICT (merchant_id, key) DO NOTHING\n\n",
        LOCKS_TEST,
    ),
    _mutant(
        "merchant-locked-before-keys",
        "keys are locked before the merchant",
        "atomic_core/use_cases/payment_batches.py",
        "        if missing and keys:\n",
        "        if not missing and keys:\n",
        LOCKS_TEST,
    ),
    _mutant(
        "key-in-use-delays-other-merchants",
        "a key in use delays no other merchant's payments",
        UNIT_OF_WORK_PY,
        "            inserted |= self._insert_by_merchant(together)\n",
        "            pass\n",
        PAYMENT_STORE_TEST,
    ),
    _mutant(
        "contended-merchant-forgotten",
        "payments of a merchant whose key is in use are inserted apart from others",
        UNIT_OF_WORK_PY,
        " and time.monotonic() < until\n",
        " and time.monotonic() > until\n",
        PAYMENT_STORE_TEST,
    ),
    _mutant(
        "merchant-takes-all-connections",
        "one merchant's requests leave connections to others",
        BULKHEAD_PY,
        "                slots = _Slots(threading.Semaphore(self.max_open))\n",
        "                slots = _Slots(threading.Semaphore(1_000))\n",
        BULKHEAD_TEST,
    ),
    _mutant(
        "waiting-requests-unlimited",
        "the number of waiting requests of a merchant is bounded",
        BULKHEAD_PY,
        "            if slots.requests >= self.max_open + self.max_waiting:\n",
        "            if slots.requests < 0:\n",
        BULKHEAD_TEST,
    ),
    _mutant(
        "merchant-of-the-request-unknown",
        "the requests of a merchant use its share of the connections",
        "atomic_web/access/guards.py",
        "        CURRENT_MERCHANT.set(context.merchant_id)\n",
        "",
        FAIRNESS_TEST,
    ),
    _mutant(
        "merchant-outlives-its-request",
        "the merchant of a request is not that of the next one on its connection",
        "atomic_web/middleware.py",
        "            CURRENT_MERCHANT.set(None)\n",
        "",
        FAIRNESS_TEST,
    ),
    _mutant(
        "values-counted-after-parsing",
        "a body with too many values is refused before it is parsed",
        "atomic_web/http/body.py",
        "    _limit_values(text)\n",
        "",
        "tests/web/test_batch.py",
    ),
    _mutant(
        "batch-validated-in-one-turn",
        "other requests run while a batch is validated",
        "atomic_web/views/batches.py",
        "            time.sleep(0)  # switches greenlets\n",
        "            pass\n",
        "tests/web/test_batch.py",
    ),
    _mutant(
        "readiness-writes-nothing",
        "readiness writes as requests do",
        UNIT_OF_WORK_PY,
        '                DatabaseSession(connection).execute(_SQL["probe_write"])\n',
        "                connection.info\n",
        CONNECTIONS_TEST,
    ),
    _mutant(
        "readiness-repeats-no-prepared-statement",
        "readiness repeats a prepared statement as requests do",
        UNIT_OF_WORK_PY,
        "                for _ in range(2):\n",
        "                for _ in range(1):\n",
        CONNECTIONS_TEST,
    ),
    _mutant(
        "lost-session-forgotten",
        "the process is not ready after a request met a session without its prepared statements",
        CONNECTIONS_PY,
        "        self._session_lost_at = time.monotonic()\n",
        "",
        CONNECTIONS_TEST,
    ),
    _mutant(
        "lost-session-reused",
        "a connection whose session is another one is not used again",
        CONNECTIONS_PY,
        "reason=str(cause))\n        connection.close()\n",
        "reason=str(cause))\n",
        CONNECTIONS_TEST,
    ),
    _mutant(
        "stalled-backlog-is-ready",
        "readiness is degraded while no worker settles payments",
        "atomic_core/use_cases/maintenance.py",
        "(self.backlog.is_stalled or not all(self.checks.values()))",
        "not all(self.checks.values())",
        HEALTH_TEST,
    ),
    _mutant(
        "ready-with-pending-migrations",
        "an API whose schema is outdated is not ready",
        "atomic_core/use_cases/maintenance.py",
        "        is_ready = not pending and all(",
        "        is_ready = all(",
        HEALTH_TEST,
    ),
    _mutant(
        "production-rolled-back-like-development",
        "a rollback in production requires an option of its own",
        "atomic_worker/commands/migrate.py",
        "    if cli.settings.is_production and not in_production:\n",
        "    if cli.settings.is_production and in_production is None:\n",
        "tests/unit/test_cli.py",
    ),
    _mutant(
        "command-of-an-operator-not-audited",
        "what an operator does to a payment is in the audit log",
        "atomic_core/use_cases/operator_commands.py",
        "        work.audit_log.add(\n",
        "        str(\n",
        "tests/unit/test_cli_payments.py",
    ),
)
