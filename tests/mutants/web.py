"""Mutants of what callers rely on: idempotency, keys, limits."""

from typing import Final

from mutants.mutant import Edit, Mutant

PAYMENTS_SQL: Final = "atomic_adapters/postgres/payments.sql"
KEYS_SQL: Final = "atomic_adapters/postgres/idempotency.sql"

ONCE: Final = "tests/contract/test_perform_once.py"
DESK: Final = "tests/contract/test_payment_store.py"
ENGINE: Final = "tests/contract/test_settlement.py"

DOOR: Final = (
    Mutant(
        "key-committed-alone",
        "an idempotency record and its effect are one commit",
        (
            Edit(
                "atomic_core/use_cases/idempotency.py",
                "                return Answer(kept, replayed=True)\n",
                "                return Answer(kept, replayed=True)\n"
                "            work.commit()\n"
                "        with self.begin() as work:\n",
            ),
        ),
        (ONCE,),
    ),
    Mutant(
        "keys-are-everybodys",
        "a key belongs to its merchant: another's request with the same key is another request",
        (
            Edit("migrations/0004.idempotency.sql", "KEY (merchant_id, key)", "KEY (key)"),
            Edit(KEYS_SQL, "ON CONFLICT (merchant_id, key)", "ON CONFLICT (key)"),
            Edit(
                KEYS_SQL,
                " WHERE merchant_id = %(merchant_id)s\n   AND key = ANY(%(keys)b)",
                " WHERE %(merchant_id)s::uuid IS NOT NULL\n   AND key = ANY(%(keys)b)",
            ),
            Edit(PAYMENTS_SQL, "ON CONFLICT (merchant_id, key)", "ON CONFLICT (key)"),
        ),
        ("tests/contract/test_idempotency.py",),
    ),
    Mutant(
        "replay-renders-again",
        "a repeat gets the first answer, byte for byte",
        (
            Edit(
                "atomic_core/domain/idempotency.py",
                "return self.response.at(self.created_at)",
                "return self.response.at(datetime.now(self.created_at.tzinfo))",
            ),
        ),
        (DESK, "tests/web/test_idempotency.py"),
        ("connections-cut",),
    ),
    Mutant(
        "batch-takes-no-keys",
        "each payment of a batch is made once under its key",
        (
            Edit(
                "atomic_core/use_cases/payment_batches.py",
                "record = (item.request, draft) if item.request else None",
                "record = None",
            ),
        ),
        ("tests/contract/test_batch.py",),
    ),
    Mutant(
        "live-keys-purged",
        "a key is remembered for as long as was promised",
        (
            Edit(
                KEYS_SQL,
                "         WHERE expires_at <= now()\n",
                "         WHERE created_at <= now()\n",
            ),
        ),
        ("tests/contract/test_idempotency.py",),
    ),
    Mutant(
        "limits-count-nothing",
        "requests are counted against their limits",
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
        "revoked-key-passes",
        "from the commit of its revocation on, no request with a key passes",
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
        "the statement that accepts a payment confirms the key",
        (
            Edit(
                PAYMENTS_SQL,
                "             WHERE api_keys.id = asked.key_id\n"
                "               AND api_keys.revoked_at IS NULL\n"
                "               AND (api_keys.expires_at IS NULL OR api_keys.expires_at > now()))\n"
                "), taken AS (",
                "             WHERE api_keys.id = asked.key_id)\n), taken AS (",
            ),
        ),
        (DESK,),
    ),
    Mutant(
        "raw-key-in-its-prefix",
        "a raw key is kept nowhere",
        (
            Edit(
                "atomic_core/use_cases/api_keys.py",
                "            raw[:SHOWN_CHARACTERS],\n",
                "            raw,\n",
            ),
        ),
        ("tests/unit/test_merchants.py", "tests/e2e/test_system.py"),
    ),
    Mutant(
        "raw-key-for-a-hash",
        "of a raw key only its SHA-256 is kept",
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
        "keys-taken-in-any-order",
        "two batches with the same keys never wait for each other in a circle",
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
        "payments-of-others-show",
        "a merchant sees its own payments only",
        (
            Edit(
                PAYMENTS_SQL,
                " AND payments.merchant_id = asked.merchant_id\n",
                " AND asked.merchant_id IS NOT NULL\n",
            ),
        ),
        ("tests/contract/test_payments.py",),
    ),
    Mutant(
        "another-body-same-key",
        "a key that was used with another body is refused",
        (
            Edit(
                "atomic_core/domain/idempotency.py",
                "mine = (self.method, self.path, self.fingerprint)",
                "mine = (self.method, self.path, request.fingerprint)",
            ),
        ),
        ("tests/contract/test_idempotency.py",),
    ),
    Mutant(
        "two-first-accounts",
        "first payments that come at once open one account",
        (
            Edit(
                "atomic_adapters/postgres/merchants.sql",
                " WHERE id = %(id)s\n   FOR NO KEY UPDATE\n",
                " WHERE id = %(id)s\n",
            ),
        ),
        (ENGINE,),
    ),
)
