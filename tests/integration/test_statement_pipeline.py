"""What a pipeline changes is when errors are raised, never what is committed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.database_session import DatabaseSession, RowCheck
from atomic_adapters.settings import Settings
from atomic_core.domain.errors import StorageRefused, StorageUnavailable

INSERT = b"INSERT INTO merchants (id, name) VALUES (uuidv7(), %(name)s)"
"""A merchant without a name is refused."""

RENAME = b"UPDATE merchants SET name = 'renamed' WHERE name = %(name)s"


@pytest.fixture
def connections(database_url: str, settings_for: Callable[..., Settings]) -> Iterator[Connections]:
    settings = settings_for(database_url, DATABASE_POOL="1")
    # As a superuser, who may change merchants.
    connections = Connections(replace(settings, database_url=database_url))
    yield connections
    connections.close()


@contextmanager
def pipeline(connections: Connections) -> Iterator[DatabaseSession]:
    with (
        connections.transaction() as connection,
        DatabaseSession(connection).open() as session,
    ):
        session.begin_pipeline()
        yield session


def count_merchants(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM merchants").fetchone()
    assert row
    return row[0]


def test_statements_are_committed_in_their_order(
    connections: Connections, database_url: str
) -> None:
    with pipeline(connections) as session:
        for number in range(50):
            session.send(INSERT, name=f"shop {number}")
        session.send_checked(RowCheck("renamed", 1), RENAME, name="shop 49")
        assert session.fetch_one(b"SELECT count(*) FROM merchants WHERE name = 'renamed'") == (1,)
        session.send_checked(RowCheck("renamed", 1), RENAME, name="shop 0")
        session.commit()
    assert count_merchants(database_url) == 50


def test_number_of_affected_rows_is_read_within_a_pipeline(connections: Connections) -> None:
    with pipeline(connections) as session:
        for number in range(50):
            session.send(INSERT, name=f"shop {number}")
            assert session.execute(RENAME, name=f"shop {number}") == 1
            assert session.execute(RENAME, name="another") == 0


def test_unexpected_number_of_rows_commits_nothing(
    connections: Connections, database_url: str
) -> None:
    with pytest.raises(StorageRefused, match="renamed: 0 of 1"), pipeline(connections) as session:
        session.send(INSERT, name="shop")
        session.send_checked(RowCheck("renamed", 1), RENAME, name="another")
        session.commit()
    assert count_merchants(database_url) == 0


def test_refused_statement_is_named_by_the_commit(
    connections: Connections, database_url: str
) -> None:
    with (
        pytest.raises(StorageRefused, match="merchants_name_check"),
        pipeline(connections) as session,
    ):
        session.send(INSERT, name="shop")
        session.send(INSERT, name="")
        session.send(INSERT, name="another")
        session.commit()
    assert count_merchants(database_url) == 0
    with pipeline(connections) as session:
        session.send(INSERT, name="the same connection")
        session.commit()
    assert count_merchants(database_url) == 1


def test_refused_statement_is_named_by_a_later_read(
    connections: Connections, database_url: str
) -> None:
    with (
        pytest.raises(StorageRefused, match="merchants_name_check"),
        pipeline(connections) as session,
    ):
        session.send(INSERT, name="")
        session.send(INSERT, name="another")
        session.fetch_one(b"SELECT count(*) FROM merchants")
    assert count_merchants(database_url) == 0


def test_pipeline_that_is_not_committed_is_rolled_back(
    connections: Connections, database_url: str
) -> None:
    with pipeline(connections) as session:
        session.send(INSERT, name="shop")
    assert count_merchants(database_url) == 0


def test_own_error_is_not_replaced_by_that_of_a_statement(connections: Connections) -> None:
    with pytest.raises(KeyError), pipeline(connections) as session:
        session.send(INSERT, name="")
        raise KeyError


def test_lost_connection_can_be_retried(connections: Connections, database_url: str) -> None:
    with pytest.raises(StorageUnavailable), pipeline(connections) as session:
        session.send(INSERT, name="shop")
        with psycopg.connect(database_url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(%s, 5000)", [session.connection.info.backend_pid]
            )
        session.send(INSERT, name="another")
        session.commit()
    assert count_merchants(database_url) == 0
    with pipeline(connections) as session:
        session.send(INSERT, name="shop")
        session.commit()
    assert count_merchants(database_url) == 1
