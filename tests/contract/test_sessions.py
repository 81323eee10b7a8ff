"""Credentials, sessions, expiry of API keys, the audit log and dashboards, on both stores."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Thread
from uuid import UUID

import pytest

from atomic_core.domain.audit_log import AuditEvent, AuditEventType
from atomic_core.domain.credentials import MAX_LIVE_SESSIONS, Credentials
from atomic_core.domain.errors import Conflict, NotFound, StorageRefused, ValidationFailed
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.merchants import MAX_LIVE_KEYS
from atomic_core.domain.origins import OPERATOR, ActorType, Origin
from atomic_core.domain.payments import PaymentInsert, PaymentLookup
from atomic_core.ports.unit_of_work import UnitOfWork
from atomic_core.use_cases.api_keys import ApiKeyRotation, NewApiKey
from atomic_core.use_cases.registration import MerchantRegistration
from atomic_core.use_cases.sessions import LoginAttempt
from processes import wait_until
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


def create_credentials(store: Store, merchant_id: UUID) -> Credentials:
    return Credentials(merchant_id, EMAIL, ENCODED, open_account(store.begin, merchant_id))


def commit(store: Store, write: Callable[[UnitOfWork], object]) -> object:
    with store.begin() as work:
        result = write(work)
        work.commit()
    return result


def read_store_time(store: Store) -> datetime:
    with store.begin() as work:
        return work.now()


def wait_until_store_time(store: Store, time: datetime) -> None:
    wait_until(lambda: read_store_time(store) > time, 60, "the store's clock passes the time")


def test_credentials_are_found_by_email(store: Store, merchant_id: UUID) -> None:
    credentials = create_credentials(store, merchant_id)
    assert commit(store, lambda work: work.sessions.add_credentials(credentials)) is True
    with store.begin() as work:
        assert work.sessions.find_credentials(EMAIL) == credentials
        assert work.sessions.find_credentials("unknown@shop.example") is None


def test_email_is_unique(store: Store, merchant_id: UUID) -> None:
    other_id = add_merchant(store.begin)
    first, second = create_credentials(store, merchant_id), create_credentials(store, other_id)
    commit(store, lambda work: work.sessions.add_credentials(first))
    assert commit(store, lambda work: work.sessions.add_credentials(second)) is False
    with store.begin() as work:
        assert work.sessions.find_credentials(EMAIL) == first


def test_rolled_back_email_is_free(store: Store, merchant_id: UUID) -> None:
    credentials = create_credentials(store, merchant_id)
    with store.begin() as work:
        assert work.sessions.add_credentials(credentials)
    with store.begin() as work:
        assert work.sessions.find_credentials(EMAIL) is None


def test_password_hash_is_replaced_only_if_unchanged(store: Store, merchant_id: UUID) -> None:
    credentials = create_credentials(store, merchant_id)
    commit(store, lambda work: work.sessions.add_credentials(credentials))
    new_hash, later_hash = ENCODED + "B", ENCODED + "C"
    replacements = [(ENCODED, new_hash), (ENCODED, later_hash)]
    for old, new in replacements:
        commit(
            store,
            lambda work, old=old, new=new: work.sessions.replace_password_hash(
                merchant_id, old, new
            ),
        )
    with store.begin() as work:
        assert work.sessions.find_credentials(EMAIL) == replace(credentials, password_hash=new_hash)


def test_session_is_live_until_revoked(store: Store, merchant_id: UUID) -> None:
    id = IDS.new_id()
    session = commit(store, lambda work: work.sessions.add_session(id, merchant_id, HASH, HOUR))
    with store.begin() as work:
        found = work.sessions.find_live_session(HASH)
        assert found == session
        assert found
        assert found.expires_at - found.created_at == HOUR
        assert work.sessions.find_live_session(HASH[::-1]) is None
    assert commit(store, lambda work: work.sessions.revoke_session(id)) is True
    assert commit(store, lambda work: work.sessions.revoke_session(id)) is False
    assert commit(store, lambda work: work.sessions.revoke_session(IDS.new_id())) is False
    with store.begin() as work:
        assert work.sessions.find_live_session(HASH) is None


def test_expired_session_is_not_found_and_is_purged(store: Store, merchant_id: UUID) -> None:
    def open_sessions(work: UnitOfWork) -> None:
        for number in range(3):
            work.sessions.add_session(IDS.new_id(), merchant_id, bytes([number] * 32), NOW)
        work.sessions.add_session(IDS.new_id(), merchant_id, HASH, HOUR)

    commit(store, open_sessions)
    with store.begin() as work:
        assert work.sessions.find_live_session(bytes(32)) is None
    assert commit(store, lambda work: work.sessions.purge_sessions(2)) == 2
    assert build_application(store.begin).maintenance.purge_sessions() == 1
    with store.begin() as work:
        assert work.sessions.find_live_session(HASH)


def test_session_token_is_unique(store: Store, merchant_id: UUID) -> None:
    commit(store, lambda work: work.sessions.add_session(IDS.new_id(), merchant_id, HASH, HOUR))
    with store.begin() as work, pytest.raises(StorageRefused):
        work.sessions.add_session(IDS.new_id(), merchant_id, HASH, HOUR)


def test_expired_key_is_inactive_everywhere(store: Store, merchant_id: UUID) -> None:
    """When it is found by hash or id, used in the payment store, listed and counted."""
    open_account(store.begin, merchant_id)
    application = build_application(store.begin, payment_store=store.payment_store)
    expires_at = read_store_time(store) + HOUR
    key = application.api_keys.create(NewApiKey(merchant_id, "till", expires_at=expires_at)).key
    other_key = application.api_keys.create(NewApiKey(merchant_id, "other")).key
    payment = application.payments.record(build_payment(merchant_id))
    lookup = PaymentLookup(merchant_id, payment.id, key.id)

    def check_key() -> list[bool]:
        has_found = store.payment_store.find([lookup]) != [None]
        has_inserted = store.payment_store.insert(
            [PaymentInsert(IDS.new_id(), build_payment(merchant_id), key.id)]
        ) != [None]
        with store.begin() as work:
            is_active = {key.id: key.active for key in work.merchants.list_keys(merchant_id)}
            return [
                work.merchants.find_active_key(key.hash) is not None,
                work.merchants.is_key_active(key.id),
                has_found,
                has_inserted,
                is_active[key.id],
                work.merchants.count_active_keys(merchant_id) == 2,
            ]

    assert check_key() == [True] * 6
    commit(store, lambda work: work.merchants.expire_key(key.id, timedelta(milliseconds=1)))
    with store.begin() as work:
        expired_key = work.merchants.get_key(key.id)
    assert expired_key
    assert expired_key.expires_at
    wait_until_store_time(store, expired_key.expires_at)
    assert check_key() == [False] * 6
    with store.begin() as work:
        assert work.merchants.is_key_active(other_key.id)
        assert work.merchants.get_key(key.id) == replace(expired_key, active=False)


def test_key_expiry_moves_only_earlier(store: Store, merchant_id: UUID) -> None:
    key = build_application(store.begin).api_keys.issue(merchant_id, "till").key
    expiries = []
    for after in (HOUR, 2 * HOUR, HOUR / 2):
        commit(store, lambda work, after=after: work.merchants.expire_key(key.id, after))
        with store.begin() as work:
            found = work.merchants.get_key(key.id)
            assert found
            expiries.append(found.expires_at)
    assert expiries[0] == expiries[1]
    assert expiries[2] < expiries[0]


def test_adopted_key_replaces_the_one_adopted_before(store: Store, merchant_id: UUID) -> None:
    """And no other: an issued key of the same name and another merchant's key stay."""
    application = build_application(store.begin)
    other_id = add_merchant(store.begin)
    issued = application.api_keys.issue(merchant_id, "configured").key
    hashes = [bytes([number] * 32) for number in range(3)]
    others = application.api_keys.adopt(other_id, "configured", HASH)
    former, later = (
        application.api_keys.adopt(merchant_id, "configured", hash) for hash in hashes[:2]
    )
    assert former
    assert later
    assert others
    with store.begin() as work:
        active = {
            key.id: work.merchants.is_key_active(key.id) for key in (former, later, issued, others)
        }
    assert active == {former.id: False, later.id: True, issued.id: True, others.id: True}
    assert application.api_keys.adopt(merchant_id, "configured", hashes[1]) is None, "idempotent"
    rows, _ = application.merchants.list_audit_events(merchant_id, None, 10)
    assert [(row.type, row.details["keyId"]) for row in rows] == [
        ("key_revoked", str(former.id)),
        ("key_adopted", str(later.id)),
        ("key_adopted", str(former.id)),
        ("key_created", str(issued.id)),
    ]


