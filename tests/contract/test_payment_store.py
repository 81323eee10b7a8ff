"""Inserting and finding batches of payments, on both stores: through the payment store and in a
unit of work."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.settings import Settings
from atomic_core.domain.errors import (
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    StorageRefused,
    Unauthorized,
)
from atomic_core.domain.idempotency import (
    COMMIT_TIME_PLACEHOLDER,
    IdempotentRequest,
    StoredResponse,
)
from atomic_core.domain.lists import PaymentFilter
from atomic_core.domain.merchants import Caller
from atomic_core.domain.money import Money
from atomic_core.domain.payments import (
    InsertedPayment,
    NewPayment,
    PaymentInsert,
    PaymentLookup,
    Status,
)
from atomic_core.domain.timestamps import format_rfc3339
from processes import wait_until
from support import (
    IDS,
    NOW,
    Store,
    add_merchant,
    build_application,
    build_payment,
    build_request,
    find_payment,
    open_account,
    run_concurrently,
)

DRAFT = StoredResponse(202, b'{"at":"' + COMMIT_TIME_PLACEHOLDER + b'"}', "/payments/1")

InsertAll = Callable[[Sequence[PaymentInsert]], Sequence[InsertedPayment | None]]


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    merchant_id = add_merchant(store.begin)
    open_account(store.begin, merchant_id)
    return merchant_id


@pytest.fixture
def key_id(store: Store, merchant_id: UUID) -> UUID:
    return build_application(store.begin).api_keys.issue(merchant_id, "key").key.id


@pytest.fixture(params=["payment store", "unit of work"])
def insert_all(request: pytest.FixtureRequest, store: Store) -> InsertAll:
    def insert_in_unit_of_work(
        inserts: Sequence[PaymentInsert],
    ) -> Sequence[InsertedPayment | None]:
        with store.begin() as work:
            inserted = work.payments.insert(inserts)
            work.commit()
        return inserted

    return (
        store.payment_store.insert if request.param == "payment store" else insert_in_unit_of_work
    )


def build_insert(
    merchant_id: UUID, request: IdempotentRequest | None = None, key_id: UUID | None = None
) -> PaymentInsert:
    idempotency = (request, DRAFT) if request else None
    return PaymentInsert(IDS.new_id(), build_payment(merchant_id), key_id, idempotency)


def find_response(store: Store, request: IdempotentRequest) -> StoredResponse | None:
    with store.begin() as work:
        return work.idempotency.claim_key(request)


def test_inserted_payments_are_found_unchanged(
    store: Store, merchant_id: UUID, insert_all: InsertAll
) -> None:
    new_payment = NewPayment(
        merchant_id, Money(2**53 - 1, "USD"), "tok_visa", "né “x”\n", "https://a.example/", "k"
    )
    insert = PaymentInsert(IDS.new_id(), new_payment)
    [inserted] = insert_all([insert])
    assert inserted
    payment = insert.to_payment(inserted)
    assert store.payment_store.find([PaymentLookup(merchant_id, insert.payment_id)]) == [payment]
    assert (payment.money, payment.description) == (new_payment.money, new_payment.description)
    assert (payment.webhook_url, payment.idempotency_key) == (new_payment.webhook_url, "k")
    assert (payment.status, payment.failure_reason) == (Status.PENDING, None)
    assert payment.created_at == payment.updated_at


def test_batch_results_are_in_order_of_inserts(
    store: Store, merchant_id: UUID, insert_all: InsertAll
) -> None:
    other_id = add_merchant(store.begin)
    inserts = [build_insert(other_id if n % 3 == 0 else merchant_id) for n in range(100)]
    inserted = insert_all(inserts)
    assert [payment is not None for payment in inserted] == [n % 3 != 0 for n in range(100)]
    lookups = [
        PaymentLookup(insert.new_payment.merchant_id, insert.payment_id) for insert in inserts
    ]
    found = store.payment_store.find(lookups)
    assert [payment and payment.id for payment in found] == [
        None if n % 3 == 0 else inserts[n].payment_id for n in range(100)
    ]


def test_metadata_is_listed_of_each_payment_of_a_batch(
    store: Store, merchant_id: UUID, insert_all: InsertAll
) -> None:
    plain = build_insert(merchant_id)
    labeled = PaymentInsert(
        IDS.new_id(), NewPayment(merchant_id, Money(5, "USD"), "tok_visa", metadata={"order": "7"})
    )
    assert all(insert_all([plain, labeled, build_insert(merchant_id)]))
    application = build_application(store.begin)
    page = application.payments.list(
        merchant_id, PaymentFilter(metadata=(("order", "7"),)), None, 10
    )
    assert [payment.id for payment in page.items] == [labeled.payment_id]


def test_empty_calls_return_nothing(store: Store, insert_all: InsertAll) -> None:
    assert list(insert_all([])) == []
    assert list(store.payment_store.find([])) == []


def test_payment_of_another_merchant_is_not_found(store: Store, merchant_id: UUID) -> None:
    insert = build_insert(merchant_id)
    store.payment_store.insert([insert])
    other_id = add_merchant(store.begin)
    assert store.payment_store.find([PaymentLookup(other_id, insert.payment_id)]) == [None]


def test_first_account_in_currency_is_credited(
    store: Store, merchant_id: UUID, insert_all: InsertAll
) -> None:
    with store.begin() as work:
        first = work.accounts.get_default_account(merchant_id, "USD")
    open_account(store.begin, merchant_id)
    open_account(store.begin, merchant_id, "EUR")
    [inserted] = insert_all([build_insert(merchant_id)])
    assert inserted
    assert first
    assert inserted.account_id == first.id


def test_revoked_key_neither_inserts_nor_finds(
    store: Store, merchant_id: UUID, key_id: UUID, insert_all: InsertAll
) -> None:
    first, second = (
        build_insert(merchant_id, key_id=key_id),
        build_insert(merchant_id, key_id=key_id),
    )
    lookup = PaymentLookup(merchant_id, first.payment_id, key_id)
    assert insert_all([first]) != [None]
    assert store.payment_store.find([lookup]) != [None]
    build_application(store.begin).api_keys.revoke(key_id)
    assert insert_all([second]) == [None]
    assert store.payment_store.find([lookup]) == [None]
    with store.begin() as work:
        assert find_payment(work, merchant_id, second.payment_id) is None
        assert not work.merchants.is_key_active(key_id)


def test_unknown_key_inserts_nothing(
    store: Store, merchant_id: UUID, insert_all: InsertAll
) -> None:
    assert insert_all([build_insert(merchant_id, key_id=IDS.new_id())]) == [None]


def test_response_is_stored_with_commit_time_of_payment(
    store: Store, merchant_id: UUID, insert_all: InsertAll
) -> None:
    request = build_request(merchant_id)
    [inserted] = insert_all([build_insert(merchant_id, request)])
    assert inserted
    response = DRAFT.with_commit_time(inserted.created_at)
    assert response.body == b'{"at":"' + format_rfc3339(inserted.created_at).encode() + b'"}'
    assert find_response(store, request) == response


def test_response_is_stored_with_account_of_payment(
    store: Store, merchant_id: UUID, insert_all: InsertAll
) -> None:
    """Wherever the placeholder is, and only for the payment that has it."""
    insert = build_insert(merchant_id, build_request(merchant_id, "k-0"))
    bodies = [b'{"id":"\x01"}', b"\x01", b'{"id":1}']
    requests = [build_request(merchant_id, f"k-{n}") for n in range(len(bodies))]
    inserted = insert_all(
        [
            replace(
                insert,
                payment_id=IDS.new_id(),
                idempotency=(request, StoredResponse(202, body, "/")),
            )
            for request, body in zip(requests, bodies, strict=True)
        ]
    )
    account_ids = {str(payment.account_id).encode() for payment in inserted if payment}
    [account_id] = account_ids
    stored = [find_response(store, request) for request in requests]
    assert [response and response.body for response in stored] == [
        b'{"id":"' + account_id + b'"}',
        account_id,
        b'{"id":1}',
    ]


def test_used_idempotency_key_is_not_claimed_again(
    store: Store, merchant_id: UUID, insert_all: InsertAll
) -> None:
    request = build_request(merchant_id)
    insert_all([build_insert(merchant_id, request)])
    stored = find_response(store, request)
    repeat = build_insert(merchant_id, request)
    reuse = build_insert(merchant_id, build_request(merchant_id, fingerprint=bytes([1] * 32)))
    assert insert_all([repeat]) == [None]
    assert insert_all([reuse]) == [None]
    assert store.payment_store.find([PaymentLookup(merchant_id, repeat.payment_id)]) == [None]
    assert find_response(store, request) == stored
    with pytest.raises(IdempotencyKeyReused):
        find_response(store, build_request(merchant_id, fingerprint=bytes([1] * 32)))


def test_expired_idempotency_key_is_taken_over(
    store: Store, merchant_id: UUID, insert_all: InsertAll
) -> None:
    insert_all([build_insert(merchant_id, build_request(merchant_id, retention=NOW))])
    request = build_request(merchant_id, fingerprint=bytes([1] * 32))
    [inserted] = insert_all([build_insert(merchant_id, request)])
    assert inserted
    assert find_response(store, request) == DRAFT.with_commit_time(inserted.created_at)


def test_first_insert_of_shared_idempotency_key_is_accepted(
    store: Store, merchant_id: UUID, insert_all: InsertAll
) -> None:
    other_id = add_merchant(store.begin)
    open_account(store.begin, other_id)
    request = build_request(merchant_id)
    inserts = [
        build_insert(merchant_id, request),
        build_insert(merchant_id, request),
        build_insert(other_id, build_request(other_id)),
    ]
    assert [payment is not None for payment in insert_all(inserts)] == [True, False, True]


def test_idempotency_key_stays_unused_without_account(store: Store, insert_all: InsertAll) -> None:
    other_id = add_merchant(store.begin)
    request = build_request(other_id)
    assert insert_all([build_insert(other_id, request)]) == [None]
    assert find_response(store, request) is None


def test_payment_id_is_unique(store: Store, merchant_id: UUID) -> None:
    insert = build_insert(merchant_id)
    assert store.payment_store.insert([insert]) != [None]
    with pytest.raises(StorageRefused), store.begin() as work:
        work.payments.insert([insert])


def test_refused_insert_inserts_nothing_of_its_batch(store: Store, merchant_id: UUID) -> None:
    duplicate, valid = build_insert(merchant_id), build_insert(merchant_id)
    store.payment_store.insert([duplicate])
    assert store.payment_store.insert([valid, duplicate]) == [None, None]
    assert store.payment_store.find([PaymentLookup(merchant_id, valid.payment_id)]) == [None]


def test_concurrent_inserts_claim_idempotency_key_once(
    store: Store, merchant_id: UUID, insert_all: InsertAll
) -> None:
    request = build_request(merchant_id)
    results = run_concurrently([lambda: insert_all([build_insert(merchant_id, request)])] * 8)
    assert [result == [None] for result in results].count(False) == 1


def test_create_falls_back_to_unit_of_work(store: Store, merchant_id: UUID, key_id: UUID) -> None:
    application = build_application(store.begin, payment_store=store.payment_store)
    caller = Caller(key_id, merchant_id)
    new_payment = NewPayment(merchant_id, Money(5, "EUR"), "tok_visa", idempotency_key="key-1")
    request = build_request(merchant_id)

    def render(id: UUID, _payment: NewPayment, created_at: object) -> StoredResponse:
        return StoredResponse(202, f"{id} {created_at}".encode())

    first = application.payments.create(caller, new_payment, request, render)
    assert not first.replayed
    assert application.settlement.settle() == 1
    second = application.payments.create(caller, new_payment, request, render)
    assert (second.replayed, second.response) == (True, first.response)
    with pytest.raises(IdempotencyKeyReused):
        application.payments.create(
            caller, new_payment, build_request(merchant_id, fingerprint=bytes([1] * 32)), render
        )
    payment_id = UUID(first.response.body.split()[0].decode())
    assert application.payments.get.for_caller(caller, payment_id).status is Status.SUCCESS
    application.api_keys.revoke(key_id)
    for call in (
        lambda: application.payments.create(caller, new_payment, request, render),
        lambda: application.payments.create(caller, new_payment, None, render),
        lambda: application.payments.get.for_caller(caller, payment_id),
    ):
        with pytest.raises(Unauthorized):
            call()
    assert application.ledger.verify().payments == 1


def test_batch_waits_only_briefly_for_locked_idempotency_key(
    database_url: str, settings_for: Callable[..., Settings]
) -> None:
    """All calls of a batch wait for the lock, so the wait is shorter than the lock time-out."""
    store = PostgresStore(
        Connections(
            settings_for(database_url, LOCK_TIMEOUT_SECONDS="60", STATEMENT_TIMEOUT_SECONDS="120")
        )
    )
    merchant_id = add_merchant(store.begin)
    open_account(store.begin, merchant_id)
    locked, free = build_request(merchant_id, "locked"), build_request(merchant_id, "free")
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO idempotency_keys (merchant_id, key, method, path, fingerprint, expires_at)"
            " VALUES (%s, 'locked', 'POST', '/', sha256(''), now() + interval '1 day')",
            [merchant_id],
        )
        started = time.monotonic()
        results = store.insert([build_insert(merchant_id, locked), build_insert(merchant_id, free)])
        assert time.monotonic() - started < 30
        assert results == [None, None]
        with store.begin() as work, pytest.raises(IdempotencyKeyInUse):
            work.payments.insert([build_insert(merchant_id, locked)], timedelta(milliseconds=10))
        connection.rollback()

    def is_inserted() -> bool:
        inserts = [build_insert(merchant_id, locked), build_insert(merchant_id, free)]
        return None not in store.insert(inserts)

    wait_until(is_inserted, 60, "the key counts as contended no longer")


def test_lock_timeout_is_reset_after_unit_of_work(postgres_store: Store) -> None:
    merchant_id = add_merchant(postgres_store.begin)
    postgres_store.payment_store.insert([build_insert(merchant_id)])
    with postgres_store.begin() as work:
        session = work.payments.session  # type: ignore[attr-defined]
        assert session.fetch_one(b"SELECT current_setting('lock_timeout')") == ("3s",)


def test_key_in_use_delays_no_other_merchant(
    postgres_store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, insert = postgres_store.begin, postgres_store.payment_store.insert
    merchant_ids = [add_merchant(begin) for _ in range(3)]
    for merchant_id in merchant_ids:
        open_account(begin, merchant_id)
    slow_id, *other_ids = merchant_ids

    def build_insert(merchant_id: UUID, key: str) -> PaymentInsert:
        idempotency = (build_request(merchant_id, key), DRAFT)
        return PaymentInsert(IDS.new_id(), build_payment(merchant_id), None, idempotency)

    with psycopg.connect(database_url) as blocker:
        blocker.execute(
            "INSERT INTO idempotency_keys (merchant_id, key, method, path, fingerprint, expires_at)"
            " VALUES (%s, 'held', 'POST', '/', sha256(''), now() + interval '1 hour')",
            [slow_id],
        )
        keys = [(slow_id, "held"), (other_ids[0], "held"), (other_ids[1], "b"), (slow_id, "c")]
        inserted = insert([build_insert(*key) for key in keys])
        assert [payment is not None for payment in inserted] == [False, True, True, False]
        # Its next payment would make others wait again, so its caller inserts it alone.
        monkeypatch.setattr(
            "atomic_adapters.postgres.unit_of_work.PAYMENT_STORE_LOCK_TIMEOUT", timedelta(hours=1)
        )
        inserted = insert([build_insert(slow_id, "held"), build_insert(other_ids[0], "d")])
        assert [payment is not None for payment in inserted] == [False, True]
        without_key = PaymentInsert(IDS.new_id(), build_payment(slow_id))
        assert insert([without_key]) != [None]
