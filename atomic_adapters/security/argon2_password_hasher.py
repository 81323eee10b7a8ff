"""Passwords hashed with argon2id, few at a time and beside everything else."""

import base64
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from atomic_core.domain.errors import HasherBusy

T = TypeVar("T")

MAX_CONCURRENT_HASHES: Final = 2
"""In one process: each takes 64 MiB, and several cores for about a tenth of a second, which
payments have to share."""

PATIENCE_SECONDS: Final = 2.0
"""How long one waits for their turn, behind some forty others. Who is told to come again then
loses nothing; who waited longer would only lengthen the queue."""


class Parameters(NamedTuple):
    passes: int
    memory_kib: int
    lanes: int


RFC_9106: Final = Parameters(3, 65_536, 4)
"""Its second recommended option, for where 2 GiB a hash are too much."""

MINIMAL_PARAMETERS: Final = Parameters(1, 8, 1)
"""For what ends with the process: tests, and applications in memory."""


@dataclass(frozen=True, slots=True)
class _Room:
    """A number of places, to be had within a time."""

    places: threading.BoundedSemaphore
    wait_timeout: float

    @contextmanager
    def place(self) -> Iterator[None]:
        if not self.places.acquire(timeout=self.wait_timeout):
            raise HasherBusy
        try:
            yield
        finally:
            self.places.release()


class Argon2PasswordHasher:
    """A `PasswordHasher` port. To be made where it is used, after fork and monkey-patching."""

    def __init__(
        self,
        parameters: Parameters = RFC_9106,
        at_once: int = MAX_CONCURRENT_HASHES,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._hasher = PasswordHasher(
            time_cost=parameters.passes,
            memory_cost=parameters.memory_kib,
            parallelism=parameters.lanes,
        )
        self._room = _Room(threading.BoundedSemaphore(at_once), patience)
        self.decoy = _hash_of_nothing(parameters)

    def hash(self, password: str) -> str:
        return self._work(self._hasher.hash, password)

    def verify(self, encoded: str, password: str) -> bool:
        try:
            return self._work(self._hasher.verify, encoded, password)
        except VerifyMismatchError:
            return False

    def is_outdated(self, encoded: str) -> bool:
        return self._hasher.check_needs_rehash(encoded)

    def _work(self, function: Callable[..., T], *arguments: object) -> T:
        with self._room.place():
            return _aside(function, *arguments)


def _aside(function: Callable[..., T], *arguments: Any) -> T:
    """Call it where it keeps nobody waiting. argon2 lets go of Python's lock, so a thread does; but
    where threads are greenlets, they all stand still with the one that computes. Then a real one
    has to be borrowed from gevent."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        return function(*arguments)
    # Imported here: to operators, who have no greenlets, it is a tenth of a second.
    import gevent

    return gevent.get_hub().threadpool.apply(function, arguments)


def _hash_of_nothing(parameters: Parameters) -> str:
    """Well formed, at the full price to verify, and no password's: its hash is all zeros."""
    salt, hash = (base64.b64encode(bytes(size)).decode().rstrip("=") for size in (16, 32))
    costs = f"m={parameters.memory_kib},t={parameters.passes},p={parameters.lanes}"
    return f"$argon2id$v=19${costs}${salt}${hash}"
