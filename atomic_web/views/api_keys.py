"""/merchants/api-keys: a merchant's own keys, by its session."""

from datetime import timedelta
from typing import Final

from flask import Blueprint, Response

from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.merchants import ALL_SCOPES, MAX_LIVE_KEYS, IssuedKey
from atomic_core.use_cases.api_keys import NewKey, Rotation
from atomic_web.access.audit_origin import origin
from atomic_web.access.authentication import logged_in
from atomic_web.access.idempotency import HEADER, perform, read_key, redact
from atomic_web.context import app_context, request_context
from atomic_web.http.body import read_object, read_object_if_any
from atomic_web.http.ids import path_id, refuse_query
from atomic_web.http.responses import envelope, ok
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import NOT_FOUND, STATE_CONFLICT
from atomic_web.openapi.headers import linked
from atomic_web.openapi.operation import Operation, Success, documented
from atomic_web.schemas.api_keys import (
    ApiKeySchema,
    IssuedKeySchema,
    NewApiKeySchema,
    RotationSchema,
    read_moment,
)

views = Blueprint("api_keys", __name__, url_prefix="/merchants/api-keys")

RAW_KEY: Final = "rawKey"

_asked: Final = NewApiKeySchema()
_rotation: Final = RotationSchema()
_issued: Final = IssuedKeySchema()
_shown: Final = ApiKeySchema()
_listed: Final = ApiKeySchema(many=True)

CREATE: Final = Operation(
    id="createApiKey",
    summary="Make an API key",
    description=f"Up to {MAX_LIVE_KEYS} active ones.",
    body=_asked,
    requests={"till": examples.NEW_API_KEY, "everything": {"name": "till"}},
    parameters=(HEADER,),
    answers=(
        Success(
            status=201,
            description="The key, this once.",
            data=_issued,
            examples={"till": examples.ISSUED_KEY},
            links={"rotate": linked("rotateApiKey", "/data/id")},
        ),
    ),
    refusals=(STATE_CONFLICT,),
)
LIST: Final = Operation(
    id="listApiKeys",
    summary="All active keys and the last that were, oldest first",
    description=f"Up to {MAX_LIVE_KEYS} of each.",
    answers=(
        Success(
            status=200,
            description="The keys.",
            data=_listed,
            examples={"one": [examples.API_KEY]},
        ),
    ),
)
REVOKE: Final = Operation(
    id="revokeApiKey",
    summary="End a key",
    description="At once and for good. Safe to repeat.",
    answers=(
        Success(
            status=200,
            description="It opens nothing any more.",
            data=_shown,
            examples={"revoked": examples.REVOKED_KEY},
        ),
    ),
    refusals=(NOT_FOUND,),
)
ROTATE: Final = Operation(
    id="rotateApiKey",
    summary="Replace a key",
    description="The new one has the name, the scopes and the end of the old one, which ends "
    "after the overlap.",
    body=_rotation,
    body_required=False,
    requests={"an hour": {"overlapSeconds": 3_600}, "at once": {}},
    parameters=(HEADER,),
    answers=(
        Success(
            status=201,
            description="The new key, this once.",
            data=_issued,
            examples={"till": examples.ISSUED_KEY},
        ),
    ),
    refusals=(NOT_FOUND, STATE_CONFLICT),
)


@views.post("")
@documented(CREATE)
@logged_in()
def create() -> Response:
    content = read_object()
    refuse_query()
    asked = _asked.read(content)
    key = read_key()
    end = asked.get("expires_at")
    order = NewKey(
        merchant_id=request_context().merchant_id,
        name=asked["name"],
        scopes=frozenset(asked.get("scopes", ALL_SCOPES)),
        expires_at=read_moment(end) if end else None,
        origin=origin(),
    )
    keep = redact(RAW_KEY)
    return perform(key, app_context().application.api_keys.create, order, _told, content, keep)


@views.get("")
@documented(LIST)
@logged_in()
def list_() -> Response:
    refuse_query()
    return ok(_listed.dump(app_context().application.api_keys.list(request_context().merchant_id)))


@views.delete("/<id>")
@documented(REVOKE)
@logged_in()
def revoke(id: str) -> Response:
    key_id = path_id(id)
    refuse_query()
    revoked = app_context().application.api_keys.revoke(
        key_id, request_context().merchant_id, origin()
    )
    return ok(_shown.dump(revoked))


@views.post("/<id>/rotate")
@documented(ROTATE)
@logged_in()
def rotate(id: str) -> Response:
    key_id, content = path_id(id), read_object_if_any()
    refuse_query()
    overlap = timedelta(seconds=_rotation.read(content)["overlap_seconds"])
    key = read_key()
    order = Rotation(request_context().merchant_id, key_id, overlap, origin())
    keep = redact(RAW_KEY)
    return perform(key, app_context().application.api_keys.rotate, order, _told, content, keep)


def _told(issued: IssuedKey) -> StoredResponse:
    return StoredResponse(201, envelope(_issued.dump(issued)))
