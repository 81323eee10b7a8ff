"""GET /idempotency-keys/{key}: the request and response of an Idempotency-Key."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import orjson
from flask import Blueprint, Response

from atomic_core.domain.errors import Forbidden, ValidationFailed
from atomic_core.domain.idempotency import StoredIdempotencyKey
from atomic_core.domain.merchants import Scope, contains_secret
from atomic_web.access.authentication import require_scope, requires_api_key
from atomic_web.access.idempotency import KEY_PATTERN, is_valid_key
from atomic_web.context import BASE_PATH, request_context
from atomic_web.http.query import refuse_query_parameters
from atomic_web.http.responses import ok_response
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import NOT_FOUND
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.schemas.batches import INVALID_KEY
from atomic_web.schemas.descriptions import UUID_PATTERN
from atomic_web.schemas.idempotency import IdempotencyKeySchema

views = Blueprint("idempotency_keys", __name__, url_prefix="/idempotency-keys")

_response_schema: Final = IdempotencyKeySchema()

_RESOURCE_PATH: Final = re.compile(
    rf"{BASE_PATH}/(?P<type>(?:ledger/)?[a-z-]+)/(?P<id>{UUID_PATTERN.strip('^$')})"
)


_SCOPES: Final = {
    "payments": Scope.PAYMENTS_READ,
    "refunds": Scope.PAYMENTS_READ,
    "accounts": Scope.ACCOUNTS_READ,
    "webhook-endpoints": Scope.WEBHOOKS_READ,
    "deliveries": Scope.WEBHOOKS_READ,
    "ledger": Scope.LEDGER_READ,
    "disputes": Scope.DISPUTES_READ,
}
"""The scope that reads what the routes of a collection answer. Routes of a session answer what no
API key may read: profiles, sessions and keys."""


class _Resource(NamedTuple):
    type: str
    id: str
    path: str


class _Response(NamedTuple):
    status: int
    body: Any


class _IdempotencyKey(NamedTuple):
    key: str
    method: str
    path: str
    fingerprint: str
    status: str
    response: _Response
    resources: Sequence[Any]
    created_at: Any
    expires_at: Any


def _describe_key(kept: StoredIdempotencyKey) -> _IdempotencyKey:
    record = kept.record
    response = record.response.with_commit_time(record.created_at)
    # Secrets are redacted before a response is stored; this is the second line of defence.
    has_secret = contains_secret(response.body.decode("utf-8", "replace"))
    body = None if has_secret else orjson.loads(response.body)
    resources = _find_resources(record.path, response.location, body)
    return _IdempotencyKey(
        key=kept.key,
        method=record.method,
        path=record.path,
        fingerprint=record.fingerprint.hex(),
        status="completed",
        response=_Response(response.status, body),
        resources=[resource._asdict() for resource in resources],
        created_at=record.created_at,
        expires_at=kept.expires_at,
    )


def _find_resources(path: str, location: str | None, body: Any) -> Iterator[_Resource]:
    """The resource at the Location, or else those in the body."""
    if location is not None and (match := _RESOURCE_PATH.fullmatch(location)):
        yield _Resource(match["type"], match["id"], location)
        return
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, dict):
        return
    payments = data.get("payments")
    collection = _get_collection(path)
    for item in payments if isinstance(payments, list) else [data]:
        resource_path = f"{BASE_PATH}/{collection}/{item.get('id')}"
        if match := _RESOURCE_PATH.fullmatch(resource_path):
            yield _Resource(match["type"], match["id"], resource_path)


SHOW: Final = Operation(
    id="getIdempotencyKey",
    summary="Look up a request by its Idempotency-Key",
    description="The request, its response, and the resources it created or changed, from the "
    "first response until the key expires. 404 if the request failed, because its key is then "
    "unused. Requires the scope that reads the response: `accounts:read` for `/accounts`, "
    "`webhooks:read` for `/webhook-endpoints` and `/deliveries`, `ledger:read` for `/ledger`, "
    "`disputes:read` for `/disputes`, else `payments:read`; 403 for a request with a session token."
    " Percent-encode characters that a path cannot contain, and a key that is `.` or `..`.",
    path={
        "key": {
            "name": "key",
            "in": "path",
            "required": True,
            "description": "The key without the quotes of the header.",
            "schema": {"type": "string", "pattern": f"^{KEY_PATTERN.pattern}$"},
            "example": "4f0a9e52-7a55-4d0c-b6a5-0c7d6cf6f6a1",
        }
    },
    responses=(
        Success(
            status=200,
            description="The request and its response.",
            data=_response_schema,
            examples={"payment": _describe_key(examples.KEPT_KEY)},
        ),
    ),
    error_responses=(NOT_FOUND,),
)


@views.get("/<whole:key>")
@describe_operation(SHOW)
@requires_api_key(
    scope=Scope.PAYMENTS_READ,
    other_scopes=(
        Scope.ACCOUNTS_READ,
        Scope.WEBHOOKS_READ,
        Scope.LEDGER_READ,
        Scope.DISPUTES_READ,
    ),
)
def show(key: str) -> Response:
    if not is_valid_key(key) or contains_secret(key):
        raise ValidationFailed(details={"key": [INVALID_KEY]})
    refuse_query_parameters()
    context = request_context()
    kept = context.application.idempotency.get_key(context.merchant_id, key)
    _require_read_scope(kept.record.path)
    return ok_response(_response_schema.dump(_describe_key(kept)))


def _require_read_scope(path: str) -> None:
    """Raises Forbidden unless the API key may read what a request to this path was answered."""
    scope = _SCOPES.get(_get_collection(path))
    if scope is None:
        raise Forbidden("This Idempotency-Key was used with a session token: no API key reads it.")
    require_scope(scope)


def _get_collection(path: str) -> str:
    return path.removeprefix(BASE_PATH).split("/")[1]
