"""One repository per aggregate. All live inside a unit of work; none commits by itself.

Every method may raise StorageUnavailable; the ones that write may raise StorageRefused.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.audit import LedgerReport
from atomic_core.domain.events import PaymentEvent, Recorded
from atomic_core.domain.fees import FeeSchedule, FeeTerms
from atomic_core.domain.idempotency import (
    IdempotencyRecord,
    IdempotentRequest,
    KeptKey,
    StoredResponse,
)
from atomic_core.domain.ledger import Posted, PostedTransaction
from atomic_core.domain.merchants import ALL_SCOPES, MAX_LIVE_KEYS, ApiKey, Merchant
from atomic_core.domain.payments import Acceptance, Accepted, Lookup, Payment, Resolution
from atomic_core.domain.refunds import NewRefund, Refund
from atomic_core.domain.settling import Claim, Settlement


class Merchants(Protocol):
    def add(self, id: UUID, name: str) -> Merchant: ...

    def get(self, merchant_id: UUID) -> Merchant | None: ...

    def lock(self, merchant_id: UUID) -> None:
        """Hold the merchant until the unit of work ends, so that what is done for it once is
        not done twice at the same time. Raises NotFound."""
        ...

    def add_key(
        self,
        id: UUID,
        merchant_id: UUID,
        name: str,
        prefix: str,
        hash: bytes,
        scopes: frozenset[str] = ALL_SCOPES,
        expires_at: datetime | None = None,
    ) -> ApiKey | None:
        """Keep a key. None if a key with this hash exists already, whoever it belongs to."""
        ...

    def active_key(self, hash: bytes) -> ApiKey | None:
        """The key with this hash, if there is one and it is neither revoked nor expired."""
        ...

    def is_active(self, key_id: UUID) -> bool:
        """Whether the key exists and is neither revoked nor expired."""
        ...

    def keys(self, merchant_id: UUID, limit: int = MAX_LIVE_KEYS) -> Sequence[ApiKey]:
        """The newest active keys of the merchant and the newest of the others, up to `limit` of
        either; oldest first."""
        ...

    def count_active_keys(self, merchant_id: UUID) -> int: ...

    def key(self, key_id: UUID, merchant_id: UUID | None = None) -> ApiKey | None:
        """The key, if it exists and is the merchant's, where one is named."""
        ...

    def revoke_key(self, key_id: UUID) -> ApiKey | None:
        """Revoke now and for good. None unless that changed something: it is unknown, or was
        revoked before."""
        ...

    def expire_key(self, key_id: UUID, after: timedelta) -> None:
        """Let a key end `after` from now, or when it would have ended, if that is sooner."""
        ...

    def note_uses(self, key_ids: Sequence[UUID]) -> None:
        """Note that these keys were used just now. Waits for nobody: a key that is being changed
        is left out."""
        ...


class Accounts(Protocol):
    def open(self, id: UUID, merchant_id: UUID, name: str, currency: str) -> Account:
        """Open an account at zero, and the house's own in the currency if there are none yet."""
        ...

    def open_house(self, currency: str) -> None:
        """Open the currency's World account and its fee account unless they exist. Safe to do
        twice at once."""
        ...

    def get(self, merchant_id: UUID, account_id: UUID) -> Account | None:
        """The account, if it is the merchant's."""
        ...

    def credited(self, merchant_id: UUID, currency: str) -> UUID | None:
        """The account that payments in this currency credit: the merchant's first."""
        ...

    def lock(self, ids: Iterable[UUID]) -> Mapping[UUID, Account]:
        """Return the accounts, held until the unit of work ends.

        Taken in id order, so two batches cannot wait on each other. Ids that do not exist
        are left out.
        """
        ...

    def lock_free(self, ids: Iterable[UUID]) -> Mapping[UUID, Account]:
        """The same for those accounts that nobody else holds; waits for none."""
        ...


class Ledger(Protocol):
    def record(self, posted: Posted) -> None:
        """Write a posted batch: holds let go, accounts, transactions, entries, new holds.

        The accounts must be held by this unit of work. Raises StorageRefused if the batch
        breaks a rule of the books, above all if a payment would be posted twice, or a hold let
        go of that is not live.
        """
        ...

    def of_payment(self, payment_id: UUID) -> Sequence[PostedTransaction]:
        """What was posted for a payment and its refunds, oldest first, each with its entries."""
        ...

    def check(self) -> LedgerReport:
        """Apply every rule of `atomic_core.domain.audit` to one snapshot. Locks nothing."""
        ...


