"""/merchants/api-keys: a merchant manages its API keys with a session."""

from datetime import timedelta
from typing import Final

from flask import Blueprint, Response

from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.merchants import ALL_SCOPES, MAX_LIVE_KEYS, IssuedApiKey
from atomic_core.use_cases.api_keys import ApiKeyRotation, NewApiKey
from atomic_web.access.authentication import requires_session
from atomic_web.access.idempotency import (
    IDEMPOTENCY_KEY,
    execute_idempotently,
    read_idempotency_key,
    redact,
)
from atomic_web.access.origins import build_origin
from atomic_web.context import request_context
from atomic_web.http.body import read_json_object, read_optional_json_object
from atomic_web.http.ids import parse_path_id, parse_sole_path_id
from atomic_web.http.query import refuse_query_parameters
from atomic_web.http.responses import ok_response, render_envelope
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import API_KEY_CONFLICT, NOT_FOUND
from atomic_web.openapi.headers import build_link
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.schemas.api_keys import (
    ApiKeyRotationSchema,
    ApiKeySchema,
    IssuedApiKeySchema,
    NewApiKeySchema,
    parse_utc_time,
)

views = Blueprint("api_keys", __name__, url_prefix="/merchants/api-keys")

RAW_KEY: Final = "rawKey"

_request_schema: Final = NewApiKeySchema()
_rotation_schema: Final = ApiKeyRotationSchema()
_issued_key_schema: Final = IssuedApiKeySchema()
_response_schema: Final = ApiKeySchema()
_list_schema: Final = ApiKeySchema(many=True)

CREATE: Final = Operation(
    id="createApiKey",
    summary="Create an API key",
    description=f"A merchant has at most {MAX_LIVE_KEYS} active keys.",
    body=_request_schema,
    body_examples={"scoped": examples.NEW_API_KEY, "unrestricted": {"name": "Point of sale"}},
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(
            status=201,
            description="The key. No other response contains it.",
            data=_issued_key_schema,
            examples={"created": examples.ISSUED_KEY},
            links={"rotate": build_link("rotateApiKey", "/data/id")},
        ),
    ),
    error_responses=(API_KEY_CONFLICT,),
)
LIST: Final = Operation(
    id="listApiKeys",
    summary="List the active and the latest inactive API keys, oldest first",
    description=f"Up to {MAX_LIVE_KEYS} of each.",
    responses=(
        Success(
            status=200,
            description="The keys.",
            data=_list_schema,
            examples={"one": [examples.API_KEY]},
        ),
    ),
)
REVOKE: Final = Operation(
    id="revokeApiKey",
    summary="Revoke an API key",
    description="Takes effect at once and cannot be undone. Safe to repeat.",
    responses=(
        Success(
            status=200,
            description="The revoked key.",
            data=_response_schema,
            examples={"revoked": examples.REVOKED_KEY},
        ),
    ),
    error_responses=(NOT_FOUND,),
)
ROTATE: Final = Operation(
    id="rotateApiKey",
    summary="Replace an API key",
    description="The new key has the name, the scopes and the expiry of the old one, which expires "
    "after the overlap.",
    body=_rotation_schema,
    body_examples={"one-hour-overlap": {"overlapSeconds": 3_600}, "no-overlap": {}},
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(
            status=201,
            description="The new key. No other response contains it.",
            data=_issued_key_schema,
            examples={"created": examples.ISSUED_KEY},
        ),
    ),
    error_responses=(NOT_FOUND, API_KEY_CONFLICT),
)


@views.post("")
@describe_operation(CREATE)
@requires_session()
def create() -> Response:
    content = read_json_object()
    refuse_query_parameters()
    values = _request_schema.parse(content)
    key = read_idempotency_key()
    expires_at = values.get("expires_at")
    context = request_context()
    new_key = NewApiKey(
        merchant_id=context.merchant_id,
        name=values["name"],
        scopes=frozenset(values.get("scopes", ALL_SCOPES)),
        expires_at=parse_utc_time(expires_at) if expires_at else None,
        origin=build_origin(),
    )
    create_key = context.application.api_keys.create
    return execute_idempotently(
        key, create_key, new_key, _render_issued_key, content, redact(RAW_KEY)
    )


@views.get("")
@describe_operation(LIST)
@requires_session()
def list_() -> Response:
    refuse_query_parameters()
    context = request_context()
    api_keys = context.application.api_keys.list(context.merchant_id)
    return ok_response(_list_schema.dump(api_keys))


@views.delete("/<id>")
@describe_operation(REVOKE)
@requires_session()
def revoke(id: str) -> Response:
    key_id = parse_sole_path_id(id)
    context = request_context()
    api_key = context.application.api_keys.revoke(key_id, context.merchant_id, build_origin())
    return ok_response(_response_schema.dump(api_key))


@views.post("/<id>/rotate")
@describe_operation(ROTATE)
@requires_session()
def rotate(id: str) -> Response:
    key_id, content = parse_path_id(id), read_optional_json_object()
    refuse_query_parameters()
    overlap = timedelta(seconds=_rotation_schema.parse(content)["overlap_seconds"])
    key = read_idempotency_key()
    context = request_context()
    rotation = ApiKeyRotation(context.merchant_id, key_id, overlap, build_origin())
    rotate_key = context.application.api_keys.rotate
    return execute_idempotently(
        key, rotate_key, rotation, _render_issued_key, content, redact(RAW_KEY)
    )


def _render_issued_key(issued_key: IssuedApiKey) -> StoredResponse:
    return StoredResponse(201, render_envelope(_issued_key_schema.dump(issued_key)))