def test_hash_of_a_revoked_key_ends_the_seeded_key_and_revives_none(
    store: Store, merchant_id: UUID
) -> None:
    adopt = build_application(store.begin).api_keys.adopt
    keys = [adopt(merchant_id, "configured", bytes([number] * 32)) for number in range(2)]
    assert adopt(merchant_id, "configured", bytes(32)) is None
    with store.begin() as work:
        assert [key and work.merchants.is_key_active(key.id) for key in keys] == [False, False]


def open_session(store: Store, merchant_id: UUID, number: int, lifetime: timedelta = HOUR) -> UUID:
    hash = bytes([number] * 32)
    id = IDS.new_id()
    commit(
        store,
        lambda work: work.sessions.add_session(id, merchant_id, hash, lifetime, "192.0.2.1"),
    )
    return id


def test_live_sessions_are_listed_newest_first(store: Store, merchant_id: UUID) -> None:
    other_id = add_merchant(store.begin)
    ids = [open_session(store, merchant_id, number) for number in range(4)]
    open_session(store, other_id, 10)
    open_session(store, merchant_id, 11, NOW)
    commit(store, lambda work: work.sessions.revoke_session(ids[1]))
    with store.begin() as work:
        sessions = work.sessions.list_live_sessions(merchant_id, 2)
        assert [session.id for session in sessions] == [ids[3], ids[2]]
        assert {session.address for session in sessions} == {"192.0.2.1"}
        assert [s.id for s in work.sessions.list_live_sessions(merchant_id, 9)] == [
            ids[3],
            ids[2],
            ids[0],
        ]


