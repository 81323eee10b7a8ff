"""Webhook endpoints in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from atomic_adapters.postgres.arrays import uuid_array
from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.webhooks import (
    DisabledReason,
    EndpointChange,
    EndpointStatus,
    NewEndpoint,
    WebhookEndpoint,
)

_SQL: Final = load_statements("webhook_endpoints")


@dataclass(frozen=True, slots=True)
class PostgresWebhookEndpointRepository:
    session: DatabaseSession

    def mark_streams_due(self, merchant_ids: Sequence[UUID]) -> None:
        """After events were added to the streams of these merchants, in the same transaction."""
        self.session.send(_SQL["mark_streams_due"], merchant_ids=uuid_array(merchant_ids))

    def add(self, new_endpoint: NewEndpoint) -> WebhookEndpoint | None:
        # Before the stream is locked: an event that is committed in between makes it due.
        merchant_id = new_endpoint.merchant_id
        self.session.execute(_SQL["insert_stream"], merchant_id=merchant_id)
        row = self.session.fetch_optional(
            _SQL["insert_endpoint"],
            id=new_endpoint.id,
            merchant_id=merchant_id,
            url=new_endpoint.url,
            event_types=list(new_endpoint.event_types),
            description=new_endpoint.description,
            is_ordered=new_endpoint.is_ordered,
            secret=new_endpoint.encrypted_secret,
            position=lock_stream(self.session, merchant_id),
        )
        return build_endpoint(*row) if row else None

    def list(self, merchant_id: UUID) -> Sequence[WebhookEndpoint]:
        rows = self.session.fetch_all(_SQL["list_endpoints"], merchant_id=merchant_id)
        return [build_endpoint(*row) for row in rows]

    def get(self, merchant_id: UUID, endpoint_id: UUID) -> WebhookEndpoint | None:
        row = self.session.fetch_optional(
            _SQL["get_endpoint"], id=endpoint_id, merchant_id=merchant_id
        )
        return build_endpoint(*row) if row else None

    def get_default(self, merchant_id: UUID) -> WebhookEndpoint | None:
        row = self.session.fetch_optional(_SQL["get_default_endpoint"], merchant_id=merchant_id)
        return build_endpoint(*row) if row else None

    def lock(self, merchant_id: UUID, endpoint_id: UUID) -> WebhookEndpoint | None:
        row = self.session.fetch_optional(
            _SQL["lock_endpoint"], id=endpoint_id, merchant_id=merchant_id
        )
        return build_endpoint(*row) if row else None

    def change(self, endpoint_id: UUID, change: EndpointChange) -> WebhookEndpoint:
        event_types = change.event_types
        row = self.session.fetch_one(
            _SQL["change_endpoint"],
            id=endpoint_id,
            url=change.url,
            event_types=None if event_types is None else list(event_types),
            description=change.description,
            is_ordered=change.is_ordered,
            status=change.status,
            disabled_reason=change.disabled_reason,
        )
        return build_endpoint(*row)

    def get_secrets(self, endpoint_id: UUID) -> Sequence[bytes]:
        row = self.session.fetch_one(_SQL["get_secrets"], id=endpoint_id)
        return [bytes(secret) for secret in row if secret is not None]

    def rotate_secret(self, endpoint_id: UUID, encrypted_secret: bytes, overlap: timedelta) -> None:
        self.session.execute(
            _SQL["rotate_secret"], id=endpoint_id, secret=encrypted_secret, overlap=overlap
        )

    def replay(self, endpoint_id: UUID, position: int) -> None:
        self.session.execute(_SQL["replay_endpoint"], id=endpoint_id, position=position)

    def delete(self, endpoint_id: UUID) -> None:
        self.session.execute(_SQL["delete_endpoint"], id=endpoint_id)


def lock_stream(session: DatabaseSession, merchant_id: UUID) -> int:
    """Lock a merchant's stream, as a commit that adds events does; return its last sequence
    number."""
    row = session.fetch_optional(_SQL["lock_stream"], merchant_id=merchant_id)
    return row[0] if row else 0


def build_endpoint(
    id: UUID, merchant_id: UUID, url: str | None, event_types: Sequence[str], *details: Any
) -> WebhookEndpoint:
    """From the columns of fragments/webhook_endpoint_columns.sql."""
    description, is_ordered, status, disabled_reason, position, created_at, updated_at = details
    return WebhookEndpoint(
        id=id,
        merchant_id=merchant_id,
        url=url,
        event_types=tuple(event_types),
        description=description,
        is_ordered=is_ordered,
        status=EndpointStatus(status),
        disabled_reason=disabled_reason and DisabledReason(disabled_reason),
        position=position,
        created_at=created_at,
        updated_at=updated_at,
    )
