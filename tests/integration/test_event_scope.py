"""Migrations 0018, 0019, 0027 and 0039 add scopes; their rollbacks take them away from keys."""

from collections.abc import Callable

import psycopg
import pytest
from psycopg import errors

from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.migrations import Migrator
from atomic_adapters.settings import Settings
from atomic_core.domain.merchants import ALL_SCOPES, Scope
from support import add_merchant, build_application

WEBHOOKS = {Scope.WEBHOOKS_READ, Scope.WEBHOOKS_WRITE}
LEDGER = {Scope.LEDGER_READ, Scope.LEDGER_WRITE}
DISPUTES = {Scope.DISPUTES_READ, Scope.DISPUTES_WRITE}
OTHERS = ALL_SCOPES - {Scope.EVENTS_READ} - WEBHOOKS - LEDGER - DISPUTES

Keys = dict[str, tuple[frozenset[str], bool]]


def read_keys(url: str) -> Keys:
    """Scopes and whether it is revoked, by name."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT name, scopes, revoked_at IS NOT NULL FROM api_keys")
        return {name: (frozenset(scopes), is_revoked) for name, scopes, is_revoked in rows}


def test_rollback_removes_the_scope_of_events(
    own_database: Callable[..., str], settings_for: Callable[..., Settings], migrated: str
) -> None:
    url = own_database(migrated)
    store = PostgresStore(Connections(settings_for(url)))
    application = build_application(store.begin)
    merchant_id = add_merchant(store.begin)
    for name, scopes in (
        ("all", ALL_SCOPES),
        ("old", OTHERS),
        ("events", frozenset({Scope.EVENTS_READ})),
    ):
        application.api_keys.issue(merchant_id, name, scopes)
    store.close()
    migrator = Migrator(url)
    while migrator.down() != "0018.events":
        pass
    keys = read_keys(url)
    assert (keys["all"], keys["old"]) == ((OTHERS, False), (OTHERS, False))
    assert keys["events"][1], "revoked"
    with psycopg.connect(url) as connection:
        with pytest.raises(errors.CheckViolation, match="api_keys_known_scopes"):
            connection.execute(
                "INSERT INTO api_keys (id, merchant_id, name, prefix, hash, scopes)"
                " VALUES (uuidv7(), %s, 'x', '', sha256('x'), '{events:read}')",
                (merchant_id,),
            )
        connection.rollback()
        connection.execute("UPDATE api_keys SET revoked_at = now() WHERE name = 'all'")
    migrator.up()
    assert read_keys(url)["old"] == (OTHERS, False), "keys never change"


@pytest.mark.parametrize(
    ("migration", "added", "kept"),
    [
        ("0039.disputes", DISPUTES, ALL_SCOPES - DISPUTES),
        ("0027.journal", LEDGER, ALL_SCOPES - DISPUTES - LEDGER),
        ("0019.webhooks", WEBHOOKS, ALL_SCOPES - DISPUTES - LEDGER - WEBHOOKS),
    ],
)
def test_rollback_removes_the_scopes_and_revokes_keys_without_another(
    own_database: Callable[..., str],
    settings_for: Callable[..., Settings],
    migrated: str,
    migration: str,
    added: set[Scope],
    kept: frozenset[Scope],
) -> None:
    url = own_database(migrated)
    store = PostgresStore(Connections(settings_for(url)))
    application = build_application(store.begin)
    merchant_id = add_merchant(store.begin)
    for name, scopes in (("all", ALL_SCOPES), ("added", frozenset(added))):
        application.api_keys.issue(merchant_id, name, scopes)
    store.close()
    migrator = Migrator(url)
    while migrator.down() != migration:
        pass
    keys = read_keys(url)
    assert keys["all"] == (kept, False)
    assert keys["added"][1], "revoked"
    migrator.up()
    assert read_keys(url)["all"] == (kept, False), "keys never change"
