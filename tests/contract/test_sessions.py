"""Credentials, sessions, ends of keys, the audit log and dashboards, on both stores."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Thread
from uuid import UUID

import pytest

from atomic_core.domain.audit_log import OPERATOR, ActorType, AuditEvent, AuditEventType, Origin
from atomic_core.domain.credentials import Credentials
from atomic_core.domain.errors import Conflict, StorageRefused, ValidationFailed
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.merchants import MAX_LIVE_KEYS
from atomic_core.domain.payments import PaymentInsert, PaymentLookup
from atomic_core.ports.unit_of_work import UnitOfWork
from atomic_core.use_cases.api_keys import ApiKeyRotation, NewApiKey
from atomic_core.use_cases.sessions import MerchantRegistration
from support import (
    HOUR,
    IDS,
    NOW,
    Store,
    add_merchant,
    build_application,
    build_payment,
    open_account,
    run_concurrently,
)

HASH = bytes(range(32))
EMAIL = "owner@shop.example"
ENCODED = "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA"
SOON = timedelta(milliseconds=50)


@pytest.fixture
def merchant_id(store: Store) -> UUID:
    return add_merchant(store.begin)


def credentials(store: Store, merchant_id: UUID) -> Credentials:
    return Credentials(merchant_id, EMAIL, ENCODED, open_account(store.begin, merchant_id))


def writing(store: Store, write: Callable[[UnitOfWork], object]) -> object:
    with store.begin() as work:
        result = write(work)
        work.commit()
    return result


def at_the_store(store: Store) -> datetime:
    with store.begin() as work:
        return work.now()


def pass_by(store: Store, moment: datetime) -> None:
    while at_the_store(store) <= moment:
        time.sleep(0.005)


def test_credentials_are_found_by_email(store: Store, merchant_id: UUID) -> None:
    mine = credentials(store, merchant_id)
    assert writing(store, lambda work: work.sessions.add_credentials(mine)) is True
    with store.begin() as work:
        assert work.sessions.find_credentials(EMAIL) == mine
        assert work.sessions.find_credentials("nobody@shop.example") is None


def test_email_is_unique(store: Store, merchant_id: UUID) -> None:
    other = add_merchant(store.begin)
    mine, theirs = credentials(store, merchant_id), credentials(store, other)
    writing(store, lambda work: work.sessions.add_credentials(mine))
    assert writing(store, lambda work: work.sessions.add_credentials(theirs)) is False
    with store.begin() as work:
        assert work.sessions.find_credentials(EMAIL) == mine


def test_rolled_back_email_is_free(store: Store, merchant_id: UUID) -> None:
    mine = credentials(store, merchant_id)
    with store.begin() as work:
        assert work.sessions.add_credentials(mine)
    with store.begin() as work:
        assert work.sessions.find_credentials(EMAIL) is None


def test_password_hash_is_replaced_only_if_unchanged(store: Store, merchant_id: UUID) -> None:
    mine = credentials(store, merchant_id)
    writing(store, lambda work: work.sessions.add_credentials(mine))
    second, third = ENCODED + "B", ENCODED + "C"
    replaced = [(ENCODED, second), (ENCODED, third)]
    for old, new in replaced:
        writing(
            store,
            lambda work, o=old, n=new: work.sessions.replace_password_hash(merchant_id, o, n),
        )
    with store.begin() as work:
        assert work.sessions.find_credentials(EMAIL) == replace(mine, password_hash=second)


def test_session_is_live_until_revoked(store: Store, merchant_id: UUID) -> None:
    id = IDS.new_id()
    session = writing(store, lambda work: work.sessions.add_session(id, merchant_id, HASH, HOUR))
    with store.begin() as work:
        found = work.sessions.find_live_session(HASH)
        assert found == session
        assert found
        assert found.expires_at - found.created_at == HOUR
        assert work.sessions.find_live_session(HASH[::-1]) is None
    assert writing(store, lambda work: work.sessions.revoke_session(id)) is True
    assert writing(store, lambda work: work.sessions.revoke_session(id)) is False
    assert writing(store, lambda work: work.sessions.revoke_session(IDS.new_id())) is False
    with store.begin() as work:
        assert work.sessions.find_live_session(HASH) is None


def test_expired_session_is_not_found_and_is_purged(store: Store, merchant_id: UUID) -> None:
    def open_them(work: UnitOfWork) -> None:
        for number in range(3):
            work.sessions.add_session(IDS.new_id(), merchant_id, bytes([number] * 32), NOW)
        work.sessions.add_session(IDS.new_id(), merchant_id, HASH, HOUR)

    writing(store, open_them)
    with store.begin() as work:
        assert work.sessions.find_live_session(bytes(32)) is None
    assert writing(store, lambda work: work.sessions.purge_sessions(2)) == 2
    assert build_application(store.begin).maintenance.purge_sessions() == 1
    with store.begin() as work:
        assert work.sessions.find_live_session(HASH)


def test_session_token_is_unique(store: Store, merchant_id: UUID) -> None:
    writing(store, lambda work: work.sessions.add_session(IDS.new_id(), merchant_id, HASH, HOUR))
    with store.begin() as work, pytest.raises(StorageRefused):
        work.sessions.add_session(IDS.new_id(), merchant_id, HASH, HOUR)


def test_expired_key_is_inactive_everywhere(store: Store, merchant_id: UUID) -> None:
    """Wherever it is asked: by hash, by id, at the desk, in the list, in the count."""
    open_account(store.begin, merchant_id)
    application = build_application(store.begin, payment_store=store.payment_store)
    end = at_the_store(store) + timedelta(milliseconds=300)
    key = application.api_keys.create(NewApiKey(merchant_id, "till", expires_at=end)).key
    raw = application.api_keys.create(NewApiKey(merchant_id, "other")).key
    payment = application.payments.record(build_payment(merchant_id))
    look = PaymentLookup(merchant_id, payment.id, key.id)

    def seen() -> list[bool]:
        found = store.payment_store.find([look]) != [None]
        paid = store.payment_store.insert(
            [PaymentInsert(IDS.new_id(), build_payment(merchant_id), key.id)]
        ) != [None]
        with store.begin() as work:
            listed = {each.id: each.active for each in work.merchants.list_keys(merchant_id)}
            return [
                work.merchants.find_active_key(key.hash) is not None,
                work.merchants.is_key_active(key.id),
                found,
                paid,
                listed[key.id],
                work.merchants.count_active_keys(merchant_id) == 2,
            ]

    assert seen() == [True] * 6
    pass_by(store, end)
    assert seen() == [False] * 6
    with store.begin() as work:
        assert work.merchants.is_key_active(raw.id)
        assert work.merchants.get_key(key.id) == replace(key, active=False)


def test_key_expiry_moves_only_earlier(store: Store, merchant_id: UUID) -> None:
    key = build_application(store.begin).api_keys.issue(merchant_id, "till").key
    ends = []
    for after in (HOUR, 2 * HOUR, HOUR / 2):
        writing(store, lambda work, a=after: work.merchants.expire_key(key.id, a))
        with store.begin() as work:
            found = work.merchants.get_key(key.id)
            assert found
            ends.append(found.expires_at)
    assert ends[0] == ends[1]
    assert ends[2] < ends[0]


def test_key_scopes_are_stored_and_must_not_be_empty(store: Store, merchant_id: UUID) -> None:
    scopes = frozenset({"payments:read", "accounts:read"})
    key = build_application(store.begin).api_keys.issue(merchant_id, "till", scopes).key
    with store.begin() as work:
        found = work.merchants.find_active_key(key.hash)
    assert found
    assert found.caller.scopes == scopes
    with store.begin() as work, pytest.raises(StorageRefused):
        work.merchants.add_key(IDS.new_id(), merchant_id, "x", "", HASH, frozenset())


def test_usage_is_recorded_for_active_keys_only(store: Store, merchant_id: UUID) -> None:
    application = build_application(store.begin)
    used, revoked, idle = (application.api_keys.issue(merchant_id, "till").key for _ in range(3))
    application.api_keys.revoke(revoked.id)
    writing(
        store, lambda work: work.merchants.record_api_key_usage([used.id, revoked.id, IDS.new_id()])
    )
    with store.begin() as work:
        noted = {key.id: key.last_used_at for key in work.merchants.list_keys(merchant_id)}
    assert noted[used.id]
    assert (noted[revoked.id], noted[idle.id]) == (None, None)


def test_concurrent_issues_do_not_exceed_maximum_of_keys(store: Store, merchant_id: UUID) -> None:
    application = build_application(store.begin)
    for number in range(MAX_LIVE_KEYS - 2):
        application.api_keys.issue(merchant_id, f"k{number}")

    def issue() -> bool:
        try:
            application.api_keys.issue(merchant_id, "one more")
        except Conflict:
            return False
        return True

    assert sum(run_concurrently([issue] * 6)) == 2


def test_issue_waits_for_uncommitted_key_and_is_refused(store: Store, merchant_id: UUID) -> None:
    application = build_application(store.begin)
    for number in range(MAX_LIVE_KEYS - 1):
        application.api_keys.issue(merchant_id, f"k{number}")
    refused: list[Conflict] = []

    def issue() -> None:
        try:
            application.api_keys.issue(merchant_id, "one too many")
        except Conflict as conflict:
            refused.append(conflict)

    other = Thread(target=issue)
    with store.begin() as work:
        application.api_keys.create.execute(work, NewApiKey(merchant_id, "the last"))
        other.start()
        # It ends at once if it does not wait.
        other.join(0.3)
        work.commit()
    other.join()
    assert len(refused) == 1


def test_rotation_and_audit_events_are_one_commit(store: Store, merchant_id: UUID) -> None:
    application = build_application(store.begin)
    old = application.api_keys.create(
        NewApiKey(merchant_id, "till", frozenset({"payments:read"}))
    ).key
    new = application.api_keys.rotate(ApiKeyRotation(merchant_id, old.id, NOW, OPERATOR)).key
    assert (new.name, new.scopes) == (old.name, old.scopes)
    with store.begin() as work:
        assert not work.merchants.is_key_active(old.id)
    rows, rest = application.merchants.list_audit_events(merchant_id, None, 10)
    assert ([row.type for row in rows], rest) == (["key_rotated", "key_created"], None)
    with store.begin() as work:
        application.api_keys.rotate.execute(
            work, ApiKeyRotation(merchant_id, new.id, NOW, OPERATOR)
        )
    with store.begin() as work:
        assert work.merchants.is_key_active(new.id)
    assert len(application.merchants.list_audit_events(merchant_id, None, 10)[0]) == 2


def test_repeated_revocation_is_logged_once(store: Store, merchant_id: UUID) -> None:
    application = build_application(store.begin)
    key = application.api_keys.issue(merchant_id, "till").key
    first = run_concurrently([lambda: application.api_keys.revoke(key.id)] * 6)
    assert len({revoked.revoked_at for revoked in first}) == 1
    rows, _ = application.merchants.list_audit_events(merchant_id, None, 10)
    assert [row.type for row in rows] == ["key_revoked", "key_created"]


def test_refused_key_is_not_logged(store: Store, merchant_id: UUID) -> None:
    application = build_application(store.begin)
    past = at_the_store(store)
    for wrong in (NewApiKey(merchant_id, ""), NewApiKey(merchant_id, "x", expires_at=past)):
        with pytest.raises(ValidationFailed):
            application.api_keys.create(wrong)
    assert application.merchants.list_audit_events(merchant_id, None, 10) == ([], None)


def deed(merchant_id: UUID | None, **changes: object) -> AuditEvent:
    origin = Origin(ActorType.SESSION, IDS.new_id(), "2001:db8::1", "r" * 128)
    return replace(
        AuditEvent(IDS.new_id(), AuditEventType.LOGIN, origin, merchant_id, {"a": "é"}), **changes
    )


def test_audit_log_pages_are_newest_first(store: Store, merchant_id: UUID) -> None:
    stranger = add_merchant(store.begin)
    told = [deed(merchant_id) for _ in range(7)]
    for each in told:
        writing(store, lambda work, it=each: work.audit_log.add(it))
        writing(store, lambda work: work.audit_log.add(deed(stranger)))
    read = build_application(store.begin).merchants.list_audit_events
    seen, place = [], None
    while True:
        rows, place = read(merchant_id, place, 3)
        seen += rows
        if place is None:
            break
    assert [row.id for row in seen] == [each.id for each in reversed(told)]
    first, origin = seen[0], told[-1].origin
    assert (first.type, first.actor, first.actor_id) == ("login", "session", origin.actor_id)
    assert (first.address, first.request_id) == (origin.address, origin.request_id)
    assert first.details == {"a": "é"}


def test_audit_log_pages_return_events_of_equal_time_once(store: Store, merchant_id: UUID) -> None:
    def add_all(work: UnitOfWork) -> None:
        for _ in range(10):
            work.audit_log.add(deed(merchant_id))

    writing(store, add_all)
    read = build_application(store.begin).merchants.list_audit_events
    seen, place = [], None
    for _ in range(4):
        rows, place = read(merchant_id, place, 3)
        seen += [row.id for row in rows]
    assert place is None
    assert len(seen) == len(set(seen)) == 10


def test_audit_event_has_merchant_or_email_hash(store: Store, merchant_id: UUID) -> None:
    for wrong in (deed(None), deed(merchant_id, email_hash=HASH)):
        with store.begin() as work, pytest.raises(StorageRefused):
            work.audit_log.add(wrong)
    writing(store, lambda work: work.audit_log.add(deed(None, email_hash=HASH)))


def test_registration_is_one_commit(store: Store) -> None:
    application = build_application(store.begin)
    asked = MerchantRegistration(EMAIL, "a long password", "Shop", "USD", OPERATOR)
    made: list[Credentials] = []

    def render(added: Credentials) -> StoredResponse:
        made.append(added)
        return StoredResponse(201, b"{}")

    application.merchants.register(asked, None, render)
    with pytest.raises(Conflict):
        application.merchants.register(replace(asked, name="Other"), None, render)
    [mine] = made
    rows, _ = application.merchants.list_audit_events(mine.merchant_id, None, 10)
    assert [row.type for row in rows] == ["merchant_registered"]
    with store.begin() as work:
        assert work.sessions.find_credentials(EMAIL) == mine
        assert work.accounts.get(mine.merchant_id, mine.account_id)


def test_one_of_concurrent_registrations_of_an_email_succeeds(store: Store) -> None:
    application = build_application(store.begin)

    def register(name: str) -> str | None:
        asked = MerchantRegistration(EMAIL, "a long password", name, "USD", OPERATOR)
        try:
            application.merchants.register(asked, None, lambda _: StoredResponse(201, b"{}"))
        except Conflict:
            return None
        return name

    names = run_concurrently([lambda n=n: register(f"Shop {n}") for n in range(6)])
    [winner] = [name for name in names if name]
    with store.begin() as work:
        mine = work.sessions.find_credentials(EMAIL)
        assert mine
        merchant = work.merchants.get(mine.merchant_id)
    assert merchant
    assert merchant.name == winner


def test_dashboard_counts_payments_and_balances(store: Store, merchant_id: UUID) -> None:
    application = build_application(store.begin)
    writing(store, lambda work: work.sessions.add_credentials(credentials(store, merchant_id)))
    payments = [application.payments.record(build_payment(merchant_id, 100 + n)) for n in range(12)]
    application.payments.record(build_payment(merchant_id, 5, "tok_chargeDeclined"))
    application.settlement.settle()
    board = application.merchants.get_dashboard(merchant_id)
    assert (board.profile.email, board.are_totals_complete) == (EMAIL, True)
    assert [payment.id for payment in board.payments[1:]] == [
        payment.id for payment in reversed(payments[3:])
    ]
    counted = {(each.status, each.count, each.amount) for each in board.today}
    assert counted == {("FAILED", 1, 5), ("SUCCESS", 12, sum(range(100, 112)))}
    assert list(board.last_30_days) == list(board.today)
    assert [account.balance for account in board.accounts] == [sum(range(100, 112))]
