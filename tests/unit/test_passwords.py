"""The slow hash: few at once, nobody waits for ever, and nobody else waits at all."""

import subprocess
import sys
import threading

import pytest
from argon2.exceptions import InvalidHashError

from atomic_adapters.security.argon2_password_hasher import (
    MAX_CONCURRENT_HASHES,
    MINIMAL_PARAMETERS,
    RFC_9106,
    Argon2PasswordHasher,
)
from atomic_core.domain.credentials import normal_email, normal_password
from atomic_core.domain.errors import HasherBusy, ValidationFailed
from support import at_once


class Slow:
    """Stands in for argon2: works until it is told to end, and counts how many work at once."""

    def __init__(self) -> None:
        self.working = self.most = 0
        self.lock = threading.Lock()
        self.begun = threading.Semaphore(0)
        self.end = threading.Event()

    def hash(self, password: str) -> str:
        with self.lock:
            self.working += 1
            self.most = max(self.most, self.working)
        self.begun.release()
        self.end.wait(10)
        with self.lock:
            self.working -= 1
        return password


def test_what_was_hashed_verifies_and_nothing_else_does() -> None:
    passwords = Argon2PasswordHasher(MINIMAL_PARAMETERS)
    encoded = passwords.hash("correct horse")
    assert encoded.startswith("$argon2id$")
    assert encoded != passwords.hash("correct horse"), "salted"
    assert passwords.verify(encoded, "correct horse")
    assert not passwords.verify(encoded, "Correct horse")


def test_the_decoy_costs_what_a_hash_costs_and_is_nobodys() -> None:
    passwords = Argon2PasswordHasher()
    head = f"m={RFC_9106.memory_kib},t={RFC_9106.passes},p={RFC_9106.lanes}$"
    assert head in passwords.decoy
    real = passwords.hash("correct horse")
    assert [len(part) for part in real.split("$")] == [
        len(part) for part in passwords.decoy.split("$")
    ]
    assert not passwords.is_outdated(passwords.decoy)
    assert not passwords.verify(passwords.decoy, "")


def test_other_parameters_are_outdated() -> None:
    old = Argon2PasswordHasher(MINIMAL_PARAMETERS).hash("correct horse")
    newer = Argon2PasswordHasher(MINIMAL_PARAMETERS._replace(passes=2))
    assert newer.is_outdated(old)
    assert newer.verify(old, "correct horse")
    assert not newer.is_outdated(newer.hash("correct horse"))


def test_fifty_at_once_are_worked_off_few_at_a_time() -> None:
    passwords, slow = Argon2PasswordHasher(MINIMAL_PARAMETERS, wait_timeout=10), Slow()
    passwords._hasher = slow  # type: ignore[assignment]
    opener = threading.Thread(target=lambda: (slow.begun.acquire(), slow.end.set()))
    opener.start()
    assert at_once([lambda: passwords.hash("x")] * 50) == ["x"] * 50
    opener.join()
    assert 1 <= slow.most <= MAX_CONCURRENT_HASHES


def test_who_would_wait_too_long_is_told_to_come_again() -> None:
    passwords, slow = Argon2PasswordHasher(MINIMAL_PARAMETERS, max_concurrent=1, wait_timeout=0.01), Slow()
    passwords._hasher = slow  # type: ignore[assignment]
    first = threading.Thread(target=passwords.hash, args=("x",))
    first.start()
    assert slow.begun.acquire(timeout=5)
    with pytest.raises(HasherBusy):
        passwords.hash("y")
    slow.end.set()
    first.join()
    assert passwords.hash("z") == "z", "the place is free again"


def test_a_failure_gives_its_place_back() -> None:
    passwords = Argon2PasswordHasher(MINIMAL_PARAMETERS, max_concurrent=1, wait_timeout=0.01)
    for _ in range(3):
        with pytest.raises(InvalidHashError):
            passwords.verify("nonsense", "correct horse")
    assert passwords.hash("correct horse")


UNDER_GEVENT = """
from gevent import monkey; monkey.patch_all()
import gevent
from atomic_adapters.security.argon2_password_hasher import Argon2PasswordHasher
passwords = Argon2PasswordHasher()
turns = 0
def others():
    global turns
    while True:
        turns += 1
        gevent.sleep(0)
gevent.spawn(others)
jobs = [gevent.spawn(passwords.hash, "correct horse") for _ in range(4)]
gevent.joinall(jobs, raise_error=True)
assert passwords.verify(jobs[0].value, "correct horse")
print(turns)
"""


def test_under_gevent_everybody_else_goes_on() -> None:
    """Patched threads are greenlets: without a real one, these five hashes would be five turns."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", UNDER_GEVENT], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


@pytest.mark.parametrize("text", ["a@b.example", "A@B.EXAMPLE"])
def test_an_email_has_one_spelling(text: str) -> None:
    assert normal_email(text) == "a@b.example"


def test_length_counts_after_normalising() -> None:
    assert normal_password("e\u0301" * 8) == "é" * 8
    for wrong in ("e\u0301" * 7, "e\u0301" * 129, "\u0301" * 100_000):
        with pytest.raises(ValidationFailed):
            normal_password(wrong)
