"""Mutants of access control: passwords, sessions, scopes, expiry of keys, the audit log."""

from typing import Final

from mutants.mutant import Edit, Mutant

MERCHANTS_TEST: Final = "tests/web/test_merchants.py"
API_KEYS_TEST: Final = "tests/web/test_api_keys.py"
AUDIT_LOG_TEST: Final = "tests/web/test_audit_log.py"
SESSIONS_TEST: Final = "tests/contract/test_sessions.py"
SCOPES_TEST: Final = "tests/web/test_scopes.py"
GUARDS_TEST: Final = "tests/integration/test_session_guards.py"
PASSWORDS_TEST: Final = "tests/unit/test_passwords.py"

SESSIONS_PY: Final = "atomic_core/use_cases/sessions.py"
PASSWORDS_PY: Final = "atomic_core/use_cases/passwords.py"
REGISTRATION_PY: Final = "atomic_core/use_cases/registration.py"
API_KEYS_PY: Final = "atomic_core/use_cases/api_keys.py"
MERCHANTS_SQL: Final = "atomic_adapters/postgres/merchants.sql"
PAYMENTS_SQL: Final = "atomic_adapters/postgres/payments.sql"
SUSPENSION_TEST: Final = "tests/contract/test_suspension.py"
PASSWORD_CHANGE_TEST: Final = "tests/contract/test_password_change.py"
IS_NOT_SUSPENDED: Final = (
    "   AND (SELECT suspended_at FROM merchants WHERE merchants.id = merchant_id) IS NULL\n"
)
IS_UNEXPIRED: Final = "(api_keys.expires_at IS NULL OR api_keys.expires_at > now())"


def _mutant(name: str, guarantee: str, path: str, old: str, new: str, *likely_tests: str) -> Mutant:
    return Mutant(name, guarantee, (Edit(path, old, new),), likely_tests)