def test_sessions_are_revoked_except_for_one(store: Store, merchant_id: UUID) -> None:
    other_id = add_merchant(store.begin)
    ids = [open_session(store, merchant_id, number) for number in range(4)]
    others = open_session(store, other_id, 10)
    commit(store, lambda work: work.sessions.revoke_session(ids[1]))
    revoked = commit(store, lambda work: work.sessions.revoke_sessions(merchant_id, ids[2]))
    assert isinstance(revoked, list)
    assert set(revoked) == {ids[0], ids[3]}
    with store.begin() as work:
        assert [s.id for s in work.sessions.list_live_sessions(merchant_id, 9)] == [ids[2]]
        assert [s.id for s in work.sessions.list_live_sessions(other_id, 9)] == [others]
        assert work.sessions.revoke_sessions(merchant_id) == [ids[2]]


def test_oldest_sessions_are_revoked(store: Store, merchant_id: UUID) -> None:
    ids = [open_session(store, merchant_id, number) for number in range(5)]
    revoked = commit(store, lambda work: work.sessions.revoke_oldest_sessions(merchant_id, 2))
    assert isinstance(revoked, list)
    assert set(revoked) == set(ids[:3])
    with store.begin() as work:
        assert [s.id for s in work.sessions.list_live_sessions(merchant_id, 9)] == [ids[4], ids[3]]
        assert work.sessions.revoke_oldest_sessions(merchant_id, 2) == []


