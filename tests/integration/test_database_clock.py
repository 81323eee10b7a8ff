"""Money's times are the database's, whatever this process's clock says."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.settings import Settings
from support import add_merchant, build_application, build_payment

AHEAD = timedelta(days=1)

# What a statement asks the time of; defaults of columns are bound to the real ones already.
TOMORROW = """
CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
    $$ SELECT pg_catalog.clock_timestamp() + interval '1 day' $$;
CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE AS
    $$ SELECT pg_catalog.now() + interval '1 day' $$;
"""


@pytest.fixture
def url(own_database: Callable[..., str], migrated: str) -> str:
    """A database whose clock is a day ahead of ours."""
    url = own_database(migrated)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TOMORROW)
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET search_path = public, pg_catalog".encode())
    return url


@pytest.fixture
def store(url: str, settings_for: Callable[..., Settings]) -> Iterator[PostgresStore]:
    store = PostgresStore(Connections(settings_for(url)))
    yield store
    store.close()


def test_ledger_timestamps_come_from_the_database(store: PostgresStore, url: str) -> None:
    application = build_application(store.begin)
    application.payments.record(build_payment(add_merchant(store.begin)))
    before = datetime.now(UTC)
    assert application.settlement.settle() == 1
    after = datetime.now(UTC)
    with psycopg.connect(url) as connection:
        posted = connection.execute("SELECT posted_at FROM ledger_transactions").fetchone()
        settled = connection.execute("SELECT updated_at FROM payments").fetchone()
    for moment in (posted, settled):
        assert moment
        assert before + AHEAD <= moment[0] <= after + AHEAD
    assert application.ledger.verify().is_clean