ACCESS_MUTANTS: Final = (
    _mutant(
        "unknown-email-answered-faster",
        "an unknown email takes as long as a wrong password",
        SESSIONS_PY,
        "        is_right = self.password_hasher.verify(encoded, attempt.password)\n",
        "        is_right = credentials and self.password_hasher.verify(encoded, attemp"
        "t.password)\n",
        MERCHANTS_TEST,
    ),
    _mutant(
        "unknown-email-revealed",
        "an unknown email is answered like a wrong password",
        SESSIONS_PY,
        "            raise WrongCredentials\n",
        '            raise WrongCredentials(None if credentials else "Unknown email.")\n',
        MERCHANTS_TEST,
    ),
    _mutant(
        "failed-login-stores-email",
        "of a failed login with an unknown email only its hash is stored",
        SESSIONS_PY,
        "hashlib.sha256(attempt.email.encode()).digest()",
        "attempt.email.encode().ljust(32)[:32]",
        MERCHANTS_TEST,
    ),
    _mutant(
        "registration-replayed-for-another-password",
        "a registration is replayed only with the same password",
        REGISTRATION_PY,
        "        if result.replayed and not self._has_same_password(registration):\n",
        "        if result.replayed and not registration:\n",
        MERCHANTS_TEST,
    ),
    _mutant(
        "password-in-fingerprint",
        "no fingerprint contains a password",
        "atomic_web/views/merchants.py",
        " if name not in PASSWORDS}",
        "}",
        MERCHANTS_TEST,
    ),
    _mutant(
        "token-stored",
        "a secret is returned once and never stored",
        "atomic_web/access/idempotency.py",
        '        body["data"][field] = None\n',
        '        body["data"][field] = body["data"][field]\n',
        MERCHANTS_TEST,
        API_KEYS_TEST,
    ),
    _mutant(
        "session-outlives-logout",
        "a token is invalid after its logout",
        "atomic_adapters/postgres/sessions.sql",
        " WHERE hash = %(hash)s\n   AND revoked_at IS NULL\n",
        " WHERE hash = %(hash)s\n",
        SESSIONS_TEST,
    ),
    _mutant(
        "session-never-expires",
        "a session expires",
        "atomic_adapters/postgres/sessions.sql",
        " WHERE hash = %(hash)s\n   AND revoked_at IS NULL\n   AND expires_at > now()\n",
        " WHERE hash = %(hash)s\n   AND revoked_at IS NULL\n",
        SESSIONS_TEST,
    ),
    _mutant(
        "session-works-while-suspended",
        "no session of a suspended merchant works",
        "atomic_adapters/postgres/sessions.sql",
        IS_NOT_SUSPENDED,
        "",
        SUSPENSION_TEST,
    ),
    _mutant(
        "suspended-key-found",
        "no key of a suspended merchant is found",
        MERCHANTS_SQL,
        " WHERE hash = %(hash)s\n   AND revoked_at IS NULL\n"
        f"   AND (expires_at IS NULL OR expires_at > now())\n{IS_NOT_SUSPENDED}",
        " WHERE hash = %(hash)s\n   AND revoked_at IS NULL\n"
        "   AND (expires_at IS NULL OR expires_at > now())\n",
        SUSPENSION_TEST,
    ),
    _mutant(
        "suspended-key-active",
        "a cached key of a suspended merchant is refused",
        MERCHANTS_SQL,
        " WHERE id = %(id)s\n   AND revoked_at IS NULL\n"
        f"   AND (expires_at IS NULL OR expires_at > now())\n{IS_NOT_SUSPENDED}",
        " WHERE id = %(id)s\n   AND revoked_at IS NULL\n"
        "   AND (expires_at IS NULL OR expires_at > now())\n",
        SUSPENSION_TEST,
    ),
    _mutant(
        "suspended-key-pays",
        "the statement that inserts a payment checks that the merchant is not suspended",
        PAYMENTS_SQL,
        "                            AND merchants.suspended_at IS NULL\n",
        "",
        SUSPENSION_TEST,
    ),
    _mutant(
        "suspended-key-reads",
        "the statement that finds a payment checks that the merchant is not suspended",
        PAYMENTS_SQL,
        "merchants.id = api_keys.merchant_id AND merchants.suspended_at IS NULL\n",
        "merchants.id = api_keys.merchant_id\n",
        SUSPENSION_TEST,
    ),
    _mutant(
        "suspension-pauses-sessions",
        "the sessions of a suspended merchant end for good",
        "atomic_core/use_cases/merchants.py",
        "                for session_id in work.sessions.revoke_sessions(merchant_id):\n",
        "                for session_id in ():\n",
        SUSPENSION_TEST,
    ),
    _mutant(
        "suspended-merchant-logs-in",
        "a suspended merchant cannot log in",
        SESSIONS_PY,
        "            raise MerchantSuspended\n",
        "            pass\n",
        SUSPENSION_TEST,
    ),
    _mutant(
        "operator-not-named",
        "the audit log names the operator",
        "atomic_core/domain/audit_log.py",
        ' {**self.details, "operator": operator}\n',
        " self.details\n",
        SUSPENSION_TEST,
    ),
    _mutant(
        "login-survives-password-change",
        "a login with the former password opens no session after the password has changed",
        SESSIONS_PY,
        "        if credentials is None or credentials.password_hash"
        " != login.credentials.password_hash:\n",
        "        if credentials is None:\n",
        PASSWORD_CHANGE_TEST,
    ),
    _mutant(
        "password-change-keeps-sessions",
        "a changed password ends all other sessions",
        PASSWORDS_PY,
        "work.sessions.revoke_sessions(merchant_id, change.session.id)\n",
        "list[UUID]()\n",
        PASSWORD_CHANGE_TEST,
    ),
    _mutant(
        "password-changed-without-the-current-one",
        "the password changes only with the current one",
        PASSWORDS_PY,
        "        new_hash = self.password_hasher.hash(change.new_password) if is_right else None\n",
        "        new_hash = self.password_hasher.hash(change.new_password)\n",
        PASSWORD_CHANGE_TEST,
    ),
    _mutant(
        "password-change-replayed-for-another-password",
        "a change of the password is replayed only with the same new password",
        PASSWORDS_PY,
        "        if result.replayed and not self._has_new_password(change):\n",
        "        if result.replayed and not change:\n",
        PASSWORD_CHANGE_TEST,
    ),
    _mutant(
        "common-passwords-accepted",
        "the most common passwords are refused, in any case",
        "atomic_adapters/security/common_passwords.py",
        "password.strip().lower()",
        "password",
        PASSWORDS_TEST,
    ),
    _mutant(
        "sessions-unbounded",
        "a merchant has a limited number of live sessions",
        SESSIONS_PY,
        "work.sessions.revoke_oldest_sessions(merchant_id, MAX_LIVE_SESSIONS - 1)\n",
        "list[UUID]()\n",
        SESSIONS_TEST,
    ),
    _mutant(
        "newest-session-ended",
        "above the maximum, the oldest session ends",
        "atomic_adapters/postgres/sessions.sql",
        "               ORDER BY created_at DESC, id DESC\n              OFFSET",
        "               ORDER BY created_at, id\n              OFFSET",
        SESSIONS_TEST,
    ),
    _mutant(
        "session-of-other-merchant-revoked",
        "a merchant cannot end the session of another one",
        "atomic_adapters/postgres/sessions.sql",
        " WHERE id = %(id)s\n   AND merchant_id = %(merchant_id)s\n",
        " WHERE id = %(id)s\n   AND %(merchant_id)s::uuid IS NOT NULL\n",
        SESSIONS_TEST,
    ),
    _mutant(
        "former-seeded-key-works",
        "a new MERCHANT_API_KEY_HASH ends the former seeded key",
        "atomic_core/use_cases/api_keys.py",
        "work.merchants.revoke_adopted_keys(merchant_id, name, keep=hash):\n",
        "():\n",
        "tests/unit/test_cli.py",
        SESSIONS_TEST,
    ),
    _mutant(
        "seed-revokes-issued-keys",
        "a new MERCHANT_API_KEY_HASH ends no key that was issued",
        MERCHANTS_SQL,
        "   AND prefix = ''\n",
        "",
        SESSIONS_TEST,
    ),
    _mutant(
        "nginx-logs-any-path",
        "nginx logs nothing of a path but the words of routes and ids",
        "deploy/nginx.conf",
        '        default (not-logged);\n        "~^(?<key_path>',
        '        default $request_uri;\n        "~^(?<key_path>',
        "tests/e2e/test_connection_limits.py",
    ),
    _mutant(
        "login-locked-per-email",
        "a stranger's wrong logins do not lock the owner out",
        "atomic_web/access/rate_limiting.py",
        'f"{soft_limit.subject} {client}"',
        "soft_limit.subject",
        MERCHANTS_TEST,
    ),
    _mutant(
        "login-above-the-limit-not-slowed",
        "logins above the limit of an email are slowed down",
        "atomic_web/access/rate_limiting.py",
        "[*states[:-1], *_count(slow_limits, passes_uncounted=passes_uncounted)]\n",
        "states[:-1]\n",
        MERCHANTS_TEST,
    ),
    _mutant(
        "session-accepted-as-api-key",
        "an API key is not accepted where a session is required, nor a session where a key is",
        "atomic_web/access/authentication.py",
        "    if policy.is_session_required:\n",
        "    if policy.is_session_required and credential and credential.startswith('st_'):\n",
        MERCHANTS_TEST,
        "tests/web/test_authentication.py",
    ),
    _mutant(
        "scopes-not-checked",
        "a key may do only what its scopes allow",
        "atomic_web/access/authentication.py",
        "    has_scope = not caller.scopes.isdisjoint(policy.scopes)\n",
        "    has_scope = bool(caller.scopes)\n",
        API_KEYS_TEST,
    ),
    _mutant(
        "entries-shown-without-accounts-read",
        "an expansion requires the scope of what it reveals",
        "atomic_web/views/payments.py",
        '    if "entries" in related:\n        require_scope(Scope.ACCOUNTS_READ)\n',
        "",
        SCOPES_TEST,
    ),
    _mutant(
        "timeline-entries-shown-without-accounts-read",
        "a timeline shows ledger entries only to keys that may read accounts",
        "atomic_web/views/timeline.py",
        "    if not is_scope_granted(Scope.ACCOUNTS_READ):\n        _remove_entries(data)\n",
        "",
        SCOPES_TEST,
    ),
    _mutant(
        "look-up-ignores-scope-of-response",
        "the look-up of an Idempotency-Key requires the scope of the response that it shows",
        "atomic_web/views/idempotency_keys.py",
        "    require_scope(scope)\n",
        "",
        SCOPES_TEST,
    ),
    _mutant(
        "look-up-shows-responses-of-sessions",
        "no API key reads what was answered to a session token",
        "atomic_web/views/idempotency_keys.py",
        "    if scope is None:\n        raise Forbidden",
        "    if scope is None:\n        return\n        raise Forbidden",
        SCOPES_TEST,
    ),
    _mutant(
        "production-starts-with-sandbox",
        "production does not start with the sandbox network unless ALLOW_SANDBOX is true",
        "atomic_adapters/settings.py",
        "        if not self.is_production or self.allow_sandbox or self.charges_cards:\n",
        "        if not self.is_production or self.environment:\n",
        "tests/unit/test_settings.py",
        "tests/unit/test_cli.py",
    ),
    _mutant(
        "sweep-once-settles-with-sandbox",
        "every command that settles refuses the sandbox network in production",
        "atomic_worker/cli.py",
        "        settings.check_card_network()\n        check_sessions",
        "        check_sessions",
        "tests/unit/test_cli.py",
    ),
    _mutant(
        "registration-open-in-production",
        "registration is closed in production unless REGISTRATION is open",
        "atomic_adapters/settings.py",
        '("closed", "open") if production else ("open", "closed")',
        '("open", "closed")',
        "tests/unit/test_settings.py",
    ),
    _mutant(
        "closed-registration-registers",
        "no stranger registers while registration is closed",
        "atomic_web/views/merchants.py",
        "    if not request_context().settings.is_registration_open:\n"
        "        raise RegistrationClosed\n",
        "",
        MERCHANTS_TEST,
    ),
    _mutant(
        "revoked-key-gets-scope-error",
        "a revoked key gets 401, whatever its scopes",
        "atomic_web/access/authentication.py",
        "    if not policy.is_confirmed_by_use_case or not has_scope:\n",
        "    if not policy.is_confirmed_by_use_case and has_scope:\n",
        API_KEYS_TEST,
    ),
    _mutant(
        "slow-client-takes-connection",
        "a request that does not arrive in time needs no database connection",
        "atomic_web/access/authentication.py",
        "        except (StorageUnavailable, RequestTimeout):\n",
        "        except StorageUnavailable:\n",
        "tests/web/test_authentication.py",
    ),
    _mutant(
        "expired-key-is-active",
        "an expired key is not active",
        MERCHANTS_SQL,
        " WHERE id = %(id)s\n   AND revoked_at IS NULL\n"
        "   AND (expires_at IS NULL OR expires_at > now())\n",
        " WHERE id = %(id)s\n   AND revoked_at IS NULL\n",
        SESSIONS_TEST,
    ),
    _mutant(
        "expired-key-reads",
        "an expired key cannot read payments",
        PAYMENTS_SQL,
        f"           AND api_keys.revoked_at IS NULL\n           AND {IS_UNEXPIRED})\n",
        "           AND api_keys.revoked_at IS NULL)\n",
        SESSIONS_TEST,
    ),
    _mutant(
        "expired-key-pays",
        "an expired key cannot create payments",
        PAYMENTS_SQL,
        f"               AND api_keys.revoked_at IS NULL\n               AND {IS_UNEXPIRED})\n",
        "               AND api_keys.revoked_at IS NULL)\n",
        SESSIONS_TEST,
    ),
    _mutant(
        "rotation-extends-expiry",
        "a rotation never postpones the expiry of a key",
        MERCHANTS_SQL,
        "   SET expires_at = least(expires_at, now() + %(after)s::interval)\n",
        "   SET expires_at = now() + %(after)s::interval\n",
        SESSIONS_TEST,
    ),
    _mutant(
        "rotation-of-other-merchants-key",
        "a merchant cannot rotate the key of another one",
        API_KEYS_PY,
        "        old_key = work.merchants.get_key(rotation.key_id, rotation.merchant_id)\n",
        "        old_key = work.merchants.get_key(rotation.key_id)\n",
        API_KEYS_TEST,
    ),
    _mutant(
        "revocation-of-other-merchants-key",
        "a merchant cannot revoke the key of another one",
        API_KEYS_PY,
        "            key = work.merchants.get_key(key_id, merchant_id)\n",
        "            key = work.merchants.get_key(key_id)\n",
        API_KEYS_TEST,
    ),
    _mutant(
        "concurrent-keys-exceed-limit",
        "the number of active keys per merchant is limited, also for concurrent requests",
        API_KEYS_PY,
        "        # Locked, so that concurrent calls cannot exceed the maximum together."
        "\n"
        "        work.merchants.lock(new_key.merchant_id)\n",
        "",
        SESSIONS_TEST,
    ),
    _mutant(
        "audit-log-of-other-merchants",
        "the audit log shows a merchant only its own events",
        "atomic_adapters/memory/sessions.py",
        " if row.event.merchant_id == merchant_id]",
        " if row.event.merchant_id]",
        AUDIT_LOG_TEST,
        SESSIONS_TEST,
    ),
    _mutant(
        "audit-log-mutable",
        "the database refuses to change the audit log",
        "migrations/0009.merchants.sql",
        "    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log\n",
        "    BEFORE DELETE OR TRUNCATE ON audit_log\n",
        GUARDS_TEST,
    ),
    _mutant(
        "concurrent-hashes-unlimited",
        "the number of concurrent password hashes is limited",
        "atomic_adapters/security/argon2_password_hasher.py",
        "        if not self._slots.acquire(timeout=self._wait_timeout):\n"
        "            raise HasherBusy\n"
        "        try:\n"
        "            return _call_in_native_thread(function, *arguments)\n"
        "        finally:\n"
        "            self._slots.release()\n",
        "        return _call_in_native_thread(function, *arguments)\n",
        PASSWORDS_TEST,
    ),
    _mutant(
        "hash-blocks-event-loop",
        "hashing a password does not block other requests",
        "atomic_adapters/security/argon2_password_hasher.py",
        '    if monkey is None or not monkey.is_module_patched("threading"):\n',
        "    if True:\n",
        PASSWORDS_TEST,
    ),
)
