"""Locks are taken in id order, so that two batches cannot wait on each other."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest

from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_core.domain.accounts import world_account_id
from atomic_core.domain.errors import IdempotencyKeyReused
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.money import Money
from atomic_core.domain.payments import CaptureMethod, NewPayment, PaymentInsert, Status
from atomic_core.domain.refunds import NewRefund
from atomic_core.domain.settlement import Claim
from atomic_core.ports.unit_of_work import UnitOfWork
from atomic_core.use_cases.holds import CaptureRequest
from atomic_core.use_cases.idempotency import IdempotentResult
from atomic_core.use_cases.payment_batches import BatchItem, PaymentBatch
from processes import wait_until
from support import (
    HOUR,
    IDS,
    NOW,
    Store,
    add_merchant,
    add_payment,
    build_application,
    build_payment,
    build_request,
    open_account,
)

LOW, MIDDLE, HIGH = (UUID(int=number) for number in (1, 2, 3))
# Stored in descending order: a scan in the table's order would lock the high one first.
STORED = (HIGH, MIDDLE, LOW)


def lock_accounts(work: UnitOfWork) -> None:
    work.accounts.lock(STORED)


def hold_claims(work: UnitOfWork) -> None:
    work.payments.lock_claims([Claim(id, 1, 0, id, id, 1, "USD", "tok_visa") for id in STORED])


@pytest.fixture
def rows(postgres_store: Store) -> None:
    for id in STORED:
        merchant_id = add_merchant(postgres_store.begin)
        with postgres_store.begin() as work:
            work.accounts.open(id, merchant_id, "Shop", "USD")
            add_payment(work, build_payment(merchant_id), id)
            work.commit()


@pytest.mark.parametrize(
    ("table", "lock"), [("accounts", lock_accounts), ("payments", hold_claims)]
)
def test_rows_are_locked_in_id_order(
    rows: None,
    database_url: str,
    settings_for: Callable[..., Settings],
    table: str,
    lock: Callable[[UnitOfWork], None],
) -> None:
    if table == "payments":
        for id in STORED:
            with psycopg.connect(database_url) as connection:
                connection.execute(
                    "UPDATE payments SET status = 'PROCESSING', attempt = 1 WHERE id = %s", [id]
                )
    with psycopg.connect(database_url, autocommit=True) as settings:
        settings.execute(
            "ALTER DATABASE atomic SET enable_indexscan = off;"
            "ALTER DATABASE atomic SET enable_bitmapscan = off"
        )
    store = PostgresStore(Connections(settings_for(database_url)))
    try:
        with psycopg.connect(database_url) as blocker:
            blocker.execute(f"SELECT FROM {table} WHERE id = %s FOR UPDATE".encode(), [MIDDLE])
            locked = threading.Event()

            def lock_all() -> None:
                with store.begin() as work:
                    lock(work)
                    locked.set()

            waiter = threading.Thread(target=lock_all)
            waiter.start()
            _wait_until_blocked(database_url)
            assert _is_free(database_url, table, HIGH), "the higher id must not be taken yet"
            assert not _is_free(database_url, table, LOW), "the lower id must be taken first"
            blocker.rollback()
            waiter.join(60)
            assert locked.is_set()
    finally:
        store.close()
        with psycopg.connect(database_url, autocommit=True) as settings:
            settings.execute("ALTER DATABASE atomic RESET ALL")


def test_refunded_payments_are_locked_in_id_order_and_before_their_refunds(
    rows: None, postgres_store: Store, database_url: str, settings_for: Callable[..., Settings]
) -> None:
    application = build_application(postgres_store.begin)
    application.settlement.settle()
    refunds: dict[UUID, UUID] = {}
    with postgres_store.begin() as work:
        owners = {id: account.merchant_id for id, account in work.accounts.lock(STORED).items()}
    for id in STORED:
        owner = owners[id]
        assert owner
        refunds[id] = application.refunds.create(NewRefund(owner, id, 1)).id
    with postgres_store.begin() as work:
        claims = work.refunds.claim(3, HOUR, NOW)
        work.commit()
    with psycopg.connect(database_url, autocommit=True) as settings:
        settings.execute(
            "ALTER DATABASE atomic SET enable_indexscan = off;"
            "ALTER DATABASE atomic SET enable_bitmapscan = off"
        )
    store = PostgresStore(Connections(settings_for(database_url)))

    def hold_all() -> int:
        with store.begin() as work:
            return len(work.refunds.lock_claims(claims))

    try:
        with psycopg.connect(database_url) as blocker, ThreadPoolExecutor(1) as threads:
            blocker.execute("SELECT FROM payments WHERE id = %s FOR UPDATE", [MIDDLE])
            held = threads.submit(hold_all)
            _wait_until_blocked(database_url)
            assert _is_free(database_url, "payments", HIGH)
            assert not _is_free(database_url, "payments", LOW)
            assert all(_is_free(database_url, "refunds", id) for id in refunds.values())
            blocker.rollback()
            assert held.result(10) == 3
    finally:
        store.close()
        with psycopg.connect(database_url, autocommit=True) as settings:
            settings.execute("ALTER DATABASE atomic RESET ALL")


def test_refund_is_accepted_while_its_account_is_locked(rows: None, postgres_store: Store) -> None:
    """So is a capture decided: no request ever waits for an account."""
    application = build_application(postgres_store.begin)
    application.settlement.settle()
    with postgres_store.begin() as settler:
        accounts = settler.accounts.lock([HIGH, world_account_id("USD")])
        owner = accounts[HIGH].merchant_id
        assert owner
        asked = NewPayment(owner, Money(1, "USD"), "tok_visa", capture=CaptureMethod.MANUAL)
        application.payments.record(asked)
        assert application.refunds.create(NewRefund(owner, HIGH, 1)).status is Status.PENDING


LIVES = 60


def test_requests_and_workers_under_load_never_deadlock(
    database_url: str, settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atomic_core.domain.card_networks.BACK_OFF_BASE", NOW)
    before = _deadlocks(database_url)
    store = PostgresStore(Connections(settings_for(database_url)))
    settlers = [build_application(store.begin, batch_size=size) for size in (7, 13)]
    shops = [add_merchant(store.begin) for _ in range(3)]
    for merchant_id in shops:
        open_account(store.begin, merchant_id)
    over = threading.Event()

    def settle(settler: Application) -> None:
        while not over.is_set():
            settler.settlement.settle()

    def live(number: int) -> int:
        api, merchant_id, refunded = settlers[0], shops[number % 3], 0
        asked = NewPayment(merchant_id, Money(100, "USD"), "tok_visa", capture=CaptureMethod.MANUAL)
        for _ in range(LIVES // 4):
            id = api.payments.record(asked).id
            reached(api, merchant_id, id, Status.AUTHORIZED)
            api.payments.capture(CaptureRequest(merchant_id, id, 90))
            reached(api, merchant_id, id, Status.SUCCESS)
            for _ in range(4):
                api.refunds.create(NewRefund(merchant_id, id, 20))
                refunded += 20
        return refunded

    def reached(api: Application, merchant_id: UUID, id: UUID, status: Status) -> None:
        there = lambda: api.payments.get(merchant_id, id).status is status  # noqa: E731
        wait_until(there, 60, f"{id} is {status}")

    try:
        with ThreadPoolExecutor(6) as threads:
            settling = [threads.submit(settle, settler) for settler in settlers]
            try:
                lives = [threads.submit(live, number) for number in range(4)]
                assert sum(each.result(60) for each in lives) == LIVES * 80
            finally:
                over.set()
            for each in settling:
                each.result(20)
        while settlers[0].settlement.settle():
            pass
        report = settlers[0].ledger.verify()
        assert (report.findings, report.refunds, report.holds) == ([], LIVES * 4, 0)
    finally:
        store.close()
    # Told when a session ends, at the latest.
    assert _deadlocks(database_url) == before


def _deadlocks(url: str) -> int:
    statement = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    with psycopg.connect(url) as connection:
        [deadlocks] = connection.execute(statement).fetchall()[0]
    return deadlocks


def test_idempotency_keys_are_locked_in_order(postgres_store: Store, database_url: str) -> None:
    merchant_id = add_merchant(postgres_store.begin)
    open_account(postgres_store.begin, merchant_id)
    answer = StoredResponse(202, b"")
    inserts = [
        PaymentInsert(
            IDS.new_id(),
            build_payment(merchant_id),
            None,
            (build_request(merchant_id, key), answer),
        )
        for key in ("c", "b", "a")
    ]
    take = (
        "INSERT INTO idempotency_keys (merchant_id, key, method, path, fingerprint, expires_at)"
        " VALUES (%s, %s, 'POST', '/', sha256(''), now() + interval '1 hour')"
    )

    def accept_all() -> int:
        with postgres_store.begin() as work:
            return sum(map(bool, work.payments.insert(inserts)))

    with psycopg.connect(database_url) as blocker, ThreadPoolExecutor(1) as threads:
        blocker.execute(take, [merchant_id, "b"])
        accepted = threads.submit(accept_all)
        _wait_until_blocked(database_url)
        with psycopg.connect(database_url, options="-c lock_timeout=50ms") as other:
            other.execute(take, [merchant_id, "c"])
            other.rollback()
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute(take, [merchant_id, "a"])
        blocker.rollback()
        assert accepted.result(10) == 3


HOLD_KEY = (
    "INSERT INTO idempotency_keys (merchant_id, key, method, path, fingerprint, expires_at)"
    " VALUES (%s, %s, 'POST', '/', sha256(''), now() + interval '1 hour')"
)


def build_batch(merchant_id: UUID, *keys: str) -> PaymentBatch:
    payment = build_payment(merchant_id)
    items = [BatchItem(payment, build_request(merchant_id, key)) for key in keys]
    return PaymentBatch(merchant_id, items, lambda id, *_: StoredResponse(202, str(id).encode()))


def create_batch_once(store: Store, header_key: str, batch: PaymentBatch) -> IdempotentResult:
    application = build_application(store.begin)
    request = build_request(batch.merchant_id, header_key, "/payments/batch")
    return application.idempotency.perform_once(
        request, application.payments.create_batch, batch, lambda _: StoredResponse(202, b"")
    )


def test_key_of_a_batch_is_locked_in_order_with_the_keys_of_its_payments(
    postgres_store: Store, database_url: str
) -> None:
    merchant_id = add_merchant(postgres_store.begin)
    open_account(postgres_store.begin, merchant_id)
    with psycopg.connect(database_url) as blocker, ThreadPoolExecutor(1) as threads:
        blocker.execute(HOLD_KEY, [merchant_id, "b"])
        batch = build_batch(merchant_id, "d", "a", "b")
        created = threads.submit(create_batch_once, postgres_store, "c", batch)
        _wait_until_blocked(database_url)
        with psycopg.connect(database_url, options="-c lock_timeout=50ms") as other:
            for key in ("c", "d"):
                other.execute(HOLD_KEY, [merchant_id, key])
            other.rollback()
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute(HOLD_KEY, [merchant_id, "a"])
        blocker.rollback()
        assert not created.result(10).replayed
    with postgres_store.begin() as work:
        assert set(work.idempotency.find_records(merchant_id, ["a", "b", "c", "d"])) == set("abcd")


@pytest.mark.parametrize("is_expired", [False, True])
def test_batches_with_each_others_keys_never_deadlock(
    postgres_store: Store, database_url: str, is_expired: bool
) -> None:
    before = _deadlocks(database_url)
    merchant_id = add_merchant(postgres_store.begin)
    open_account(postgres_store.begin, merchant_id)
    rounds = 20
    if is_expired:
        with psycopg.connect(database_url) as connection:
            connection.execute(
                "INSERT INTO idempotency_keys"
                " (merchant_id, key, method, path, fingerprint, response_status, expires_at)"
                " SELECT %s, n || side, 'POST', '/', sha256(''), 202, now() - interval '1 hour'"
                "   FROM generate_series(0, 19) AS n, unnest('{a,b}'::text[]) AS side",
                [merchant_id],
            )
    for number in range(rounds):
        first, second = f"{number}a", f"{number}b"
        start = threading.Barrier(2)

        def create(header: str, inner: str, start: threading.Barrier = start) -> str:
            start.wait(60)
            try:
                create_batch_once(postgres_store, header, build_batch(merchant_id, inner))
            except IdempotencyKeyReused:
                return "refused"
            return "created"

        with ThreadPoolExecutor(2) as threads:
            runs = [threads.submit(create, first, second), threads.submit(create, second, first)]
            assert sorted(run.result(30) for run in runs) == ["created", "refused"]
    # Counted when a session ends, at the latest.
    assert _deadlocks(database_url) == before


def test_batch_does_not_lock_the_merchant_while_it_waits_for_a_key(
    postgres_store: Store, database_url: str
) -> None:
    """A single payment with that key can be the first in its currency, and wait for the
    merchant."""
    merchant_id = add_merchant(postgres_store.begin)
    application = build_application(postgres_store.begin)
    with psycopg.connect(database_url) as blocker, ThreadPoolExecutor(1) as threads:
        blocker.execute(HOLD_KEY, [merchant_id, "a"])
        created = threads.submit(application.payments.create_batch, build_batch(merchant_id, "a"))
        _wait_until_blocked(database_url)
        assert _is_free(database_url, "merchants", merchant_id)
        blocker.rollback()
        [result] = created.result(10)
        assert not result.replayed


def _wait_until_blocked(url: str) -> None:
    pause = threading.Event()
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(500):
            if (
                connection.execute(
                    "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    " AND datname = current_database()"
                ).fetchone()
                is not None
            ):
                return
            pause.wait(0.01)
    pytest.fail("nothing waits for the lock")


def _is_free(url: str, table: str, id: UUID) -> bool:
    statement = f"SELECT FROM {table} WHERE id = %s FOR UPDATE SKIP LOCKED".encode()
    with psycopg.connect(url) as connection:
        return connection.execute(statement, [id]).fetchone() is not None


def test_workers_claim_different_payments_without_waiting(
    rows: None, postgres_store: Store
) -> None:
    with postgres_store.begin() as first, postgres_store.begin() as second:
        mine = first.payments.claim(2, HOUR, NOW)
        theirs = second.payments.claim(2, HOUR, NOW)
        assert (len(mine), len(theirs)) == (2, 1)
        assert not {c.payment_id for c in mine} & {c.payment_id for c in theirs}


def test_payment_is_accepted_while_its_account_is_locked(rows: None, postgres_store: Store) -> None:
    with postgres_store.begin() as settler:
        merchant_id = settler.accounts.lock([HIGH])[HIGH].merchant_id
        assert merchant_id
        with postgres_store.begin() as api:
            add_payment(api, build_payment(merchant_id))
            api.commit()


def test_locked_account_delays_its_own_payments_only(
    rows: None, postgres_store: Store, database_url: str
) -> None:
    application = build_application(postgres_store.begin)
    with psycopg.connect(database_url) as outsider:
        outsider.execute("SELECT FROM accounts WHERE id = %s FOR NO KEY UPDATE", [MIDDLE])
        application.settlement.settle()
        assert statuses(database_url) == {"SUCCESS": {LOW, HIGH}, "PROCESSING": {MIDDLE}}
    wait_until(lambda: application.settlement.settle() == 1, 60, "it is due again")
    assert statuses(database_url) == {"SUCCESS": {LOW, MIDDLE, HIGH}}
    assert application.ledger.verify().is_clean


def statuses(url: str) -> dict[str, set[UUID]]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT status, array_agg(id) FROM payments GROUP BY 1")
        return {status: set(ids) for status, ids in rows}
