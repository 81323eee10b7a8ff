"""A merchant changes its password, on both stores."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

import pytest

from atomic_adapters.security.argon2_password_hasher import MINIMAL_PARAMETERS, Argon2PasswordHasher
from atomic_core.application import Application
from atomic_core.domain.credentials import Session
from atomic_core.domain.errors import (
    Conflict,
    IdempotencyKeyReused,
    Unauthorized,
    ValidationFailed,
    WrongPassword,
)
from atomic_core.domain.idempotency import IdempotentRequest, StoredResponse
from atomic_core.domain.origins import OPERATOR
from atomic_core.use_cases.passwords import PasswordChange
from atomic_core.use_cases.registration import MerchantRegistration
from atomic_core.use_cases.sessions import LoginAttempt, NewSession
from support import Store, build_application, build_request, run_concurrently

EMAIL, OLD, NEW = "owner@shop.example", "a long password", "another long password"


@dataclass
class HookedHasher:
    """Calls `after_verify` once, after the next verification."""

    behind: Argon2PasswordHasher
    after_verify: Callable[[], object] | None = None

    @property
    def dummy_hash(self) -> str:
        return self.behind.dummy_hash

    def hash(self, password: str) -> str:
        return self.behind.hash(password)

    def verify(self, encoded: str, password: str) -> bool:
        is_right = self.behind.verify(encoded, password)
        hook, self.after_verify = self.after_verify, None
        if hook:
            hook()
        return is_right

    def is_outdated(self, encoded: str) -> bool:
        return self.behind.is_outdated(encoded)


@dataclass
class Owner:
    application: Application
    merchant_id: UUID

    def log_in(self, password: str = OLD, application: Application | None = None) -> NewSession:
        opened: list[NewSession] = []

        def render(session: NewSession) -> StoredResponse:
            opened.append(session)
            return StoredResponse(200, b"{}")

        attempt = LoginAttempt(EMAIL, password, OPERATOR)
        log_in = (application or self.application).sessions.log_in
        log_in(attempt, None, render, lambda response: response)
        return opened[0]

    def change(
        self,
        session: Session,
        current: str = OLD,
        new: str = NEW,
        request: IdempotentRequest | None = None,
    ) -> tuple[bytes, bool]:
        """The response, whose body is the number of ended sessions, and whether it is a replay."""
        result = self.application.sessions.change_password(
            PasswordChange(session, current, new, OPERATOR),
            request,
            lambda ended: StoredResponse(200, b"%d" % ended),
        )
        return result.response.body, result.replayed

    def list_events(self) -> list[str]:
        """Newest first."""
        rows, _ = self.application.merchants.list_audit_events(self.merchant_id, None, 100)
        return [row.type for row in rows]


@pytest.fixture
def owner(store: Store) -> Owner:
    application = build_application(store.begin)
    registration = MerchantRegistration(EMAIL, OLD, "Shop", "USD", OPERATOR)
    merchant_id = application.merchants.register.for_operator(registration).merchant_id
    return Owner(application, merchant_id)


def test_changed_password_replaces_the_old_one_and_ends_other_sessions(owner: Owner) -> None:
    others = [owner.log_in() for _ in range(2)]
    own = owner.log_in()
    assert owner.change(own.session) == (b"2", False)
    authenticate = owner.application.sessions.authenticate
    assert authenticate(own.token).id == own.session.id
    for other in others:
        with pytest.raises(Unauthorized):
            authenticate(other.token)
    with pytest.raises(Unauthorized):
        owner.log_in(OLD)
    assert owner.log_in(NEW)
    events = owner.list_events()
    assert events.count("password_changed") == 1
    assert events.count("session_revoked") == 2


def test_wrong_current_password_changes_nothing(owner: Owner) -> None:
    other, own = owner.log_in(), owner.log_in()
    for request in (None, build_request(owner.merchant_id)):
        with pytest.raises(WrongPassword):
            owner.change(own.session, current="a wrong password", request=request)
    assert owner.application.sessions.authenticate(other.token)
    assert owner.log_in(OLD)
    assert owner.list_events()[1:3] == ["password_change_failed"] * 2


def test_common_password_is_refused(owner: Owner) -> None:
    own = owner.log_in()
    with pytest.raises(ValidationFailed) as refused:
        owner.change(own.session, new="Password1")
    assert list(refused.value.details or {}) == ["newPassword"]
    assert owner.log_in(OLD)


def test_repeat_is_replayed_only_with_the_same_new_password(owner: Owner) -> None:
    owner.log_in()
    own, request = owner.log_in(), build_request(owner.merchant_id)
    assert owner.change(own.session, request=request) == (b"1", False)
    assert owner.change(own.session, request=request) == (b"1", True)
    with pytest.raises(IdempotencyKeyReused):
        owner.change(own.session, new="yet another password", request=request)
    assert owner.list_events().count("password_changed") == 1


def test_concurrent_repeats_change_the_password_once(owner: Owner) -> None:
    owner.log_in()
    own, request = owner.log_in(), build_request(owner.merchant_id)
    results = run_concurrently([lambda: owner.change(own.session, request=request)] * 4)
    assert [body for body, _ in results] == [b"1"] * 4
    assert sum(not replayed for _, replayed in results) == 1


def test_one_of_concurrent_changes_succeeds(owner: Owner) -> None:
    own = owner.log_in()

    def change(number: int) -> bool:
        try:
            owner.change(own.session, new=f"long password {number}")
        except (Conflict, WrongPassword):
            return False
        return True

    results = run_concurrently([lambda n=n: change(n) for n in range(4)])
    [winner] = [number for number, is_changed in enumerate(results) if is_changed]
    assert owner.log_in(f"long password {winner}")


def test_login_with_the_former_password_opens_no_session_after_the_change(
    store: Store, owner: Owner
) -> None:
    """The password changes between the verification of a login and its session."""
    own = owner.log_in()
    hasher = HookedHasher(Argon2PasswordHasher(MINIMAL_PARAMETERS))
    application = build_application(store.begin)
    application.sessions.log_in = replace(application.sessions.log_in, password_hasher=hasher)
    hasher.after_verify = lambda: owner.change(own.session)
    with pytest.raises(Unauthorized):
        owner.log_in(OLD, application)
    with store.begin() as work:
        live = work.sessions.list_live_sessions(owner.merchant_id, 9)
    assert [session.id for session in live] == [own.session.id]


def test_login_succeeds_if_another_login_renews_the_hash_meanwhile(
    store: Store, owner: Owner
) -> None:
    hasher = HookedHasher(Argon2PasswordHasher(MINIMAL_PARAMETERS))
    application = build_application(store.begin)
    application.sessions.log_in = replace(application.sessions.log_in, password_hasher=hasher)

    def renew_hash() -> None:
        with store.begin() as work:
            credentials = work.sessions.get_credentials(owner.merchant_id)
            assert credentials
            assert work.sessions.replace_password_hash(
                owner.merchant_id, credentials.password_hash, hasher.hash(OLD)
            )
            work.commit()

    hasher.after_verify = renew_hash
    assert owner.log_in(OLD, application)
