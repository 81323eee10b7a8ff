"""Argon2id password hashing, limited to a few hashes at a time and kept off the event loop."""

import base64
import sys
import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from atomic_core.domain.errors import HasherBusy

T = TypeVar("T")

MAX_CONCURRENT_HASHES: Final = 2
"""Per process. A hash takes 64 MiB and several cores for about a tenth of a second; payments need
the same cores."""

WAIT_TIMEOUT_SECONDS: Final = 2.0
"""How long a caller waits for a free slot: as long as about forty earlier hashes take. Longer waits
would only lengthen the queue; the caller gets HasherBusy and can retry."""


class Parameters(NamedTuple):
    passes: int
    memory_kib: int
    lanes: int


RFC_9106: Final = Parameters(3, 65_536, 4)
"""RFC 9106's second recommended option, for servers on which 2 GiB per hash are too much."""

MINIMAL_PARAMETERS: Final = Parameters(1, 8, 1)
"""The cheapest that argon2 accepts. For passwords that end with the process: tests and in-memory
applications."""


class Argon2PasswordHasher:
    """A `PasswordHasher` port. Create it in the process that uses it, after fork and gevent's
    monkey-patching."""

    def __init__(
        self,
        parameters: Parameters = RFC_9106,
        max_concurrent: int = MAX_CONCURRENT_HASHES,
        wait_timeout: float = WAIT_TIMEOUT_SECONDS,
    ) -> None:
        self._hasher = PasswordHasher(
            time_cost=parameters.passes,
            memory_cost=parameters.memory_kib,
            parallelism=parameters.lanes,
        )
        self._slots = threading.BoundedSemaphore(max_concurrent)
        self._wait_timeout = wait_timeout
        self.dummy_hash = _build_decoy(parameters)

    def hash(self, password: str) -> str:
        return self._run(self._hasher.hash, password)

    def verify(self, encoded: str, password: str) -> bool:
        try:
            return self._run(self._hasher.verify, encoded, password)
        except VerifyMismatchError:
            return False

    def is_outdated(self, encoded: str) -> bool:
        return self._hasher.check_needs_rehash(encoded)

    def _run(self, function: Callable[..., T], *arguments: object) -> T:
        if not self._slots.acquire(timeout=self._wait_timeout):
            raise HasherBusy
        try:
            return _call_in_native_thread(function, *arguments)
        finally:
            self._slots.release()


def _call_in_native_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Call `function` without blocking other requests. argon2 releases the GIL, so in a thread a
    plain call does; with gevent, where a computing greenlet blocks all others, the call runs in
    gevent's pool of native threads."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        return function(*arguments)
    # Imported here: the CLI does not use gevent, and importing it takes a tenth of a second.
    import gevent

    def capture() -> T | Exception:
        # gevent prints the traceback of what leaves a thread: ten lines for each wrong password.
        try:
            return function(*arguments)
        except Exception as error:  # noqa: BLE001 - raised again in the caller
            return error

    outcome = gevent.get_hub().threadpool.apply(capture)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _build_decoy(parameters: Parameters) -> str:
    """A well-formed hash that no password matches (its digest is all zeros) and that costs as much
    to verify as a real one."""
    salt, hash = (base64.b64encode(bytes(size)).decode().rstrip("=") for size in (16, 32))
    costs = f"m={parameters.memory_kib},t={parameters.passes},p={parameters.lanes}"
    return f"$argon2id$v=19${costs}${salt}${hash}"
