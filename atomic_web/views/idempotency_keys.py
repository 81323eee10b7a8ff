"""GET /idempotency-keys/{key}: what became of a request."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import orjson
from flask import Blueprint, Response

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.idempotency import KeptKey
from atomic_core.domain.merchants import Scope, holds_a_key
from atomic_web.access.authentication import authenticated
from atomic_web.access.idempotency import VISIBLE, is_key
from atomic_web.context import BASE_PATH, app_context, request_context
from atomic_web.http.ids import refuse_query
from atomic_web.http.responses import ok
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import NOT_FOUND
from atomic_web.openapi.operation import Operation, Success, documented
from atomic_web.schemas.batches import KEY_FAULT
from atomic_web.schemas.descriptions import UUID_PATTERN
from atomic_web.schemas.idempotency import KeptKeySchema

views = Blueprint("idempotency_keys", __name__, url_prefix="/idempotency-keys")

_shown: Final = KeptKeySchema()

_RESOURCE: Final = re.compile(rf"{BASE_PATH}/(?P<type>[a-z-]+)/(?P<id>{UUID_PATTERN.strip('^$')})")


class _Resource(NamedTuple):
    type: str
    id: str
    path: str


class _Answered(NamedTuple):
    status: int
    body: Any


class _Told(NamedTuple):
    key: str
    method: str
    path: str
    fingerprint: str
    status: str
    response: _Answered
    resources: Sequence[Any]
    created_at: Any
    expires_at: Any


def _told(kept: KeptKey) -> _Told:
    record = kept.record
    response = record.response.at(record.created_at)
    # No answer that holds a secret is kept; should one ever be, it is not shown a second time.
    secret = holds_a_key(response.body.decode("utf-8", "replace"))
    body = None if secret else orjson.loads(response.body)
    return _Told(
        key=kept.key,
        method=record.method,
        path=record.path,
        fingerprint=record.fingerprint.hex(),
        status="completed",
        response=_Answered(response.status, body),
        resources=[each._asdict() for each in _resources(record.path, response.location, body)],
        created_at=record.created_at,
        expires_at=kept.expires_at,
    )


def _resources(path: str, location: str | None, body: Any) -> Iterator[_Resource]:
    """Where the answer says that something was made, or else what is in it."""
    if location is not None and (named := _RESOURCE.fullmatch(location)):
        yield _Resource(named["type"], named["id"], location)
        return
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, dict):
        return
    many = data.get("payments")
    for one in many if isinstance(many, list) else [data]:
        made = f"{BASE_PATH}/{path.removeprefix(BASE_PATH).split('/')[1]}/{one.get('id')}"
        if named := _RESOURCE.fullmatch(made):
            yield _Resource(named["type"], named["id"], made)


SHOW: Final = Operation(
    id="getIdempotencyKey",
    summary="What became of a request",
    description="By its Idempotency-Key, from its first answer until it expires: which request it "
    "was, what it was answered, what came of it. A request that was refused left its key unused: "
    "404. Percent-encode what a path cannot hold; a `.` or `..` that is the whole key, too.",
    path={
        "key": {
            "name": "key",
            "in": "path",
            "required": True,
            "description": "Bare, without the quotes a header may need.",
            "schema": {"type": "string", "pattern": f"^{VISIBLE.pattern}$"},
            "example": "4f0a9e52-7a55-4d0c-b6a5-0c7d6cf6f6a1",
        }
    },
    answers=(
        Success(
            status=200,
            description="The request and its answer.",
            data=_shown,
            examples={"payment": _told(examples.KEPT_KEY)},
        ),
    ),
    refusals=(NOT_FOUND,),
)


@views.get("/<whole:key>")
@documented(SHOW)
@authenticated(scope=Scope.PAYMENTS_READ)
def show(key: str) -> Response:
    if not is_key(key) or holds_a_key(key):
        raise ValidationFailed(details={"key": [KEY_FAULT]})
    refuse_query()
    kept = app_context().application.idempotency.look_up_key(request_context().merchant_id, key)
    return ok(_shown.dump(_told(kept)))
