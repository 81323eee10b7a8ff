"""What PostgreSQL itself refuses of credentials, sessions, keys and the audit log, even from psql;
and what the migration that brought them carries over and gives up."""

import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from atomic_adapters.postgres.migration_files import MIGRATIONS_FOLDER, get_migration_ids
from atomic_adapters.postgres.migrations import Migrator
from atomic_core.domain.errors import StorageRefused
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.merchants import ALL_SCOPES, Scope
from atomic_core.domain.origins import OPERATOR
from atomic_core.use_cases.registration import MerchantRegistration
from atomic_core.use_cases.sessions import LoginAttempt
from support import Store, add_merchant, build_application

BEFORE, MINE = "0008.payment-life", "0009.merchants"

LATER_SCOPES = {
    Scope.EVENTS_READ,
    Scope.WEBHOOKS_READ,
    Scope.WEBHOOKS_WRITE,
    Scope.LEDGER_READ,
    Scope.LEDGER_WRITE,
    Scope.DISPUTES_READ,
    Scope.DISPUTES_WRITE,
}


def render_nothing(*_: object) -> StoredResponse:
    return StoredResponse(200, b"{}")


@pytest.fixture
def rows(postgres_store: Store, database_url: str) -> dict[str, object]:
    """A registered merchant with a session, a revoked session and keys."""
    application = build_application(postgres_store.begin)
    asked = MerchantRegistration("owner@shop.example", "a long password", "Shop", "USD", OPERATOR)
    application.merchants.register(asked, None, render_nothing)
    for _ in range(2):
        attempt = LoginAttempt("owner@shop.example", "a long password", OPERATOR)
        application.sessions.log_in(attempt, None, render_nothing, lambda response: response)
    with psycopg.connect(database_url) as connection:
        query = "SELECT id, merchant_id FROM sessions ORDER BY id"
        (session, merchant), (gone, _) = connection.execute(query).fetchall()
    with postgres_store.begin() as work:
        work.sessions.revoke_session(gone)
        work.commit()
    narrow = application.api_keys.issue(merchant, "narrow", frozenset({"payments:read"})).key
    other = add_merchant(postgres_store.begin)
    return {
        "merchant": merchant,
        "other": other,
        "session": session,
        "gone": gone,
        "narrow": narrow.id,
        "new": UUID(int=7),
        "hash": bytes(range(32)),
    }


NEW_KEY = b"""
INSERT INTO api_keys (id, merchant_id, name, prefix, hash, scopes)
VALUES (%(new)s, %(merchant)s, 'x', '', %(hash)s, """

REFUSED = {
    "a key that may do more": b"""UPDATE api_keys SET scopes = scopes || '{payments:write}'
                                   WHERE id = %(narrow)s""",
    "a key that may do less": b"""UPDATE api_keys SET scopes = '{payments:write}'
                                   WHERE scopes <> '{payments:write}'""",
    "a key that may do nothing": NEW_KEY + b"'{}')",
    "a key for what there is not": NEW_KEY + b"'{all}')",
    "an email in capitals": b"UPDATE credentials SET email = 'OWNER@shop.example'",
    "another email": b"UPDATE credentials SET email = 'other@shop.example'",
    "credentials of another merchant": b"UPDATE credentials SET merchant_id = %(other)s",
    "a password in the clear": b"UPDATE credentials SET password_hash = 'a long password'",
    "the same email twice": b"""
        INSERT INTO credentials (merchant_id, email, password_hash, account_id)
        SELECT %(other)s, email, password_hash, account_id FROM credentials""",
    "deleted credentials": b"DELETE FROM credentials",
    "truncated credentials": b"TRUNCATE credentials",
    "a session that lasts longer": b"UPDATE sessions SET expires_at = expires_at + interval '1 s'",
    "a session of another merchant": b"UPDATE sessions SET merchant_id = %(other)s",
    "another address": b"UPDATE sessions SET address = '192.0.2.9' WHERE id = %(session)s",
    "a session from no address": b"""
        INSERT INTO sessions (id, merchant_id, hash, expires_at, address)
        VALUES (%(new)s, %(merchant)s, %(hash)s, now(), repeat('x', 46))""",
    "another token": b"UPDATE sessions SET hash = %(hash)s WHERE id = %(session)s",
    "a revoked session brought back": b"UPDATE sessions SET revoked_at = NULL WHERE id = %(gone)s",
    "a token in the clear": b"""INSERT INTO sessions (id, merchant_id, hash, expires_at)
                                VALUES (%(new)s, %(merchant)s, 'st_0123', now())""",
    "an edited deed": b"UPDATE audit_log SET details = '{}'",
    "a deed of another merchant": b"UPDATE audit_log SET merchant_id = %(other)s",
    "a deleted deed": b"DELETE FROM audit_log",
    "a truncated log": b"TRUNCATE audit_log",
    "an audit event without an actor": b"""INSERT INTO audit_log (id, event, actor)
                            VALUES (%(new)s, 'login', 'operator')""",
    "a deed of a merchant and an email": b"""
        INSERT INTO audit_log (id, merchant_id, event, actor, email_hash)
        VALUES (%(new)s, %(merchant)s, 'login', 'operator', %(hash)s)""",
    "a session's deed without a session": b"""
        INSERT INTO audit_log (id, merchant_id, event, actor)
        VALUES (%(new)s, %(merchant)s, 'login', 'session')""",
    "a key's deed without a key": b"""
        INSERT INTO audit_log (id, merchant_id, event, actor)
        VALUES (%(new)s, %(merchant)s, 'account_opened', 'key')""",
    "an operator's deed with an id": b"""
        INSERT INTO audit_log (id, merchant_id, event, actor, actor_id)
        VALUES (%(new)s, %(merchant)s, 'fees_set', 'operator', %(new)s)""",
    "an unknown actor": b"""
        INSERT INTO audit_log (id, merchant_id, event, actor)
        VALUES (%(new)s, %(merchant)s, 'login', 'visitor')""",
    "an address that is none": b"""
        INSERT INTO audit_log (id, merchant_id, event, actor, address)
        VALUES (%(new)s, %(merchant)s, 'login', 'operator', repeat('x', 46))""",
}


