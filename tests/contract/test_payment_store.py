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
from atomic_core.domain.idempotency import STORE_TIME, IdempotentRequest, StoredResponse
from atomic_core.domain.merchants import Caller
from atomic_core.domain.money import Money
from atomic_core.domain.payments import InsertedPayment, Lookup, NewPayment, PaymentInsert, Status
from atomic_core.domain.timestamps import format_rfc3339
from support import (
    IDS,
    NOW,
    Store,
    add_merchant,
    application_over,
    at_once,
    find_payment,
    open_account,
    order,
    request_for,
)

DRAFT = StoredResponse(202, b'{"at":"' + STORE_TIME + b'"}', "/payments/1")

Accept = Callable[[Sequence[PaymentInsert]], Sequence[InsertedPayment | None]]


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    merchant_id = add_merchant(store.begin)
    open_account(store.begin, merchant_id)
    return merchant_id


@pytest.fixture
def key_id(store: Store, merchant_id: UUID) -> UUID:
    return application_over(store.begin).api_keys.issue(merchant_id, "key").key.id


@pytest.fixture(params=["desk", "unit of work"])
def accept(request: pytest.FixtureRequest, store: Store) -> Accept:
    def within(inserts: Sequence[PaymentInsert]) -> Sequence[InsertedPayment | None]:
        with store.begin() as work:
            accepted = work.payments.accept(inserts)
            work.commit()
        return accepted

    return store.payment_store.accept if request.param == "desk" else within


def asked(
    merchant_id: UUID, request: IdempotentRequest | None = None, key_id: UUID | None = None
) -> PaymentInsert:
    record = (request, DRAFT) if request else None
    return PaymentInsert(IDS.new_id(), order(merchant_id), key_id, record)


def kept(store: Store, request: IdempotentRequest) -> StoredResponse | None:
    with store.begin() as work:
        return work.idempotency.claim(request)


def test_what_was_accepted_is_found_as_it_was_ordered(
    store: Store, merchant_id: UUID, accept: Accept
) -> None:
    new = NewPayment(
        merchant_id, Money(2**53 - 1, "USD"), "tok_visa", "né “x”\n", "https://a.example/", "k"
    )
    insert = PaymentInsert(IDS.new_id(), new)
    [accepted] = accept([insert])
    assert accepted
    payment = insert.recorded(accepted)
    assert store.payment_store.find([Lookup(merchant_id, insert.payment_id)]) == [payment]
    assert (payment.money, payment.description) == (new.money, new.description)
    assert (payment.webhook_url, payment.idempotency_key) == (new.webhook_url, "k")
    assert (payment.status, payment.failure_reason) == (Status.PENDING, None)
    assert payment.created_at == payment.updated_at


def test_many_are_answered_in_the_order_they_were_asked(
    store: Store, merchant_id: UUID, accept: Accept
) -> None:
    stranger = add_merchant(store.begin)
    inserts = [asked(stranger if n % 3 == 0 else merchant_id) for n in range(100)]
    accepted = accept(inserts)
    assert [each is not None for each in accepted] == [n % 3 != 0 for n in range(100)]
    lookups = [Lookup(each.order.merchant_id, each.payment_id) for each in inserts]
    found = store.payment_store.find(lookups)
    assert [each and each.id for each in found] == [
        None if n % 3 == 0 else inserts[n].payment_id for n in range(100)
    ]


def test_nothing_asked_is_nothing_done(store: Store, accept: Accept) -> None:
    assert list(accept([])) == []
    assert list(store.payment_store.find([])) == []


def test_another_merchants_payment_is_not_found(store: Store, merchant_id: UUID) -> None:
    insert = asked(merchant_id)
    store.payment_store.accept([insert])
    stranger = add_merchant(store.begin)
    assert store.payment_store.find([Lookup(stranger, insert.payment_id)]) == [None]


def test_the_first_account_in_the_currency_is_credited(
    store: Store, merchant_id: UUID, accept: Accept
) -> None:
    with store.begin() as work:
        first = work.accounts.credited(merchant_id, "USD")
    open_account(store.begin, merchant_id)
    open_account(store.begin, merchant_id, "EUR")
    [accepted] = accept([asked(merchant_id)])
    assert accepted
    assert accepted.account_id == first


def test_a_revoked_key_opens_nothing_from_the_moment_it_is_revoked(
    store: Store, merchant_id: UUID, key_id: UUID, accept: Accept
) -> None:
    first, second = asked(merchant_id, key_id=key_id), asked(merchant_id, key_id=key_id)
    look = Lookup(merchant_id, first.payment_id, key_id)
    assert accept([first]) != [None]
    assert store.payment_store.find([look]) != [None]
    application_over(store.begin).api_keys.revoke(key_id)
    assert accept([second]) == [None]
    assert store.payment_store.find([look]) == [None]
    with store.begin() as work:
        assert find_payment(work, merchant_id, second.payment_id) is None
        assert not work.merchants.is_active(key_id)


def test_a_key_that_does_not_exist_opens_nothing(
    store: Store, merchant_id: UUID, accept: Accept
) -> None:
    assert accept([asked(merchant_id, key_id=IDS.new_id())]) == [None]


def test_a_record_is_kept_with_its_payment_and_tells_the_same_moment(
    store: Store, merchant_id: UUID, accept: Accept
) -> None:
    request = request_for(merchant_id)
    [accepted] = accept([asked(merchant_id, request)])
    assert accepted
    told = DRAFT.at(accepted.created_at)
    assert told.body == b'{"at":"' + format_rfc3339(accepted.created_at).encode() + b'"}'
    assert kept(store, request) == told


