"""Webhook endpoints: created, changed and deleted, with an audit event in the same commit."""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

from atomic_core.domain.audit_log import AuditEvent, AuditEventType
from atomic_core.domain.errors import (
    Conflict,
    NotFound,
    SigningSecretUnreadable,
    TooManyPings,
    TooManyWebhookEndpoints,
    ValidationFailed,
    WebhookEndpointBuiltIn,
    WebhooksUnavailable,
)
from atomic_core.domain.merchants import contains_secret
from atomic_core.domain.origins import OPERATOR, Origin
from atomic_core.domain.timestamps import format_rfc3339
from atomic_core.domain.webhook_urls import Network, find_url_problem
from atomic_core.domain.webhooks import (
    MAX_DESCRIPTION,
    MAX_ENDPOINTS,
    MAX_EVENT_TYPES,
    SECRET_OVERLAP,
    DisabledReason,
    EndpointChange,
    EndpointStatus,
    NewEndpoint,
    WebhookEndpoint,
    WebhookRequest,
    WebhookResult,
    expand_event_types,
    generate_secret,
)
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.job_queue import Job, JobQueue
from atomic_core.ports.secret_cipher import (
    EncryptionUnavailable,
    SecretCipher,
    SecretUnreadable,
)
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.ports.webhook_sender import WebhookSender
from atomic_core.use_cases.idempotency import Command

MAX_PINGS: Final = 5
"""Of one merchant at once, in a process: each occupies a connection of a client until its receiver
answers or the time-out ends."""


class EndpointRequest(NamedTuple):
    """A request for a new endpoint."""

    merchant_id: UUID
    url: str
    event_types: tuple[str, ...] = ()
    description: str = ""
    is_ordered: bool = False
    origin: Origin = OPERATOR


class EndpointUpdate(NamedTuple):
    merchant_id: UUID
    endpoint_id: UUID
    change: EndpointChange
    origin: Origin = OPERATOR


class EndpointReference(NamedTuple):
    merchant_id: UUID
    endpoint_id: UUID
    origin: Origin = OPERATOR


class IssuedEndpoint(NamedTuple):
    endpoint: WebhookEndpoint
    secret: str
    """It cannot be read again."""


def check_endpoint(
    allowed_networks: Sequence[Network],
    url: str | None,
    event_types: Sequence[str] | None,
    description: str | None,
) -> None:
    """Raises ValidationFailed. None is not checked."""
    problems = {
        "url": url and _find_url_problem(url, allowed_networks),
        "eventTypes": event_types and _find_types_problem(event_types),
        "description": description and _find_description_problem(description),
    }
    details = {name: [problem] for name, problem in problems.items() if problem}
    if details:
        raise ValidationFailed(details=details)


def _find_url_problem(url: str, allowed_networks: Sequence[Network]) -> str | None:
    if contains_secret(url):
        return "Must not contain an API key."
    return find_url_problem(url, allowed_networks)


def _find_types_problem(event_types: Sequence[str]) -> str | None:
    if len(event_types) > MAX_EVENT_TYPES or len(set(event_types)) != len(event_types):
        return f"Must be up to {MAX_EVENT_TYPES} different entries."
    try:
        expand_event_types(event_types)
    except ValueError:
        return "Each entry must be a type of an event, such as payment.succeeded, or payment.*."
    return None


def _find_description_problem(description: str) -> str | None:
    if len(description) > MAX_DESCRIPTION or not description.isprintable():
        return f"Must be up to {MAX_DESCRIPTION} printable characters."
    return "Must not contain an API key." if contains_secret(description) else None