def test_session_is_found_and_ended_for_its_merchant_only(store: Store, merchant_id: UUID) -> None:
    application, other_id = build_application(store.begin), add_merchant(store.begin)
    id = open_session(store, merchant_id, 1)
    with pytest.raises(NotFound):
        application.sessions.revoke(id, other_id, OPERATOR)
    with store.begin() as work:
        assert work.sessions.get_session(id, other_id) is None
        assert work.sessions.find_live_session(bytes([1] * 32))
    for _ in range(2):
        application.sessions.revoke(id, merchant_id, OPERATOR)
    with store.begin() as work:
        assert work.sessions.find_live_session(bytes([1] * 32)) is None
    rows, _ = application.merchants.list_audit_events(merchant_id, None, 10)
    assert [(row.type, row.details) for row in rows] == [
        ("session_revoked", {"sessionId": str(id), "reason": "requested"})
    ]


def test_concurrent_logins_do_not_exceed_the_maximum_of_sessions(store: Store) -> None:
    application = build_application(store.begin)
    registration = MerchantRegistration(EMAIL, "a long password", "Shop", "USD", OPERATOR)
    merchant_id = application.merchants.register.for_operator(registration).merchant_id

    def log_in() -> None:
        application.sessions.log_in(
            LoginAttempt(EMAIL, "a long password", OPERATOR),
            None,
            lambda _: StoredResponse(200, b"{}"),
            lambda response: response,
        )

    for _ in range(MAX_LIVE_SESSIONS - 1):
        log_in()
    with store.begin() as work:
        first = work.sessions.list_live_sessions(merchant_id, 99)[-1]
    run_concurrently([log_in] * 6)
    with store.begin() as work:
        live = work.sessions.list_live_sessions(merchant_id, 99)
    assert len(live) == MAX_LIVE_SESSIONS
    assert first.id not in {session.id for session in live}
    rows, _ = application.merchants.list_audit_events(merchant_id, None, 100)
    ended = [row.details for row in rows if row.type == "session_revoked"]
    assert len(ended) == 5
    assert {"sessionId": str(first.id), "reason": "session_limit"} in ended


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
    commit(
        store, lambda work: work.merchants.record_api_key_usage([used.id, revoked.id, IDS.new_id()])
    )
    with store.begin() as work:
        last_uses = {key.id: key.last_used_at for key in work.merchants.list_keys(merchant_id)}
    assert last_uses[used.id]
    assert (last_uses[revoked.id], last_uses[idle.id]) == (None, None)


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

    thread = Thread(target=issue)
    with store.begin() as work:
        application.api_keys.create.execute(work, NewApiKey(merchant_id, "the last"))
        thread.start()
        # Without the lock, the thread would end within this time.
        thread.join(0.3)
        work.commit()
    thread.join()
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
    past = read_store_time(store)
    for invalid in (NewApiKey(merchant_id, ""), NewApiKey(merchant_id, "x", expires_at=past)):
        with pytest.raises(ValidationFailed):
            application.api_keys.create(invalid)
    assert application.merchants.list_audit_events(merchant_id, None, 10) == ([], None)


def build_event(merchant_id: UUID | None, **changes: object) -> AuditEvent:
    origin = Origin(ActorType.SESSION, IDS.new_id(), "2001:db8::1", "r" * 128)
    return replace(
        AuditEvent(IDS.new_id(), AuditEventType.LOGIN, origin, merchant_id, {"a": "é"}), **changes
    )


def test_audit_log_pages_are_newest_first(store: Store, merchant_id: UUID) -> None:
    other_id = add_merchant(store.begin)
    events = [build_event(merchant_id) for _ in range(7)]
    for event in events:
        commit(store, lambda work, event=event: work.audit_log.add(event))
        commit(store, lambda work: work.audit_log.add(build_event(other_id)))
    list_page = build_application(store.begin).merchants.list_audit_events
    rows, position = [], None
    while True:
        page, position = list_page(merchant_id, position, 3)
        rows += page
        if position is None:
            break
    assert [row.id for row in rows] == [event.id for event in reversed(events)]
    first, origin = rows[0], events[-1].origin
    assert (first.type, first.actor, first.actor_id) == ("login", "session", origin.actor_id)
    assert (first.address, first.request_id) == (origin.address, origin.request_id)
    assert first.details == {"a": "é"}