class Payments(Protocol):
    def accept(
        self, acceptances: Sequence[Acceptance], patience: timedelta | None = None
    ) -> Sequence[Accepted | None]:
        """Record these payments as PENDING, due at once, each credited to the merchant's first
        account in its currency: one statement, whatever their number.

        None, and nothing recorded, for those whose conditions (see Acceptance) do not hold, and
        for all but the first of those that share an Idempotency-Key. Keys are taken in order,
        so that two calls cannot wait on each other. Waits for a concurrent first use of a key
        to end, `patience` or else the store's lock time-out; then raises IdempotencyKeyInUse.
        """
        ...

    def find(self, lookups: Sequence[Lookup]) -> Sequence[Payment | None]:
        """What each look-up finds: one statement, whatever their number."""
        ...

    def claim(
        self, limit: int, lease: timedelta, overdue_by: timedelta, claimant: int | None = None
    ) -> Sequence[Claim]:
        """Take up to `limit` payments that have been due for `overdue_by`, oldest first.

        Due are PENDING payments, and PROCESSING ones whose lease or back-off has ended; and at
        once, whatever `overdue_by`, those whose claimant (see Presence) is gone. They become
        PROCESSING, due again when `lease` ends, with `attempt` one higher. Without a claimant,
        or under one that is gone already, only the lease says until when. Payments that another
        unit of work holds are passed over, not waited for.
        """
        ...

    def hold(self, claims: Sequence[Claim]) -> frozenset[UUID]:
        """The ids of those claims that are still ours, locked in id order until the unit of
        work ends. A claim that somebody else took over or finished is not among them."""
        ...

    def settle(self, settlements: Sequence[Settlement], hold_for: timedelta) -> None:
        """Write what became of payments held by this unit of work. A payment that becomes
        AUTHORIZED is held for `hold_for` from now."""
        ...

    def lock(self, merchant_id: UUID, payment_id: UUID) -> Payment | None:
        """The payment, if it is the merchant's, held until the unit of work ends."""
        ...

    def resolve(self, resolution: Resolution) -> Payment:
        """Make an AUTHORIZED payment, held by this unit of work, work again: PROCESSING, due at
        once, with `attempt` one higher, so that no earlier claim counts. Raises StorageRefused if
        it is not AUTHORIZED."""
        ...

    def expire(self, limit: int) -> Sequence[UUID]:
        """The same for up to `limit` payments whose hold has ended, those first that ended first.
        Payments that another unit of work holds are passed over."""
        ...

    def hasten(self, payment_id: UUID) -> bool:
        """Make an open payment due at once, as if its back-off or lease had just ended. Its
        `attempt` stays. Waits for whoever holds it. False if it is unknown or not open."""
        ...


class Refunds(Protocol):
    """Work rows, as payments are: `claim`, `hold`, `settle` and `hasten` are theirs, word for
    word."""

    def add(self, id: UUID, payment: Payment, amount: int, order: NewRefund) -> Refund:
        """Record a refund of a payment, held by this unit of work, as PENDING and due at once.
        Raises StorageRefused if more would be given back than was captured."""
        ...

    def get(self, merchant_id: UUID, refund_id: UUID) -> Refund | None:
        """The refund, if it is the merchant's."""
        ...

    def of_payment(self, payment_id: UUID, limit: int) -> Sequence[Refund]:
        """Up to `limit` refunds of a payment, newest first."""
        ...

    def claim(
        self, limit: int, lease: timedelta, overdue_by: timedelta, claimant: int | None = None
    ) -> Sequence[Claim]: ...

    def hold(self, claims: Sequence[Claim]) -> frozenset[UUID]:
        """Locks the refunds' payments too, before them and in id order."""
        ...

    def promised(self, ids: Iterable[UUID]) -> frozenset[UUID]:
        """Those of these refunds, held by this unit of work, whose amount is on hold already."""
        ...

    def settle(self, settlements: Sequence[Settlement]) -> None: ...

    def hasten(self, refund_id: UUID) -> bool: ...


class Events(Protocol):
    def add(self, events: Sequence[PaymentEvent]) -> None:
        """Keep for ever what happened, as of now."""
        ...

    def of_payment(self, payment_id: UUID, limit: int) -> Sequence[Recorded]:
        """The first `limit` of what happened to a payment, in order."""
        ...


class Fees(Protocol):
    def set(self, merchant_id: UUID, currency: str, terms: FeeTerms) -> FeeSchedule:
        """Agree on new terms, instead of those there were."""
        ...

    def of_merchant(self, merchant_id: UUID) -> Sequence[FeeSchedule]:
        """By currency."""
        ...


class IdempotencyKeys(Protocol):
    def claim(self, request: IdempotentRequest) -> StoredResponse | None:
        """Take the key, or return the answer its first use got.

        Waits for a concurrent first use to end, within the store's lock time-out. An expired
        key is new again. Raises IdempotencyKeyReused if the key belongs to another request,
        IdempotencyKeyInUse if waiting took too long.
        """
        ...

    def kept(self, merchant_id: UUID, keys: Sequence[str]) -> Mapping[str, IdempotencyRecord]:
        """The records of those keys that are taken, by key. Locks and takes none."""
        ...

    def look_up(self, merchant_id: UUID, key: str) -> KeptKey | None:
        """What became of a key. None if it is unused, or has expired."""
        ...

    def complete(self, request: IdempotentRequest, response: StoredResponse) -> None:
        """Keep the answer of a key claimed in this unit of work."""
        ...

    def purge(self, limit: int) -> int:
        """Delete up to `limit` expired keys; return how many."""
        ...
