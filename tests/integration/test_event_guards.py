"""What PostgreSQL itself refuses of events, even from psql; and that migration 0018 keeps those
that payments had before it."""

from collections.abc import Callable
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.migrations import Migrator
from atomic_adapters.settings import Settings
from atomic_core.domain.events import EventType
from atomic_core.domain.payments import CaptureMethod, NewPayment
from atomic_core.domain.refunds import NewRefund
from integration.psql_session import Execute, either_way, execute_in_trigger
from support import Store, add_merchant, build_application, build_payment

INSERT = b"""
INSERT INTO events (merchant_id, sequence, type, payment_id, status, occurred_at)
VALUES (%(merchant)s, """
AGE = b", 'payment.succeeded', %(payment)s, 'SUCCESS', now() - interval '31 days')"
COUNT = b"UPDATE event_counters SET last_sequence = "

REFUSED = {
    "an event that is rewritten": b"UPDATE events SET reason = 'x'",
    "a young event that is deleted": b"DELETE FROM events WHERE sequence = 1",
    "all events deleted at once": b"TRUNCATE events",
    "a number that is used twice": INSERT + b"2" + AGE,
    "a number that was not counted": INSERT + b"3" + AGE,
    "a number after a gap": COUNT + b"4; " + INSERT + b"4" + AGE,
    "a number without an event": COUNT + b"3",
    "an event that is not the last counted": COUNT + b"4; " + INSERT + b"3" + AGE,
    "a count that falls": COUNT + b"1",
    "a count of another merchant": b"UPDATE event_counters SET merchant_id = %(stranger)s",
    "a count that is deleted": b"DELETE FROM event_counters",
    "all counts deleted at once": b"TRUNCATE event_counters",
    "a count for a merchant without events": b"""
        INSERT INTO event_counters (merchant_id, last_sequence) VALUES (%(stranger)s, 1)""",
    "an event about nothing": COUNT
    + b"""3; INSERT INTO events (merchant_id, sequence, type, occurred_at)
        VALUES (%(merchant)s, 3, 'payment.succeeded', now())""",
    "a payment's event with data of its own": COUNT
    + b"""3; INSERT INTO events (merchant_id, sequence, type, payment_id, status, data, occurred_at)
        VALUES (%(merchant)s, 3, 'payment.succeeded', %(payment)s, 'SUCCESS', '{}', now())""",
}


@pytest.fixture
def ids(postgres_store: Store) -> dict[str, object]:
    """A merchant with two events, account.created and payment.succeeded, and one with none."""
    application = build_application(postgres_store.begin)
    merchant_id = add_merchant(postgres_store.begin)
    payment = application.payments.record(build_payment(merchant_id))
    application.settlement.settle()
    stranger_id = add_merchant(postgres_store.begin)
    return {"merchant": merchant_id, "payment": payment.id, "stranger": stranger_id}


def test_check_of_a_stream_cannot_be_deleted_before_the_commit(
    ids: dict[str, object], database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(COUNT + b"3 WHERE merchant_id = %(merchant)s", ids)
        assert connection.execute("DELETE FROM stream_checks").rowcount == 1
        with pytest.raises(errors.IntegrityError, match="has a gap after 2"):
            connection.commit()


@either_way
@pytest.mark.parametrize("statements", REFUSED.values(), ids=REFUSED.keys())
def test_postgres_refuses(
    ids: dict[str, object], database_url: str, statements: bytes, execute: Execute
) -> None:
    with psycopg.connect(database_url) as connection:
        with pytest.raises((errors.IntegrityError, errors.RestrictViolation)):
            # A trigger executes several statements as one.
            is_one = execute is execute_in_trigger
            for statement in [statements] if is_one else statements.split(b"; "):
                execute(connection, statement, ids)
            connection.commit()
        connection.rollback()


def test_counted_event_is_accepted_once(ids: dict[str, object], database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(COUNT + b"3", ids)
        connection.execute(INSERT + b"3" + AGE, ids)
        connection.commit()
        connection.commit()
        # The number is not used again.
        with pytest.raises(errors.IntegrityError):
            connection.execute(INSERT + b"3" + AGE, ids)


def test_migration_keeps_the_timeline(
    own_database: Callable[..., str], settings_for: Callable[..., Settings], migrated: str
) -> None:
    url = own_database(migrated)
    store = PostgresStore(Connections(settings_for(url)))
    try:
        application = build_application(store.begin)
        merchant_id = add_merchant(store.begin)
        plain = application.payments.record(build_payment(merchant_id))
        held = application.payments.record(
            NewPayment(merchant_id, plain.money, plain.source, capture=CaptureMethod.MANUAL)
        )
        application.settlement.settle()
        application.refunds.create(NewRefund(merchant_id, plain.id, 1))
        application.settlement.settle()

        def list_types(payment_id: UUID) -> list[EventType]:
            timeline = application.payments.get_timeline(merchant_id, payment_id)
            return [event.event.type for event in timeline.events]

        before = [list_types(payment.id) for payment in (plain, held)]
        migrator = Migrator(url)
        while migrator.down() != "0018.events":
            pass
        # A worker of the version before records while the new schema is there.
        migrator.up()
        with psycopg.connect(url) as connection:
            connection.execute(
                "INSERT INTO payment_events (payment_id, event, status)"
                " VALUES (%s, 'capture_requested', 'PROCESSING')",
                [held.id],
            )
        plain_types, held_types = (list_types(payment.id) for payment in (plain, held))
        assert plain_types == before[0]
        assert held_types == [*before[1], EventType.CAPTURE_REQUESTED]
        with store.begin() as work:
            assert work.events.get_last_sequences([merchant_id]) == {}, "the stream begins anew"
        application.settlement.settle()
        application.payments.record(build_payment(merchant_id))
        application.settlement.settle()
        with store.begin() as work:
            assert work.events.get_last_sequences([merchant_id]) == {merchant_id: 1}
    finally:
        store.close()