def test_audit_log_pages_return_events_of_equal_time_once(store: Store, merchant_id: UUID) -> None:
    def add_all(work: UnitOfWork) -> None:
        for _ in range(10):
            work.audit_log.add(build_event(merchant_id))

    commit(store, add_all)
    list_page = build_application(store.begin).merchants.list_audit_events
    ids, position = [], None
    for _ in range(4):
        page, position = list_page(merchant_id, position, 3)
        ids += [row.id for row in page]
    assert position is None
    assert len(ids) == len(set(ids)) == 10


def test_audit_event_has_merchant_or_email_hash(store: Store, merchant_id: UUID) -> None:
    for invalid in (build_event(None), build_event(merchant_id, email_hash=HASH)):
        with store.begin() as work, pytest.raises(StorageRefused):
            work.audit_log.add(invalid)
    commit(store, lambda work: work.audit_log.add(build_event(None, email_hash=HASH)))


def test_registration_is_one_commit(store: Store) -> None:
    application = build_application(store.begin)
    registration = MerchantRegistration(EMAIL, "a long password", "Shop", "USD", OPERATOR)
    created: list[Credentials] = []

    def render(added: Credentials) -> StoredResponse:
        created.append(added)
        return StoredResponse(201, b"{}")

    application.merchants.register(registration, None, render)
    with pytest.raises(Conflict):
        application.merchants.register(replace(registration, name="Other"), None, render)
    [credentials] = created
    rows, _ = application.merchants.list_audit_events(credentials.merchant_id, None, 10)
    assert [row.type for row in rows] == ["merchant_registered"]
    with store.begin() as work:
        assert work.sessions.find_credentials(EMAIL) == credentials
        assert work.accounts.get(credentials.merchant_id, credentials.account_id)


def test_one_of_concurrent_registrations_of_an_email_succeeds(store: Store) -> None:
    application = build_application(store.begin)

    def register(name: str) -> str | None:
        registration = MerchantRegistration(EMAIL, "a long password", name, "USD", OPERATOR)
        try:
            application.merchants.register(registration, None, lambda _: StoredResponse(201, b"{}"))
        except Conflict:
            return None
        return name

    names = run_concurrently([lambda n=n: register(f"Shop {n}") for n in range(6)])
    [winner] = [name for name in names if name]
    with store.begin() as work:
        credentials = work.sessions.find_credentials(EMAIL)
        assert credentials
        merchant = work.merchants.get(credentials.merchant_id)
    assert merchant
    assert merchant.name == winner


def test_dashboard_counts_payments_and_balances(store: Store, merchant_id: UUID) -> None:
    application = build_application(store.begin)
    commit(
        store, lambda work: work.sessions.add_credentials(create_credentials(store, merchant_id))
    )
    payments = [application.payments.record(build_payment(merchant_id, 100 + n)) for n in range(12)]
    application.payments.record(build_payment(merchant_id, 5, "tok_chargeDeclined"))
    application.settlement.settle()
    dashboard = application.merchants.get_dashboard(merchant_id)
    assert (dashboard.profile.email, dashboard.are_totals_complete) == (EMAIL, True)
    assert [payment.id for payment in dashboard.payments[1:]] == [
        payment.id for payment in reversed(payments[3:])
    ]
    totals = {(total.status, total.count, total.amount) for total in dashboard.today}
    assert totals == {("FAILED", 1, 5), ("SUCCESS", 12, sum(range(100, 112)))}
    assert list(dashboard.last_30_days) == list(dashboard.today)
    assert [account.balance for account in dashboard.accounts] == [sum(range(100, 112))]
