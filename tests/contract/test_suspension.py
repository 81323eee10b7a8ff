"""A suspended merchant's keys and sessions stop with the commit, on both stores."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import pytest

from atomic_core.application import Application
from atomic_core.domain.errors import MerchantSuspended, NotFound, Unauthorized
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.merchants import IssuedApiKey
from atomic_core.domain.origins import OPERATOR, ActorType, Origin
from atomic_core.domain.payments import Payment, PaymentInsert, PaymentLookup, Status
from atomic_core.use_cases.registration import MerchantRegistration
from atomic_core.use_cases.sessions import LoginAttempt, NewSession
from support import HOUR, IDS, Store, build_application, build_payment

EMAIL, PASSWORD = "owner@shop.example", "a long password"
ALICE = Origin(ActorType.OPERATOR, operator="alice")


@dataclass
class Shop:
    """A registered merchant with a key."""

    application: Application
    store: Store
    merchant_id: UUID
    key: IssuedApiKey

    def log_in(self) -> str:
        """The token of a new session."""
        opened: list[NewSession] = []

        def render(session: NewSession) -> StoredResponse:
            opened.append(session)
            return StoredResponse(200, b"{}")

        attempt = LoginAttempt(EMAIL, PASSWORD, OPERATOR)
        self.application.sessions.log_in(attempt, None, render, lambda response: response)
        return opened[0].token

    def pay(self) -> Payment:
        return self.application.payments.record(build_payment(self.merchant_id))

    def list_events(self) -> Sequence[tuple[str, dict[str, str]]]:
        """Newest first."""
        rows, _ = self.application.merchants.list_audit_events(self.merchant_id, None, 100)
        return [(row.type, dict(row.details)) for row in rows]

    def check_key(self, payment: Payment) -> list[bool]:
        """Whether each way to use a key works: found, cached, in the statements that create and
        read a payment."""
        key, store = self.key.key, self.store
        new_payment = build_payment(self.merchant_id)
        [inserted] = store.payment_store.insert(
            [PaymentInsert(IDS.new_id(), new_payment, key.id, None)]
        )
        [found] = store.payment_store.find([PaymentLookup(self.merchant_id, payment.id, key.id)])
        with store.begin() as work:
            return [
                work.merchants.find_active_key(key.hash) is not None,
                work.merchants.is_key_active(key.id),
                inserted is not None,
                found is not None,
            ]


@pytest.fixture
def shop(store: Store) -> Shop:
    application = build_application(store.begin, payment_store=store.payment_store)
    registration = MerchantRegistration(EMAIL, PASSWORD, "Shop", "USD", OPERATOR)
    merchant_id = application.merchants.register.for_operator(registration).merchant_id
    key = application.api_keys.issue(merchant_id, "till")
    return Shop(application, store, merchant_id, key)


def test_keys_stop_with_the_suspension_and_work_again_after_it(shop: Shop) -> None:
    payment = shop.pay()
    assert shop.check_key(payment) == [True] * 4
    suspended = shop.application.merchants.suspend(shop.merchant_id, ALICE)
    assert suspended.suspended_at is not None
    assert shop.check_key(payment) == [False] * 4
    assert shop.application.merchants.resume(shop.merchant_id, ALICE).suspended_at is None
    assert shop.check_key(payment) == [True] * 4


def test_cached_key_is_refused(shop: Shop) -> None:
    api_keys, payments = shop.application.api_keys, shop.application.payments
    caller = api_keys.identify(shop.key.raw)
    shop.application.merchants.suspend(shop.merchant_id, ALICE)
    assert api_keys.identify(shop.key.raw) == caller, "the cache does not know"
    with pytest.raises(Unauthorized):
        api_keys.require_active(caller)
    with pytest.raises(Unauthorized):
        payments.create(
            caller, build_payment(shop.merchant_id), None, lambda *_: StoredResponse(202, b"{}")
        )
    with pytest.raises(Unauthorized):
        payments.get.for_caller(caller, shop.pay().id)


def test_sessions_end_for_good(shop: Shop) -> None:
    authenticate = shop.application.sessions.authenticate
    token = shop.log_in()
    assert authenticate(token).merchant_id == shop.merchant_id
    shop.application.merchants.suspend(shop.merchant_id, ALICE)
    with pytest.raises(Unauthorized):
        authenticate(token)
    shop.application.merchants.resume(shop.merchant_id, ALICE)
    with pytest.raises(Unauthorized):
        authenticate(token)
    assert authenticate(shop.log_in())


def test_session_of_a_suspended_merchant_is_not_found(shop: Shop) -> None:
    """Also one that was opened after the suspension, by other means than a login."""
    hash = bytes(range(32))
    with shop.store.begin() as work:
        work.merchants.suspend(shop.merchant_id)
        work.sessions.add_session(IDS.new_id(), shop.merchant_id, hash, HOUR)
        work.commit()
    with shop.store.begin() as work:
        assert work.sessions.find_live_session(hash) is None
        work.merchants.resume(shop.merchant_id)
        assert work.sessions.find_live_session(hash) is not None


def test_suspended_merchant_cannot_log_in(shop: Shop) -> None:
    shop.application.merchants.suspend(shop.merchant_id, ALICE)
    with pytest.raises(MerchantSuspended):
        shop.log_in()
    with shop.store.begin() as work:
        assert work.sessions.list_live_sessions(shop.merchant_id, 9) == []
    assert shop.list_events()[0] == ("login_failed", {"reason": "merchant_suspended"})


def test_wrong_password_does_not_reveal_the_suspension(shop: Shop) -> None:
    shop.application.merchants.suspend(shop.merchant_id, ALICE)
    attempt = LoginAttempt(EMAIL, "a wrong password", OPERATOR)
    with pytest.raises(Unauthorized):
        shop.application.sessions.log_in(
            attempt, None, lambda _: StoredResponse(200, b"{}"), lambda response: response
        )


def test_accepted_payments_are_settled(shop: Shop) -> None:
    payment = shop.pay()
    shop.application.merchants.suspend(shop.merchant_id, ALICE)
    shop.application.settlement.settle()
    settled = shop.application.payments.get(shop.merchant_id, payment.id)
    assert settled.status is Status.SUCCESS
    assert shop.application.ledger.verify().is_clean


def test_suspension_is_audited_once_with_operator_and_reason(shop: Shop) -> None:
    shop.log_in()
    merchants = shop.application.merchants
    first = merchants.suspend(shop.merchant_id, ALICE, "stolen keys")
    again = merchants.suspend(shop.merchant_id, Origin(ActorType.OPERATOR, operator="bob"))
    assert again == first, "the first suspension stays"
    for _ in range(2):
        merchants.resume(shop.merchant_id, ALICE)
    resumed, ended, suspended, *_ = shop.list_events()
    assert {suspended[0], ended[0]} == {"merchant_suspended", "session_revoked"}
    details = dict([suspended, ended])
    assert details["merchant_suspended"] == {"reason": "stolen keys", "operator": "alice"}
    assert details["session_revoked"]["reason"] == "merchant_suspended"
    assert resumed == ("merchant_resumed", {"operator": "alice"})
    events = [type for type, _ in shop.list_events()]
    assert events.count("merchant_suspended") == events.count("merchant_resumed") == 1


def test_unknown_merchant_is_not_found(shop: Shop) -> None:
    for change in (shop.application.merchants.suspend, shop.application.merchants.resume):
        with pytest.raises(NotFound):
            change(IDS.new_id(), ALICE)
