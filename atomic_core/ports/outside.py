"""Everything outside that is not the store."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from atomic_core.domain.merchants import Caller
from atomic_core.domain.settling import Authorization, Claim


class Clock(Protocol):
    def now(self) -> datetime:
        """The time in UTC. For display and rate windows; money's times are the store's."""
        ...


class IdGenerator(Protocol):
    def new_id(self) -> UUID:
        """A new id, growing with time so that indexes stay compact."""
        ...

    def new_secret(self) -> str:
        """48 hexadecimal characters from a cryptographic source."""
        ...


class KeyHasher(Protocol):
    def hash(self, raw_key: str) -> bytes:
        """32 bytes from which the key cannot be found again."""
        ...


class PasswordHasher(Protocol):
    """A slow hash, of passwords. Bounded: so many at once in a process, and whoever would wait too
    long for their turn gets HasherBusy. Meanwhile others are served; never call it inside a unit
    of work."""

    @property
    def decoy(self) -> str:
        """The hash of no password, at the present parameters: to spend on an unknown name what a
        known one would have cost."""
        ...

    def hash(self, password: str) -> str:
        """Encoded, with its salt and parameters."""
        ...

    def verify(self, encoded: str, password: str) -> bool: ...

    def is_outdated(self, encoded: str) -> bool:
        """Whether it was made with other parameters than are used today."""
        ...


class KeyUses(Protocol):
    def note(self, key_id: UUID) -> None:
        """Remember that a key was used, and let the store know of it now and then: once a minute
        for each key at most. Costs next to nothing, and is never an error; what is lost with a
        process is no harm."""
        ...


class KnownKeys(Protocol):
    """A process's own memory of whose keys it has met, and what they may do. Neither ever changes,
    so what is remembered stays true; it does not say that a key is still active."""

    def get(self, hash: bytes) -> Caller | None:
        """Whose key has this hash, if it is remembered."""
        ...

    def remember(self, hash: bytes, caller: Caller) -> None:
        """Remember the owner of a key that was found active. Forgets others to stay small."""
        ...


class Job(StrEnum):
    """Work that a bell can announce."""

    SETTLE = "settle"


class JobQueue(Protocol):
    def ring(self, job: Job) -> None:
        """Say that there is work. Coalesced, bounded in time (0.25 s), and never an error: the
        work is in the store, and the sweeper finds what a lost ring did not announce."""
        ...

    def answered(self, job: Job) -> None:
        """Said by the worker before it looks for work, so that later work rings again."""
        ...


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A fixed window: `quota` per `window` seconds for one `subject`. A request counts as
    `cost`: 1, or as many things as it asks for."""

    name: str
    quota: int
    window: int
    subject: str
    cost: int = 1


@dataclass(frozen=True, slots=True)
class RateState:
    """A window after counting a request. `reset` is the whole seconds until it ends, rounded
    up: a client that waits that long is never early."""

    limit: RateLimit
    remaining: int
    reset: int
    exceeded: bool


class RateLimiter(Protocol):
    def count(self, limits: Sequence[RateLimit]) -> Sequence[RateState]:
        """Count one request against each limit, in order, up to the first that is exceeded.

        Returns a state for each limit that was counted. Raises RateLimiterUnavailable if it
        cannot count, within 0.25 s.
        """
        ...


class RateLimiterUnavailable(Exception):
    """Counting was not possible; the caller decides whether the request passes."""


class CardNetwork(Protocol):
    """Answers come in the order of the claims. The claim's id and step are the idempotency key:
    asking twice does it once. Must answer within the settler's lease. Raises NetworkFault if there
    was no answer at all.
    """

    def authorize(self, claims: Sequence[Claim]) -> Sequence[Authorization]:
        """Ask for each claim's money: to take it at once (CHARGE), or to hold it (AUTHORIZE)."""
        ...

    def capture(self, claims: Sequence[Claim]) -> Sequence[Authorization]:
        """Take `capture_amount` of what is held, and let the rest go."""
        ...

    def void(self, claims: Sequence[Claim]) -> Sequence[Authorization]:
        """Let go of what is held."""
        ...

    def refund(self, claims: Sequence[Claim]) -> Sequence[Authorization]:
        """Give back each claim's amount of what was taken."""
        ...


class Dependency(Protocol):
    """Something this process needs to do its work."""

    @property
    def name(self) -> str: ...

    @property
    def vital(self) -> bool:
        """Whether nothing useful can be done without it."""
        ...

    def is_up(self) -> bool:
        """Whether it answers now. Bounded in time; never raises."""
        ...