def test_a_taken_key_is_not_taken_again(store: Store, merchant_id: UUID, accept: Accept) -> None:
    request = request_for(merchant_id)
    accept([asked(merchant_id, request)])
    before = kept(store, request)
    again = asked(merchant_id, request)
    other = asked(merchant_id, request_for(merchant_id, fingerprint=bytes([1] * 32)))
    assert accept([again]) == [None]
    assert accept([other]) == [None]
    assert store.payment_store.find([Lookup(merchant_id, again.payment_id)]) == [None]
    assert kept(store, request) == before
    with pytest.raises(IdempotencyKeyReused):
        kept(store, request_for(merchant_id, fingerprint=bytes([1] * 32)))


def test_an_expired_key_is_taken_over(store: Store, merchant_id: UUID, accept: Accept) -> None:
    accept([asked(merchant_id, request_for(merchant_id, keep_for=NOW))])
    request = request_for(merchant_id, fingerprint=bytes([1] * 32))
    [accepted] = accept([asked(merchant_id, request)])
    assert accepted
    assert kept(store, request) == DRAFT.at(accepted.created_at)


def test_of_those_that_share_a_key_the_first_is_accepted(
    store: Store, merchant_id: UUID, accept: Accept
) -> None:
    stranger = add_merchant(store.begin)
    open_account(store.begin, stranger)
    request = request_for(merchant_id)
    inserts = [
        asked(merchant_id, request),
        asked(merchant_id, request),
        asked(stranger, request_for(stranger)),
    ]
    assert [each is not None for each in accept(inserts)] == [True, False, True]


def test_without_an_account_the_key_stays_unused(store: Store, accept: Accept) -> None:
    stranger = add_merchant(store.begin)
    request = request_for(stranger)
    assert accept([asked(stranger, request)]) == [None]
    assert kept(store, request) is None


def test_an_id_is_used_once(store: Store, merchant_id: UUID) -> None:
    insert = asked(merchant_id)
    assert store.payment_store.accept([insert]) != [None]
    with pytest.raises(StorageRefused), store.begin() as work:
        work.payments.accept([insert])


def test_one_that_is_refused_sends_all_of_the_desk_the_long_way(
    store: Store, merchant_id: UUID
) -> None:
    taken, honest = asked(merchant_id), asked(merchant_id)
    store.payment_store.accept([taken])
    assert store.payment_store.accept([honest, taken]) == [None, None]
    assert store.payment_store.find([Lookup(merchant_id, honest.payment_id)]) == [None]


def test_at_once_a_key_is_taken_once(store: Store, merchant_id: UUID, accept: Accept) -> None:
    request = request_for(merchant_id)
    answers = at_once([lambda: accept([asked(merchant_id, request)])] * 8)
    assert [answer == [None] for answer in answers].count(False) == 1


def test_the_application_takes_the_long_way_for_what_is_unusual(
    store: Store, merchant_id: UUID, key_id: UUID
) -> None:
    application = application_over(store.begin, payment_store=store.payment_store)
    caller = Caller(key_id, merchant_id)
    euros = NewPayment(merchant_id, Money(5, "EUR"), "tok_visa", idempotency_key="key-1")
    request = request_for(merchant_id)

    def render(id: UUID, _order: NewPayment, moment: object) -> StoredResponse:
        return StoredResponse(202, f"{id} {moment}".encode())

    first = application.payments.create(caller, euros, request, render)
    assert not first.replayed
    assert application.settlement.settle() == 1
    second = application.payments.create(caller, euros, request, render)
    assert (second.replayed, second.response) == (True, first.response)
    with pytest.raises(IdempotencyKeyReused):
        application.payments.create(
            caller, euros, request_for(merchant_id, fingerprint=bytes([1] * 32)), render
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


def test_a_key_that_somebody_holds_keeps_the_desk_for_a_moment_only(
    postgres_store: Store, database_url: str
) -> None:
    """Who share the statement share its waiting, so it is short."""
    store = postgres_store
    merchant_id = add_merchant(store.begin)
    open_account(store.begin, merchant_id)
    held, free = request_for(merchant_id, "held"), request_for(merchant_id, "free")
    with psycopg.connect(database_url) as outsider:
        outsider.execute(
            "INSERT INTO idempotency_keys (merchant_id, key, method, path, fingerprint, expires_at)"
            " VALUES (%s, 'held', 'POST', '/', sha256(''), now() + interval '1 day')",
            [merchant_id],
        )
        begun = time.monotonic()
        answers = store.payment_store.accept([asked(merchant_id, held), asked(merchant_id, free)])
        assert time.monotonic() - begun < 1
        assert answers == [None, None]
        with store.begin() as work, pytest.raises(IdempotencyKeyInUse):
            work.payments.accept([asked(merchant_id, held)], timedelta(milliseconds=10))
        outsider.rollback()
    assert None not in store.payment_store.accept(
        [asked(merchant_id, held), asked(merchant_id, free)]
    )


def test_patience_ends_with_its_unit_of_work(postgres_store: Store) -> None:
    """A pooled connection must not keep it."""
    merchant_id = add_merchant(postgres_store.begin)
    postgres_store.payment_store.accept([asked(merchant_id)])
    with postgres_store.begin() as work:
        session = work.payments.session  # type: ignore[attr-defined]
        assert session.fetch_one(b"SELECT current_setting('lock_timeout')") == ("3s",)