@pytest.mark.parametrize("statement", REFUSED.values(), ids=REFUSED.keys())
def test_postgres_refuses(rows: dict[str, object], database_url: str, statement: bytes) -> None:
    with (
        psycopg.connect(database_url) as connection,
        pytest.raises((errors.IntegrityError, errors.RestrictViolation)),
    ):
        connection.execute(statement, rows)


def test_key_expiry_can_only_move_earlier(rows: dict[str, object], database_url: str) -> None:
    moved = b"UPDATE api_keys SET expires_at = now() + %s::interval WHERE id = %s"
    with psycopg.connect(database_url, autocommit=True) as connection:
        for hours in (2, 1):
            connection.execute(moved, [f"{hours} hours", rows["narrow"]])
        for later in ("3 hours", None):
            with pytest.raises(errors.RestrictViolation):
                connection.execute(moved, [later, rows["narrow"]])


def test_recording_key_usage_writes_no_index(rows: dict[str, object], database_url: str) -> None:
    hot = "SELECT pg_stat_get_xact_tuples_hot_updated('api_keys'::regclass)"
    with psycopg.connect(database_url) as connection:
        used = "UPDATE api_keys SET last_used_at = now() WHERE id = %s"
        connection.execute(used, [rows["narrow"]])
        assert connection.execute(hot).fetchone() == (1,)


def migrator_to(url: str, folder: Path, last: str) -> Migrator:
    for id in [id for id in get_migration_ids() if id <= last]:
        for path in MIGRATIONS_FOLDER.glob(f"{id}.*sql"):
            shutil.copy(path, folder)
    return Migrator(url, folder)


KEY = "INSERT INTO api_keys (id, merchant_id, name, prefix, hash) VALUES (%s, %s, 'x', '', %s)"


def test_existing_keys_get_the_scopes_of_their_time_and_no_expiry(
    own_database: Callable[..., str], tmp_path: Path
) -> None:
    url = own_database()
    migrator_to(url, tmp_path, BEFORE).up()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO merchants (id, name) VALUES (%s, 'Shop')", [UUID(int=1)])
        connection.execute(KEY, [UUID(int=2), UUID(int=1), bytes(32)])
        file = "SELECT pg_relation_filenode('api_keys')"
        before = connection.execute(file).fetchone()
        migrator = migrator_to(url, tmp_path, MINE)
        migrator.up()
        found = connection.execute("SELECT scopes, expires_at FROM api_keys").fetchone()
        assert found
        assert (frozenset(found[0]), found[1]) == (ALL_SCOPES - LATER_SCOPES, None)
        assert connection.execute(file).fetchone() == before, "no rewrite"
        assert migrator.down() == MINE
        assert connection.execute("SELECT count(*) FROM api_keys").fetchone() == (1,)


LOST = {
    "the log": b"""INSERT INTO audit_log (id, event, actor, email_hash)
                   VALUES (uuidv7(), 'login_failed', 'anonymous', sha256(''))""",
    "what a key may not do": b"""
        INSERT INTO api_keys (id, merchant_id, name, prefix, hash, scopes)
        SELECT id, id, 'x', '', sha256(''), '{payments:read}' FROM merchants""",
    "when a key ends": b"""INSERT INTO api_keys (id, merchant_id, name, prefix, hash, expires_at)
                           SELECT id, id, 'x', '', sha256(''), now() FROM merchants""",
}


@pytest.mark.parametrize("statement", LOST.values(), ids=LOST.keys())
def test_irreversible_data_is_not_rolled_back(
    own_database: Callable[..., str], tmp_path: Path, statement: bytes
) -> None:
    url = own_database()
    migrator = migrator_to(url, tmp_path, MINE)
    migrator.up()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO merchants (id, name) VALUES (%s, 'Shop')", [UUID(int=1)])
        assert connection.execute(statement).rowcount == 1
        with pytest.raises((StorageRefused, errors.RestrictViolation)):
            migrator.down()
        assert connection.execute("SELECT to_regclass('audit_log')").fetchone() != (None,)


def test_rollback_does_not_resume_suspended_merchants(
    own_database: Callable[..., str], tmp_path: Path
) -> None:
    url = own_database()
    migrator = migrator_to(url, tmp_path, "0013.access")
    migrator.up()
    with psycopg.connect(url, autocommit=True) as connection:
        suspended = b"INSERT INTO merchants (id, name, suspended_at) VALUES (%s, 'Shop', now())"
        connection.execute(suspended, [UUID(int=1)])
        with pytest.raises((StorageRefused, errors.RestrictViolation)):
            migrator.down()
        connection.execute("UPDATE merchants SET suspended_at = NULL")
        assert migrator.down() == "0013.access"