@dataclass(frozen=True, slots=True)
class CreateWebhookEndpoint(Command[EndpointRequest, IssuedEndpoint]):
    """Add an endpoint, which gets the events that are committed from now on.

    Raises ValidationFailed; TooManyWebhookEndpoints; WebhooksUnavailable.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator
    cipher: SecretCipher
    allowed_networks: Sequence[Network] = ()

    def execute(self, work: UnitOfWork, request: EndpointRequest) -> IssuedEndpoint:
        check_endpoint(self.allowed_networks, request.url, request.event_types, request.description)
        # Locked, so that concurrent calls cannot exceed the maximum together.
        work.merchants.lock(request.merchant_id)
        existing = work.webhook_endpoints.list(request.merchant_id)
        if sum(endpoint.url is not None for endpoint in existing) >= MAX_ENDPOINTS:
            raise TooManyWebhookEndpoints(
                f"This merchant has {MAX_ENDPOINTS} webhook endpoints, the maximum: delete one"
                " first.",
                facts={"maximum": MAX_ENDPOINTS},
            )
        secret = generate_secret()
        new_endpoint = NewEndpoint(
            self.ids.new_id(),
            request.merchant_id,
            request.url,
            encrypt_secret(self.cipher, secret),
            request.event_types,
            request.description,
            request.is_ordered,
        )
        endpoint = work.webhook_endpoints.add(new_endpoint)
        if endpoint is None:
            raise Conflict("A webhook endpoint with this id already exists.")
        event_type = AuditEventType.WEBHOOK_ENDPOINT_CREATED
        audit_endpoint(work, self.ids, event_type, endpoint, request.origin)
        return IssuedEndpoint(endpoint, secret)


def encrypt_secret(cipher: SecretCipher, secret: str) -> bytes:
    """Raises WebhooksUnavailable."""
    try:
        return cipher.encrypt(secret)
    except EncryptionUnavailable as error:
        raise WebhooksUnavailable from error


@dataclass(frozen=True, slots=True)
class ListWebhookEndpoints:
    """All endpoints of a merchant, oldest first."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID) -> Sequence[WebhookEndpoint]:
        with self.begin() as work:
            return work.webhook_endpoints.list(merchant_id)


@dataclass(frozen=True, slots=True)
class GetWebhookEndpoint:
    """Raises NotFound, also for another merchant's endpoint."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID, endpoint_id: UUID) -> WebhookEndpoint:
        with self.begin() as work:
            return require_endpoint(work.webhook_endpoints.get(merchant_id, endpoint_id))


@dataclass(frozen=True, slots=True)
class UpdateWebhookEndpoint(Command[EndpointUpdate, WebhookEndpoint]):
    """Change an endpoint. One that is enabled again goes on where it stopped.

    Raises NotFound, ValidationFailed; WebhookEndpointBuiltIn for a URL of the endpoint that has
    none.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator
    job_queue: JobQueue
    allowed_networks: Sequence[Network] = ()

    def execute(self, work: UnitOfWork, update: EndpointUpdate) -> WebhookEndpoint:
        change = update.change
        check_endpoint(self.allowed_networks, change.url, change.event_types, change.description)
        endpoint = require_endpoint(
            work.webhook_endpoints.lock(update.merchant_id, update.endpoint_id)
        )
        if endpoint.url is None and change.url is not None:
            raise WebhookEndpointBuiltIn
        if change.status is EndpointStatus.DISABLED:
            change = change._replace(
                disabled_reason=endpoint.disabled_reason or DisabledReason.REQUESTED
            )
        changed = work.webhook_endpoints.change(endpoint.id, change)
        event_type = AuditEventType.WEBHOOK_ENDPOINT_CHANGED
        audit_endpoint(work, self.ids, event_type, changed, update.origin)
        return changed

    def after_commit(self) -> None:
        # It may have become enabled.
        self.job_queue.notify(Job.DELIVER)


@dataclass(frozen=True, slots=True)
class DeleteWebhookEndpoint(Command[EndpointReference, WebhookEndpoint]):
    """Delete an endpoint. What is being sent to it at this moment may still arrive. Raises
    NotFound; WebhookEndpointBuiltIn for the endpoint without a URL."""

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def execute(self, work: UnitOfWork, reference: EndpointReference) -> WebhookEndpoint:
        endpoint = require_endpoint(
            work.webhook_endpoints.lock(reference.merchant_id, reference.endpoint_id)
        )
        if endpoint.url is None:
            # Processes remember that it exists.
            raise WebhookEndpointBuiltIn(
                "The endpoint of payments with a webhookUrl of their own cannot be"
                " deleted; disable it."
            )
        work.webhook_endpoints.delete(endpoint.id)
        event_type = AuditEventType.WEBHOOK_ENDPOINT_DELETED
        audit_endpoint(work, self.ids, event_type, endpoint, reference.origin)
        return endpoint


