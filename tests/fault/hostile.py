"""Requests that must be refused, whatever else is going on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

NOBODY: Final = "019ab0c0-0000-7000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class Hostile:
    what: str
    status: int
    path: str = "/payments"
    method: str = "POST"
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def _order(**changed: object) -> bytes:
    order = {"amount": 100, "currency": "USD", "source": "tok_visa", "description": "hostile"}
    return json.dumps(order | changed).encode()


HOSTILE: Final[Sequence[Hostile]] = (
    Hostile("nested 8,000 deep", 400, body=b"[" * 8_000 + b"]" * 8_000),
    Hostile("NaN", 400, body=b'{"amount": NaN, "currency": "USD", "source": "tok_visa"}'),
    Hostile("two amounts", 400, body=b'{"amount": 1, "amount": 2, "currency": "USD"}'),
    Hostile("amount as text", 400, body=_order(amount="100")),
    Hostile("amount 2^63", 400, body=_order(amount=2**63)),
    Hostile("amount 0", 400, body=_order(amount=0)),
    Hostile("a lone surrogate", 400, body=_order(description="\ud800")),
    Hostile("NUL", 400, body=_order(description="\x00")),
    Hostile("UTF-16", 400, body=_order().decode().encode("utf-16")),
    Hostile("an unknown field", 400, body=_order(status="SUCCESS")),
    Hostile("null", 400, body=b"null"),
    Hostile("no body", 400, body=b""),
    Hostile("another type", 415, body=_order(), headers={"Content_Type": "text/plain"}),
    Hostile("100 KB", 413, body=_order(description="x" * 100_000)),
    Hostile("a key of 256", 400, body=_order(), headers={"Idempotency_Key": "k" * 256}),
    Hostile("a wrong API key", 401, body=_order(), headers={"Authorization": "Bearer sk_test_x"}),
    Hostile("another merchant", 403, body=_order(merchantId=NOBODY)),
    Hostile("an empty batch", 400, "/payments/batch", body=b'{"payments": []}'),
    Hostile("an id of 3,900 digits", 400, "/payments/" + "1" * 3_900, method="GET"),
    Hostile("a payment of nobody", 404, f"/payments/{NOBODY}", method="GET"),
    Hostile("%00", 400, "/payments/%00", method="GET"),
    Hostile("DELETE", 405, method="DELETE"),
)
