"""Password hashing: bounded concurrency, bounded waiting, and no delay for other requests."""

import gzip
import subprocess
import sys
import threading

import pytest
from argon2.exceptions import InvalidHashError

from atomic_adapters.security import common_passwords
from atomic_adapters.security.argon2_password_hasher import (
    MAX_CONCURRENT_HASHES,
    MINIMAL_PARAMETERS,
    RFC_9106,
    Argon2PasswordHasher,
)
from atomic_adapters.security.common_passwords import CommonPasswords
from atomic_core.domain.credentials import (
    MIN_PASSWORD_LENGTH,
    normalize_email,
    normalize_password,
)
from atomic_core.domain.errors import HasherBusy, ValidationFailed
from support import run_concurrently


class SlowHasher:
    """Replaces argon2: works until the test ends it, and counts concurrent calls."""

    def __init__(self) -> None:
        self.running = self.max_running = 0
        self.lock = threading.Lock()
        self.started = threading.Semaphore(0)
        self.end = threading.Event()

    def hash(self, password: str) -> str:
        with self.lock:
            self.running += 1
            self.max_running = max(self.max_running, self.running)
        self.started.release()
        self.end.wait(60)
        with self.lock:
            self.running -= 1
        return password


def test_only_the_hashed_password_verifies() -> None:
    passwords = Argon2PasswordHasher(MINIMAL_PARAMETERS)
    encoded = passwords.hash("correct horse")
    assert encoded.startswith("$argon2id$")
    assert encoded != passwords.hash("correct horse"), "salted"
    assert passwords.verify(encoded, "correct horse")
    assert not passwords.verify(encoded, "Correct horse")


def test_dummy_hash_costs_the_same_and_verifies_nothing() -> None:
    passwords = Argon2PasswordHasher()
    head = f"m={RFC_9106.memory_kib},t={RFC_9106.passes},p={RFC_9106.lanes}$"
    assert head in passwords.dummy_hash
    real = passwords.hash("correct horse")
    assert [len(part) for part in real.split("$")] == [
        len(part) for part in passwords.dummy_hash.split("$")
    ]
    assert not passwords.is_outdated(passwords.dummy_hash)
    assert not passwords.verify(passwords.dummy_hash, "")


def test_hash_with_other_parameters_is_outdated() -> None:
    old = Argon2PasswordHasher(MINIMAL_PARAMETERS).hash("correct horse")
    newer = Argon2PasswordHasher(MINIMAL_PARAMETERS._replace(passes=2))
    assert newer.is_outdated(old)
    assert newer.verify(old, "correct horse")
    assert not newer.is_outdated(newer.hash("correct horse"))


def test_concurrent_hashes_are_limited() -> None:
    passwords, slow = Argon2PasswordHasher(MINIMAL_PARAMETERS, wait_timeout=60), SlowHasher()
    passwords._hasher = slow  # type: ignore[assignment]
    opener = threading.Thread(target=lambda: (slow.started.acquire(), slow.end.set()))
    opener.start()
    assert run_concurrently([lambda: passwords.hash("x")] * 50) == ["x"] * 50
    opener.join()
    assert 1 <= slow.max_running <= MAX_CONCURRENT_HASHES


def test_waiting_too_long_raises_hasher_busy() -> None:
    passwords = Argon2PasswordHasher(MINIMAL_PARAMETERS, max_concurrent=1, wait_timeout=0.01)
    slow = SlowHasher()
    passwords._hasher = slow  # type: ignore[assignment]
    first = threading.Thread(target=passwords.hash, args=("x",))
    first.start()
    assert slow.started.acquire(timeout=60)
    with pytest.raises(HasherBusy):
        passwords.hash("y")
    slow.end.set()
    first.join()
    assert passwords.hash("z") == "z", "the slot is free again"


def test_failed_hash_frees_its_slot() -> None:
    passwords = Argon2PasswordHasher(MINIMAL_PARAMETERS, max_concurrent=1, wait_timeout=0.01)
    for _ in range(3):
        with pytest.raises(InvalidHashError):
            passwords.verify("nonsense", "correct horse")
    assert passwords.hash("correct horse")


UNDER_GEVENT = """
from gevent import monkey; monkey.patch_all()
import gevent
from atomic_adapters.security.argon2_password_hasher import Argon2PasswordHasher
passwords = Argon2PasswordHasher(wait_timeout=60)
turns = 0
def run_others():
    global turns
    while True:
        turns += 1
        gevent.sleep(0)
gevent.spawn(run_others)
jobs = [gevent.spawn(passwords.hash, "correct horse") for _ in range(4)]
gevent.joinall(jobs, raise_error=True)
assert passwords.verify(jobs[0].value, "correct horse")
assert not passwords.verify(jobs[0].value, "wrong horse")
print(turns)
"""


def test_other_greenlets_run_while_a_password_is_hashed() -> None:
    """Patched threads are greenlets: without a native thread, a hash would block all others."""
    completed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", UNDER_GEVENT], capture_output=True, text=True
    )
    assert completed.returncode == 0, completed.stderr
    assert int(completed.stdout) > 100
    assert completed.stderr == "", "the log of an API is JSON, and a wrong password is no error"


@pytest.mark.parametrize("text", ["a@b.example", "A@B.EXAMPLE"])
def test_email_is_normalized(text: str) -> None:
    assert normalize_email(text) == "a@b.example"


def test_password_length_counts_after_normalization() -> None:
    assert normalize_password("e\u0301" * 8) == "é" * 8
    for invalid in ("e\u0301" * 7, "e\u0301" * 129, "\u0301" * 100_000):
        with pytest.raises(ValidationFailed):
            normalize_password(invalid)


def test_list_of_common_passwords_has_10000_lower_case_passwords_that_are_long_enough() -> None:
    with gzip.open(common_passwords._FILE, "rt", encoding="ascii") as lines:
        passwords = [line.rstrip("\n") for line in lines]
    assert len(passwords) == len(set(passwords)) == 10_000
    assert all(
        len(each) >= MIN_PASSWORD_LENGTH and each == each.lower().strip() for each in passwords
    )


@pytest.mark.parametrize(
    ("password", "is_common"),
    [
        ("password", True),
        ("PASSWORD", True),
        (" Password\t", True),
        ("correct horse battery staple", False),
        ("passw", False),
        ("pass word", False),
    ],
)
def test_common_passwords_are_recognized_in_any_case(password: str, is_common: bool) -> None:
    assert CommonPasswords().contains(password) is is_common
