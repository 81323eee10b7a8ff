"""Requests that must be refused, also during a fault."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

UNKNOWN_ID: Final = "019ab0c0-0000-7000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class InvalidRequest:
    description: str
    status: int
    path: str = "/payments"
    method: str = "POST"
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def _build_body(**changed: object) -> bytes:
    body = {"amount": 100, "currency": "USD", "source": "tok_visa", "description": "invalid"}
    return json.dumps(body | changed).encode()


INVALID_REQUESTS: Final[Sequence[InvalidRequest]] = (
    InvalidRequest("nested 8,000 deep", 400, body=b"[" * 8_000 + b"]" * 8_000),
    InvalidRequest("NaN", 400, body=b'{"amount": NaN, "currency": "USD", "source": "tok_visa"}'),
    InvalidRequest("two amounts", 400, body=b'{"amount": 1, "amount": 2, "currency": "USD"}'),
    InvalidRequest("amount as string", 400, body=_build_body(amount="100")),
    InvalidRequest("amount 2^63", 400, body=_build_body(amount=2**63)),
    InvalidRequest("amount 0", 400, body=_build_body(amount=0)),
    InvalidRequest("a lone surrogate", 400, body=_build_body(description="\ud800")),
    InvalidRequest("NUL", 400, body=_build_body(description="\x00")),
    InvalidRequest("UTF-16", 400, body=_build_body().decode().encode("utf-16")),
    InvalidRequest("an unknown field", 400, body=_build_body(status="SUCCESS")),
    InvalidRequest("null", 400, body=b"null"),
    InvalidRequest("no body", 400, body=b""),
    InvalidRequest(
        "another content type", 415, body=_build_body(), headers={"Content_Type": "text/plain"}
    ),
    InvalidRequest("100 KB", 413, body=_build_body(description="x" * 100_000)),
    InvalidRequest(
        "a key of 256 characters", 400, body=_build_body(), headers={"Idempotency_Key": "k" * 256}
    ),
    InvalidRequest(
        "a wrong API key", 401, body=_build_body(), headers={"Authorization": "Bearer sk_test_x"}
    ),
    InvalidRequest("another merchant", 403, body=_build_body(merchantId=UNKNOWN_ID)),
    InvalidRequest("an empty batch", 400, "/payments/batch", body=b'{"payments": []}'),
    InvalidRequest("an id of 3,900 digits", 400, "/payments/" + "1" * 3_900, method="GET"),
    InvalidRequest("an unknown payment", 404, f"/payments/{UNKNOWN_ID}", method="GET"),
    InvalidRequest("%00", 400, "/payments/%00", method="GET"),
    InvalidRequest("DELETE", 405, method="DELETE"),
)
