"""Accepting and finding payments, many at once, on both stores: at the desk and inside a unit of
work."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

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

Accept = Callable[[Sequence[PaymentInsert]], Sequence[InsertedPayment | None]]


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    merchant_id = add_merchant(store.begin)
    open_account(store.begin, merchant_id)
    return merchant_id


@pytest.fixture
def key_id(store: Store, merchant_id: UUID) -> UUID:
    return build_application(store.begin).api_keys.issue(merchant_id, "key").key.id


@pytest.fixture(params=["desk", "unit of work"])
def accept(request: pytest.FixtureRequest, store: Store) -> Accept:
    def within(inserts: Sequence[PaymentInsert]) -> Sequence[InsertedPayment | None]:
        with store.begin() as work:
            accepted = work.payments.insert(inserts)
            work.commit()
        return accepted

    return store.payment_store.insert if request.param == "desk" else within


def asked(
    merchant_id: UUID, request: IdempotentRequest | None = None, key_id: UUID | None = None
) -> PaymentInsert:
    record = (request, DRAFT) if request else None
    return PaymentInsert(IDS.new_id(), build_payment(merchant_id), key_id, record)


def kept(store: Store, request: IdempotentRequest) -> StoredResponse | None:
    with store.begin() as work:
        return work.idempotency.claim_key(request)


def test_inserted_payments_are_found_unchanged(
    store: Store, merchant_id: UUID, accept: Accept
) -> None:
    new = NewPayment(
        merchant_id, Money(2**53 - 1, "USD"), "tok_visa", "né “x”\n", "https://a.example/", "k"
    )
    insert = PaymentInsert(IDS.new_id(), new)
    [accepted] = accept([insert])
    assert accepted
    payment = insert.to_payment(accepted)
    assert store.payment_store.find([PaymentLookup(merchant_id, insert.payment_id)]) == [payment]
    assert (payment.money, payment.description) == (new.money, new.description)
    assert (payment.webhook_url, payment.idempotency_key) == (new.webhook_url, "k")
    assert (payment.status, payment.failure_reason) == (Status.PENDING, None)
    assert payment.created_at == payment.updated_at


def test_batch_results_are_in_order_of_inserts(
    store: Store, merchant_id: UUID, accept: Accept
) -> None:
    stranger = add_merchant(store.begin)
    inserts = [asked(stranger if n % 3 == 0 else merchant_id) for n in range(100)]
    accepted = accept(inserts)
    assert [each is not None for each in accepted] == [n % 3 != 0 for n in range(100)]
    lookups = [PaymentLookup(each.new_payment.merchant_id, each.payment_id) for each in inserts]
    found = store.payment_store.find(lookups)
    assert [each and each.id for each in found] == [
        None if n % 3 == 0 else inserts[n].payment_id for n in range(100)
    ]


def test_empty_calls_return_nothing(store: Store, accept: Accept) -> None:
    assert list(accept([])) == []
    assert list(store.payment_store.find([])) == []


def test_payment_of_another_merchant_is_not_found(store: Store, merchant_id: UUID) -> None:
    insert = asked(merchant_id)
    store.payment_store.insert([insert])
    stranger = add_merchant(store.begin)
    assert store.payment_store.find([PaymentLookup(stranger, insert.payment_id)]) == [None]


def test_first_account_in_currency_is_credited(
    store: Store, merchant_id: UUID, accept: Accept
) -> None:
    with store.begin() as work:
        first = work.accounts.get_default_account_id(merchant_id, "USD")
    open_account(store.begin, merchant_id)
    open_account(store.begin, merchant_id, "EUR")
    [accepted] = accept([asked(merchant_id)])
    assert accepted
    assert accepted.account_id == first


def test_revoked_key_neither_inserts_nor_finds(
    store: Store, merchant_id: UUID, key_id: UUID, accept: Accept
) -> None:
    first, second = asked(merchant_id, key_id=key_id), asked(merchant_id, key_id=key_id)
    look = PaymentLookup(merchant_id, first.payment_id, key_id)
    assert accept([first]) != [None]
    assert store.payment_store.find([look]) != [None]
    build_application(store.begin).api_keys.revoke(key_id)
    assert accept([second]) == [None]
    assert store.payment_store.find([look]) == [None]
    with store.begin() as work:
        assert find_payment(work, merchant_id, second.payment_id) is None
        assert not work.merchants.is_key_active(key_id)


def test_unknown_key_inserts_nothing(store: Store, merchant_id: UUID, accept: Accept) -> None:
    assert accept([asked(merchant_id, key_id=IDS.new_id())]) == [None]


def test_response_is_stored_with_commit_time_of_payment(
    store: Store, merchant_id: UUID, accept: Accept
) -> None:
    request = build_request(merchant_id)
    [accepted] = accept([asked(merchant_id, request)])
    assert accepted
    told = DRAFT.with_commit_time(accepted.created_at)
    assert told.body == b'{"at":"' + format_rfc3339(accepted.created_at).encode() + b'"}'
    assert kept(store, request) == told


def test_used_idempotency_key_is_not_claimed_again(
    store: Store, merchant_id: UUID, accept: Accept
) -> None:
    request = build_request(merchant_id)
    accept([asked(merchant_id, request)])
    before = kept(store, request)
    again = asked(merchant_id, request)
    other = asked(merchant_id, build_request(merchant_id, fingerprint=bytes([1] * 32)))
    assert accept([again]) == [None]
    assert accept([other]) == [None]
    assert store.payment_store.find([PaymentLookup(merchant_id, again.payment_id)]) == [None]
    assert kept(store, request) == before
    with pytest.raises(IdempotencyKeyReused):
        kept(store, build_request(merchant_id, fingerprint=bytes([1] * 32)))


def test_expired_idempotency_key_is_taken_over(
    store: Store, merchant_id: UUID, accept: Accept
) -> None:
    accept([asked(merchant_id, build_request(merchant_id, retention=NOW))])
    request = build_request(merchant_id, fingerprint=bytes([1] * 32))
    [accepted] = accept([asked(merchant_id, request)])
    assert accepted
    assert kept(store, request) == DRAFT.with_commit_time(accepted.created_at)


def test_first_insert_of_shared_idempotency_key_is_accepted(
    store: Store, merchant_id: UUID, accept: Accept
) -> None:
    stranger = add_merchant(store.begin)
    open_account(store.begin, stranger)
    request = build_request(merchant_id)
    inserts = [
        asked(merchant_id, request),
        asked(merchant_id, request),
        asked(stranger, build_request(stranger)),
    ]
    assert [each is not None for each in accept(inserts)] == [True, False, True]


def test_idempotency_key_stays_unused_without_account(store: Store, accept: Accept) -> None:
    stranger = add_merchant(store.begin)
    request = build_request(stranger)
    assert accept([asked(stranger, request)]) == [None]
    assert kept(store, request) is None


def test_payment_id_is_unique(store: Store, merchant_id: UUID) -> None:
    insert = asked(merchant_id)
    assert store.payment_store.insert([insert]) != [None]
    with pytest.raises(StorageRefused), store.begin() as work:
        work.payments.insert([insert])


def test_refused_insert_inserts_nothing_of_its_batch(store: Store, merchant_id: UUID) -> None:
    taken, honest = asked(merchant_id), asked(merchant_id)
    store.payment_store.insert([taken])
    assert store.payment_store.insert([honest, taken]) == [None, None]
    assert store.payment_store.find([PaymentLookup(merchant_id, honest.payment_id)]) == [None]


def test_concurrent_inserts_claim_idempotency_key_once(
    store: Store, merchant_id: UUID, accept: Accept
) -> None:
    request = build_request(merchant_id)
    answers = run_concurrently([lambda: accept([asked(merchant_id, request)])] * 8)
    assert [answer == [None] for answer in answers].count(False) == 1


def test_create_falls_back_to_unit_of_work(store: Store, merchant_id: UUID, key_id: UUID) -> None:
    application = build_application(store.begin, payment_store=store.payment_store)
    caller = Caller(key_id, merchant_id)
    euros = NewPayment(merchant_id, Money(5, "EUR"), "tok_visa", idempotency_key="key-1")
    request = build_request(merchant_id)

    def render(id: UUID, _order: NewPayment, moment: object) -> StoredResponse:
        return StoredResponse(202, f"{id} {moment}".encode())

    first = application.payments.create(caller, euros, request, render)
    assert not first.replayed
    assert application.settlement.settle() == 1
    second = application.payments.create(caller, euros, request, render)
    assert (second.replayed, second.response) == (True, first.response)
    with pytest.raises(IdempotencyKeyReused):
        application.payments.create(
            caller, euros, build_request(merchant_id, fingerprint=bytes([1] * 32)), render
        )
    payment_id = UUID(first.response.body.split()[0].decode())
    assert application.payments.get.for_caller(caller, payment_id).status is Status.SUCCESS
    application.api_keys.revoke(key_id)
    for asking in (
        lambda: application.payments.create(caller, euros, request, render),
        lambda: application.payments.create(caller, euros, None, render),
        lambda: application.payments.get.for_caller(caller, payment_id),
    ):
        with pytest.raises(Unauthorized):
            asking()
    assert application.ledger.verify().payments == 1


def test_batch_waits_only_briefly_for_locked_idempotency_key(
    postgres_store: Store, database_url: str
) -> None:
    """Who share the statement share its waiting, so it is short."""
    store = postgres_store
    merchant_id = add_merchant(store.begin)
    open_account(store.begin, merchant_id)
    held, free = build_request(merchant_id, "held"), build_request(merchant_id, "free")
    with psycopg.connect(database_url) as outsider:
        outsider.execute(
            "INSERT INTO idempotency_keys (merchant_id, key, method, path, fingerprint, expires_at)"
            " VALUES (%s, 'held', 'POST', '/', sha256(''), now() + interval '1 day')",
            [merchant_id],
        )
        begun = time.monotonic()
        answers = store.payment_store.insert([asked(merchant_id, held), asked(merchant_id, free)])
        assert time.monotonic() - begun < 1
        assert answers == [None, None]
        with store.begin() as work, pytest.raises(IdempotencyKeyInUse):
            work.payments.insert([asked(merchant_id, held)], timedelta(milliseconds=10))
        outsider.rollback()
    assert None not in store.payment_store.insert(
        [asked(merchant_id, held), asked(merchant_id, free)]
    )


def test_lock_timeout_is_reset_after_unit_of_work(postgres_store: Store) -> None:
    """A pooled connection must not keep it."""
    merchant_id = add_merchant(postgres_store.begin)
    postgres_store.payment_store.insert([asked(merchant_id)])
    with postgres_store.begin() as work:
        session = work.payments.session  # type: ignore[attr-defined]
        assert session.fetch_one(b"SELECT current_setting('lock_timeout')") == ("3s",)
