"""Mutants of who may come in: passwords, sessions, scopes, ends of keys, the audit log."""

from typing import Final

from mutants.mutant import Edit, Mutant

MERCHANTS: Final = "tests/web/test_merchants.py"
API_KEYS: Final = "tests/web/test_api_keys.py"
AUDIT_LOG: Final = "tests/web/test_audit_log.py"
CONTRACT: Final = "tests/contract/test_sessions.py"
GUARDS: Final = "tests/integration/test_session_guards.py"
PASSWORDS: Final = "tests/unit/test_passwords.py"

USE_CASES: Final = "atomic_core/use_cases/sessions.py"
KEYS: Final = "atomic_core/use_cases/api_keys.py"
MERCHANTS_SQL: Final = "atomic_adapters/postgres/merchants.sql"
PAYMENTS_SQL: Final = "atomic_adapters/postgres/payments.sql"
UNEXPIRED: Final = "(api_keys.expires_at IS NULL OR api_keys.expires_at > now())"


def _mutant(name: str, breaks: str, path: str, old: str, new: str, *likely: str) -> Mutant:
    return Mutant(name, breaks, (Edit(path, old, new),), likely)


ACCESS: Final = (
    _mutant(
        "unknown-email-costs-nothing",
        "an unknown email costs what a wrong password costs",
        USE_CASES,
        "        matches = self.passwords.verify(encoded, attempt.password)\n",
        "        matches = known and self.passwords.verify(encoded, attempt.password)\n",
        MERCHANTS,
    ),
    _mutant(
        "unknown-email-says-so",
        "an unknown email is answered as a wrong password is",
        USE_CASES,
        "            raise Unauthorized(WRONG)\n",
        '            raise Unauthorized(WRONG if known else "There is no such merchant.")\n',
        MERCHANTS,
    ),
    _mutant(
        "failed-login-keeps-the-email",
        "of an unknown email a hash is kept, and of a failed login a row",
        USE_CASES,
        "hashlib.sha256(attempt.email.encode()).digest()",
        "attempt.email.encode().ljust(32)[:32]",
        MERCHANTS,
    ),
    _mutant(
        "registration-replays-for-anybody",
        "a registration is repeated for whoever has its password, and for nobody else",
        USE_CASES,
        "        if answer.replayed and not self._is_the_same(asked):\n",
        "        if answer.replayed and not asked:\n",
        MERCHANTS,
    ),
    _mutant(
        "password-in-the-fingerprint",
        "no password leaves a fingerprint that SHA-256 could be guessed by",
        "atomic_web/views/merchants.py",
        " if name != PASSWORD}",
        "}",
        MERCHANTS,
    ),
    _mutant(
        "token-kept-in-the-clear",
        "a secret is told once and kept nowhere",
        "atomic_web/access/idempotency.py",
        '        body["data"][secret] = None\n',
        '        body["data"][secret] = body["data"][secret]\n',
        MERCHANTS,
        API_KEYS,
    ),
    _mutant(
        "session-outlives-its-logout",
        "from its logout on, a token opens nothing",
        "atomic_adapters/postgres/sessions.sql",
        " WHERE hash = %(hash)s\n   AND revoked_at IS NULL\n",
        " WHERE hash = %(hash)s\n",
        CONTRACT,
    ),
    _mutant(
        "session-without-end",
        "a session ends with its time",
        "atomic_adapters/postgres/sessions.sql",
        "   AND revoked_at IS NULL\n   AND expires_at > now()\n",
        "   AND revoked_at IS NULL\n",
        CONTRACT,
    ),
    _mutant(
        "session-opens-what-keys-open",
        "where a session is asked for, no API key will do, nor the other way round",
        "atomic_web/access/authentication.py",
        "    if access.session:\n",
        "    if access.session and shown is not None and shown.startswith('st_'):\n",
        MERCHANTS,
        "tests/web/test_authentication.py",
    ),
    _mutant(
        "scopes-unchecked",
        "a key may do what its scopes say, and nothing else",
        "atomic_web/access/authentication.py",
        "    allowed = access.scope in caller.scopes\n",
        "    allowed = bool(caller.scopes)\n",
        API_KEYS,
    ),
    _mutant(
        "revoked-key-is-told-its-scopes",
        "who shows a revoked key is told so, and nothing else",
        "atomic_web/access/authentication.py",
        "    if not access.confirms or not allowed:\n",
        "    if not access.confirms and allowed:\n",
        API_KEYS,
    ),
    _mutant(
        "expired-key-is-active",
        "from its end on, a key opens nothing",
        MERCHANTS_SQL,
        " WHERE id = %(id)s\n   AND revoked_at IS NULL\n"
        "   AND (expires_at IS NULL OR expires_at > now())\n",
        " WHERE id = %(id)s\n   AND revoked_at IS NULL\n",
        CONTRACT,
    ),
    _mutant(
        "expired-key-reads",
        "from its end on, a key reads nothing at the desk",
        PAYMENTS_SQL,
        f"           AND api_keys.revoked_at IS NULL\n           AND {UNEXPIRED})\n",
        "           AND api_keys.revoked_at IS NULL)\n",
        CONTRACT,
    ),
    _mutant(
        "expired-key-pays",
        "from its end on, a key pays nothing at the desk",
        PAYMENTS_SQL,
        f"               AND api_keys.revoked_at IS NULL\n               AND {UNEXPIRED})\n",
        "               AND api_keys.revoked_at IS NULL)\n",
        CONTRACT,
    ),
    _mutant(
        "rotation-lengthens-a-life",
        "a key's end is brought forward and never put off",
        MERCHANTS_SQL,
        "   SET expires_at = least(expires_at, now() + %(after)s::interval)\n",
        "   SET expires_at = now() + %(after)s::interval\n",
        CONTRACT,
    ),
    _mutant(
        "rotation-of-anybodys-key",
        "another merchant's key is nobody's",
        KEYS,
        "        old = work.merchants.key(order.key_id, order.merchant_id)\n",
        "        old = work.merchants.key(order.key_id)\n",
        API_KEYS,
    ),
    _mutant(
        "revocation-of-anybodys-key",
        "another merchant's key is nobody's",
        KEYS,
        "            key = work.merchants.key(key_id, merchant_id)\n",
        "            key = work.merchants.key(key_id)\n",
        API_KEYS,
    ),
    _mutant(
        "keys-without-bound-at-once",
        "a merchant has so many active keys and no more",
        KEYS,
        "        # Held, so that two at once do not both find room for one more.\n"
        "        work.merchants.lock(order.merchant_id)\n",
        "",
        CONTRACT,
    ),
    _mutant(
        "log-of-everybody",
        "the audit log shows a merchant its own rows",
        "atomic_adapters/memory/sessions.py",
        " if row.deed.merchant_id == merchant_id]",
        " if row.deed.merchant_id]",
        AUDIT_LOG,
        CONTRACT,
    ),
    _mutant(
        "log-can-be-edited",
        "nobody edits the audit log",
        "migrations/0009.merchants.sql",
        "    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log\n",
        "    BEFORE DELETE OR TRUNCATE ON audit_log\n",
        GUARDS,
    ),
    _mutant(
        "hashes-without-bound",
        "so many passwords are hashed at once and no more",
        "atomic_adapters/security/argon2_password_hasher.py",
        "        with self._room.place():\n            return",
        "        if True:\n            return",
        PASSWORDS,
    ),
    _mutant(
        "hashes-stop-the-world",
        "while a password is hashed, everybody else goes on",
        "atomic_adapters/security/argon2_password_hasher.py",
        '    if monkey is None or not monkey.is_module_patched("threading"):\n',
        "    if True:\n",
        PASSWORDS,
    ),
)
