"""The audit log: registrations, logins, opened accounts, changes of passwords, sessions and API
keys, and what an operator did to a merchant or decided about a payment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from atomic_core.domain.origins import Origin


class AuditEventType(StrEnum):
    MERCHANT_REGISTERED = "merchant_registered"
    LOGIN = "login"
    LOGIN_FAILED = "login_failed"
    LOGOUT = "logout"
    PASSWORD_REHASHED = "password_rehashed"  # noqa: S105  no password
    PASSWORD_CHANGED = "password_changed"  # noqa: S105  no password
    PASSWORD_CHANGE_FAILED = "password_change_failed"  # noqa: S105  no password
    SESSION_REVOKED = "session_revoked"
    MERCHANT_SUSPENDED = "merchant_suspended"
    MERCHANT_RESUMED = "merchant_resumed"
    MERCHANT_NETWORK_SET = "merchant_network_set"
    KEY_CREATED = "key_created"
    KEY_ADOPTED = "key_adopted"
    KEY_REVOKED = "key_revoked"
    KEY_ROTATED = "key_rotated"
    FEES_SET = "fees_set"
    ACCOUNT_OPENED = "account_opened"
    ACCOUNT_UPDATED = "account_updated"
    ACCOUNT_STATUS_CHANGED = "account_status_changed"
    LEDGER_PERIOD_CLOSED = "ledger_period_closed"
    WEBHOOK_ENDPOINT_CREATED = "webhook_endpoint_created"
    WEBHOOK_ENDPOINT_CHANGED = "webhook_endpoint_changed"
    WEBHOOK_ENDPOINT_DELETED = "webhook_endpoint_deleted"
    WEBHOOK_ENDPOINT_DISABLED = "webhook_endpoint_disabled"
    """By Atomic, because its receiver is gone or has failed for days."""
    WEBHOOK_SECRET_ROTATED = "webhook_secret_rotated"  # noqa: S105  no secret
    WEBHOOK_DELIVERY_RETRIED = "webhook_delivery_retried"
    WEBHOOKS_REPLAYED = "webhooks_replayed"
    PAYMENT_CREATED = "payment_created"
    """By an operator; so are the following. What keys request is in timelines."""
    PAYMENT_CAPTURED = "payment_captured"
    PAYMENT_CANCELED = "payment_canceled"
    PAYMENT_REFUNDED = "payment_refunded"
    PAYMENT_RETRIED = "payment_retried"
    """An operator ended the back-off of a payment or refund."""
    PAYMENT_RESOLVED = "payment_resolved"
    """An operator decided the outcome of a step that the card network left open."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """An event to store. The store sets its time."""

    id: UUID
    type: AuditEventType
    origin: Origin
    merchant_id: UUID | None
    details: Mapping[str, str] = field(default_factory=dict)
    """Must not contain secrets."""
    email_hash: bytes | None = None
    """SHA-256 of the email of a failed login, if no merchant has that email."""

    @property
    def stored_details(self) -> Mapping[str, str]:
        """The details, with the name of the operator."""
        operator = self.origin.operator
        return self.details if operator is None else {**self.details, "operator": operator}


@dataclass(frozen=True, slots=True)
class RecordedAuditEvent:
    """A stored event."""

    id: UUID
    type: str
    actor: str
    actor_id: UUID | None
    address: str | None
    request_id: str | None
    server_request_id: UUID | None
    details: Mapping[str, str]
    at: datetime

    @property
    def position(self) -> "AuditLogPosition":
        return AuditLogPosition(self.at, self.id)


class AuditLogPosition(NamedTuple):
    """A position in the order of the log."""

    at: datetime
    id: UUID