@dataclass(frozen=True, slots=True)
class RotateWebhookSecret(Command[EndpointReference, IssuedEndpoint]):
    """Replace the signing secret. The former one signs too, for SECRET_OVERLAP."""

    begin: UnitOfWorkFactory
    ids: IdGenerator
    cipher: SecretCipher

    def execute(self, work: UnitOfWork, reference: EndpointReference) -> IssuedEndpoint:
        endpoint = require_endpoint(
            work.webhook_endpoints.lock(reference.merchant_id, reference.endpoint_id)
        )
        secret = generate_secret()
        encrypted = encrypt_secret(self.cipher, secret)
        work.webhook_endpoints.rotate_secret(endpoint.id, encrypted, SECRET_OVERLAP)
        event_type = AuditEventType.WEBHOOK_SECRET_ROTATED
        audit_endpoint(work, self.ids, event_type, endpoint, reference.origin)
        return IssuedEndpoint(endpoint, secret)


@dataclass(frozen=True, slots=True)
class PingWebhookEndpoint:
    """Send a `ping` to an endpoint, which is no event, and return what came back.

    Raises NotFound; WebhookEndpointBuiltIn for the endpoint without a URL; SigningSecretUnreadable;
    TooManyPings.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator
    cipher: SecretCipher
    sender: WebhookSender
    _running: Counter[UUID] = field(default_factory=Counter)
    """By merchant."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, merchant_id: UUID, endpoint_id: UUID) -> WebhookResult:
        with self.begin() as work:
            endpoint = require_endpoint(work.webhook_endpoints.get(merchant_id, endpoint_id))
            encrypted, now = work.webhook_endpoints.get_secrets(endpoint.id), work.now()
        if endpoint.url is None:
            raise WebhookEndpointBuiltIn
        try:
            secrets = tuple(self.cipher.decrypt(secret) for secret in encrypted)
        except SecretUnreadable as error:
            raise SigningSecretUnreadable from error
        ping_id = str(self.ids.new_id())
        document = {
            "id": ping_id,
            "type": "ping",
            "occurredAt": format_rfc3339(now),
            "data": {"endpointId": str(endpoint.id)},
        }
        request = WebhookRequest(
            ping_id,
            endpoint.url,
            json.dumps(document, separators=(",", ":")).encode(),
            secrets,
            int(now.timestamp()),
        )
        with self._occupy_place(merchant_id):
            return self.sender.send(request)

    @contextmanager
    def _occupy_place(self, merchant_id: UUID) -> Iterator[None]:
        with self._lock:
            if self._running[merchant_id] >= MAX_PINGS:
                raise TooManyPings
            self._running[merchant_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._running[merchant_id] -= 1
                if not self._running[merchant_id]:
                    del self._running[merchant_id]


MAX_KNOWN_MERCHANTS = 100_000
"""Remembered by a process to have the endpoint without a URL: some megabytes."""


@dataclass(frozen=True, slots=True)
class EnsureDefaultEndpoint:
    """Add the merchant's endpoint without a URL unless it exists, before the first payment with a
    `webhookUrl` is created, by the origin of that payment. Does nothing if webhooks are off."""

    begin: UnitOfWorkFactory
    ids: IdGenerator
    cipher: SecretCipher
    _known: set[UUID] = field(default_factory=set)

    def __call__(self, merchant_id: UUID, origin: Origin = OPERATOR) -> None:
        if merchant_id in self._known or not self.cipher.is_available:
            return
        with self.begin() as work:
            if work.merchants.get(merchant_id) is None:
                return
            if work.webhook_endpoints.get_default(merchant_id) is None:
                encrypted = self.cipher.encrypt(generate_secret())
                new_endpoint = NewEndpoint(self.ids.new_id(), merchant_id, None, encrypted)
                # None if another process has added it meanwhile.
                if endpoint := work.webhook_endpoints.add(new_endpoint):
                    event_type = AuditEventType.WEBHOOK_ENDPOINT_CREATED
                    audit_endpoint(work, self.ids, event_type, endpoint, origin)
                work.commit()
        if len(self._known) < MAX_KNOWN_MERCHANTS:
            self._known.add(merchant_id)


def require_endpoint(endpoint: WebhookEndpoint | None) -> WebhookEndpoint:
    if endpoint is None:
        raise NotFound("No webhook endpoint has this id.")
    return endpoint


def audit_endpoint(
    work: UnitOfWork,
    ids: IdGenerator,
    type: AuditEventType,
    endpoint: WebhookEndpoint,
    origin: Origin,
    **more_details: str,
) -> None:
    details = {"webhookEndpointId": str(endpoint.id), **more_details}
    if endpoint.url is not None:
        details["url"] = endpoint.url
    work.audit_log.add(AuditEvent(ids.new_id(), type, origin, endpoint.merchant_id, details))
