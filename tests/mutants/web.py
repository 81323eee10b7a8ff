"""Mutants of idempotency, API keys and rate limits."""

from typing import Final

from mutants.mutant import Edit, Mutant

PAYMENTS_SQL: Final = "atomic_adapters/postgres/payments.sql"
IDEMPOTENCY_SQL: Final = "atomic_adapters/postgres/idempotency.sql"

IDEMPOTENT_EXECUTION_TEST: Final = "tests/contract/test_perform_once.py"
PAYMENT_STORE_TEST: Final = "tests/contract/test_payment_store.py"
SETTLEMENT_TEST: Final = "tests/contract/test_settlement.py"

WEB_MUTANTS: Final = (
    Mutant(
        "key-committed-separately",
        "an idempotency record and its effect are committed together",
        (
            Edit(
                "atomic_core/use_cases/idempotency.py",
                "                return IdempotentResult(stored_response, replayed=True)\n",
                "                return IdempotentResult(stored_response, replayed=True)\n"
                "            work.commit()\n"
                "        with self.begin() as work:\n",
            ),
        ),
        (IDEMPOTENT_EXECUTION_TEST,),
    ),
    Mutant(
        "keys-shared-by-merchants",
        "each merchant has its own Idempotency-Keys",
        (
            Edit("migrations/0004.idempotency.sql", "KEY (merchant_id, key)", "KEY (key)"),
            Edit(
                IDEMPOTENCY_SQL,
                "::interval)\n    ON CONFLICT (merchant_id, key)",
                "::interval)\n    ON CONFLICT (key)",
            ),
            Edit(
                IDEMPOTENCY_SQL,
                " ORDER BY key\n    ON CONFLICT (merchant_id, key)",
                " ORDER BY key\n    ON CONFLICT (key)",
            ),
            Edit(
                IDEMPOTENCY_SQL,
                " WHERE merchant_id = %(merchant_id)s\n   AND key = ANY(%(keys)b)",
                " WHERE %(merchant_id)s::uuid IS NOT NULL\n   AND key = ANY(%(keys)b)",
            ),
            Edit(PAYMENTS_SQL, "ON CONFLICT (merchant_id, key)", "ON CONFLICT (key)"),
        ),
        ("tests/contract/test_idempotency.py",),
    ),
    Mutant(
        "replay-differs-from-first-response",
        "a repeated request gets the first response, byte for byte",
        (
            Edit(
                "atomic_core/domain/idempotency.py",
                "return self.response.with_commit_time(self.created_at)",
                "return self.response.with_commit_time(datetime.now(self.created_at.tzinfo))",
            ),
        ),
        (PAYMENT_STORE_TEST, "tests/web/test_idempotency.py"),
        ("connections-cut",),
    ),
    Mutant(
        "batch-ignores-keys",
        "each payment of a batch is created once per key",
        (
            Edit(
                "atomic_core/use_cases/payment_batches.py",
                "idempotency = (item.request, response) if item.request else None",
                "idempotency = None",
            ),
        ),
        ("tests/contract/test_batch.py",),
    ),
    Mutant(
        "unexpired-keys-purged",
        "a key is stored until it expires",
        (
            Edit(
                IDEMPOTENCY_SQL,
                "     WHERE expires_at <= now()\n",
                "     WHERE created_at <= now()\n",
            ),
        ),
        ("tests/contract/test_idempotency.py",),
    ),
    Mutant(
        "purge-exceeds-its-limit",
        "a purge deletes no more than its limit, whatever the plan",
        (Edit(IDEMPOTENCY_SQL, "AS MATERIALIZED (", "AS NOT MATERIALIZED ("),),
        ("tests/architecture/test_statements.py",),
    ),
    Mutant(
        "rate-limits-count-nothing",
        "requests count against their rate limits",
        (
            Edit(
                "atomic_adapters/redis/rate_limiter.lua",
                "redis.call('INCRBY', key, cost)",
                "tonumber(redis.call('GET', key))",
            ),
        ),
        ("tests/contract/test_services.py",),
    ),
    Mutant(
        "revoked-key-accepted",
        "a revoked key is refused from the COMMIT of its revocation",
        (
            Edit(
                "atomic_adapters/postgres/merchants.sql",
                " WHERE hash = %(hash)s\n   AND revoked_at IS NULL\n   AND (exp",
                " WHERE hash = %(hash)s\n   AND (exp",
            ),
            Edit(
                "atomic_adapters/postgres/merchants.sql",
                " WHERE id = %(id)s\n   AND revoked_at IS NULL\n   AND (exp",
                " WHERE id = %(id)s\n   AND (exp",
            ),
        ),
        ("tests/contract/test_merchants.py",),
    ),
    Mutant(
        "revoked-key-pays",
        "the statement that inserts a payment checks that the key is active",
        (
            Edit(
                PAYMENTS_SQL,
                "             WHERE api_keys.id = requested.key_id\n"
                "               AND api_keys.revoked_at IS NULL\n"
                "               AND (api_keys.expires_at IS NULL OR api_keys.expires_at > now()"
                "))\n",
                "             WHERE api_keys.id = requested.key_id)\n",
            ),
        ),
        (PAYMENT_STORE_TEST,),
    ),
    Mutant(
        "raw-key-in-prefix",
        "a raw API key is never stored",
        (
            Edit(
                "atomic_core/use_cases/api_keys.py",
                "            raw_key[:VISIBLE_KEY_LENGTH],\n",
                "            raw_key,\n",
            ),
        ),
        ("tests/unit/test_merchants.py", "tests/e2e/test_system.py"),
    ),
    Mutant(
        "raw-key-instead-of-hash",
        "of an API key only its SHA-256 is stored",
        (
            Edit(
                "atomic_adapters/system.py",
                'return hashlib.sha256(raw_key.encode("utf-8", "surrogatepass")).digest()',
                'return raw_key.encode("utf-8", "surrogatepass")[-32:].rjust(32)',
            ),
        ),
        ("tests/unit/test_merchants.py", "tests/contract/test_services.py"),
    ),
    Mutant(
        "keys-locked-unsorted",
        "two batches with the same keys never deadlock",
        (
            Edit(
                PAYMENTS_SQL,
                "     ORDER BY merchant_id, key\n        ON CONFLICT",
                "        ON CONFLICT",
            ),
        ),
        ("tests/integration/test_locks.py",),
    ),
    Mutant(
        "payments-of-other-merchants-visible",
        "a merchant sees only its own payments",
        (
            Edit(
                PAYMENTS_SQL,
                " AND payments.merchant_id = lookup.owner_id\n",
                " AND lookup.owner_id IS NOT NULL\n",
            ),
        ),
        ("tests/contract/test_payments.py",),
    ),
    Mutant(
        "key-reused-with-another-body",
        "a key is refused with another body",
        (
            Edit(
                "atomic_core/domain/idempotency.py",
                "first_request = (self.method, self.path, self.fingerprint)",
                "first_request = (self.method, self.path, request.fingerprint)",
            ),
        ),
        ("tests/contract/test_idempotency.py",),
    ),
    Mutant(
        "connection-urls-unchecked",
        "every command reports a DATABASE_URL or REDIS_URL that cannot be parsed",
        (
            Edit(
                "atomic_worker/commands/console.py",
                "        check_connection_urls(settings)\n",
                "",
            ),
        ),
        ("tests/integration/test_wrong_settings.py",),
    ),
    Mutant(
        "redis-url-overrides",
        "parameters of REDIS_URL cannot replace Atomic's time-outs and encoding",
        (
            Edit(
                "atomic_adapters/connection_urls.py",
                "    if not parse_qs(parts.query).keys() <= _REDIS_PARAMETERS:\n",
                "    if not parse_qs(parts.query).keys() >= set():\n",
            ),
        ),
        ("tests/integration/test_wrong_settings.py",),
    ),
    Mutant(
        "migrator-with-two-connections",
        "the migrator locks and migrates on one connection",
        (
            Edit(
                "atomic_adapters/postgres/migrations.py",
                "            backend = _Backend(connection)\n",
                "            backend = _Backend(psycopg.connect(self._url, autocommit=True))\n",
            ),
        ),
        ("tests/integration/test_migrations.py",),
    ),
    Mutant(
        "defaults-in-request-schemas",
        "no member of a request schema has a default in the OpenAPI document",
        (
            Edit(
                "atomic_web/openapi/schemas.py",
                '        default = ret.pop("default", None)\n',
                '        default = ret.get("default")\n',
            ),
        ),
        ("tests/web/test_openapi_generators.py",),
    ),
    Mutant(
        "enumerations-inlined",
        "each set of values is one component of the OpenAPI document",
        (
            Edit(
                "atomic_web/openapi/schemas.py",
                "            rules |= validator.enumeration.reference\n",
                "            rules |= validator.enumeration.build_schema()\n",
            ),
        ),
        ("tests/web/test_openapi_generators.py",),
    ),
    Mutant(
        "bracketed-metadata-ignored",
        "a list filter that the document describes is never ignored",
        (
            Edit(
                "atomic_web/http/query.py",
                "        pairs[key] = parameter.parse(text)\n",
                '        if "[" not in name:\n            pairs[key] = parameter.parse(text)\n',
            ),
        ),
        ("tests/web/test_lists.py",),
    ),
    Mutant(
        "encoded-slashes-routed",
        "a path with a repeated or an encoded slash matches no route",
        (
            Edit(
                "atomic_web/http/paths.py",
                '    return not text.startswith("//") and "%2f" not in text.lower()\n',
                "    return True\n",
            ),
        ),
        ("tests/web/test_server.py",),
    ),
    Mutant(
        "byte-order-mark-unnamed",
        "a byte order mark is refused by name",
        (
            Edit(
                "atomic_web/http/body.py",
                "    if text.startswith(BYTE_ORDER_MARK, error.pos):\n",
                "    if text == BYTE_ORDER_MARK:\n",
            ),
        ),
        ("tests/web/test_hostile_bodies.py",),
    ),
    Mutant(
        "empty-body-needs-content-type",
        "an empty body means {} where all fields are optional, whatever its Content-Type",
        (
            Edit(
                "atomic_web/http/body.py",
                "    if not raw:\n        return {}\n    _check_media_type(request)\n",
                "    _check_media_type(request)\n    if not raw:\n        return {}\n",
            ),
        ),
        ("tests/web/test_empty_bodies.py",),
    ),
    Mutant(
        "date-includes-its-day",
        "a date as createdTo excludes its day, as the exclusive bound does",
        (
            Edit(
                "atomic_web/schemas/times.py",
                '        text += "T00:00:00Z"\n',
                '        text += "T23:59:59Z"\n',
            ),
        ),
        ("tests/web/test_lists.py",),
    ),
    Mutant(
        "duplicate-first-account",
        "concurrent first payments open one account",
        (
            Edit(
                "atomic_adapters/postgres/merchants.sql",
                " WHERE id = %(id)s\n   FOR NO KEY UPDATE\n",
                " WHERE id = %(id)s\n",
            ),
        ),
        (SETTLEMENT_TEST,),
    ),
)
