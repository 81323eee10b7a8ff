"""Refunds and their states: PENDING -> PROCESSING -> SUCCESS | FAILED."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from atomic_core.domain.card_networks import NetworkState
from atomic_core.domain.money import Money
from atomic_core.domain.origins import Origin
from atomic_core.domain.payments import Status


@dataclass(frozen=True, slots=True)
class NewRefund:
    """A request to refund `amount` of a payment, or its whole refundable amount."""

    merchant_id: UUID
    payment_id: UUID
    amount: int | None = None
    """Minor units."""
    reason: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Refund:
    """A stored refund. Times come from the database's clock, in UTC."""

    id: UUID
    payment_id: UUID
    merchant_id: UUID
    account_id: UUID
    """The payment's account, which a success debits."""
    money: Money
    reason: str | None
    metadata: Mapping[str, str]
    status: Status
    failure_reason: str | None
    idempotency_key: str | None
    created_at: datetime
    updated_at: datetime
    origin: Origin | None = None
    """Of the request that created it. None if it was recorded without."""
    claimed_at: datetime | None = None
    attempt: int = 0
    network_state: NetworkState | None = None
    unresolved_since: datetime | None = None
    network_reference: str | None = None
    """The card network's id of the refund."""

    @property
    def is_in_doubt(self) -> bool:
        return self.network_state is NetworkState.UNKNOWN

    @property
    def in_doubt_since(self) -> datetime | None:
        """Since when it is not known whether the card network processed it."""
        return self.unresolved_since if self.is_in_doubt else None
