"""The texts of the OpenAPI document that apply to the whole API."""

from typing import Final

from atomic_web.http.body import MAX_NESTING, MAX_VALUES
from atomic_web.http.query import MAX_REPORTED_ERRORS

TITLE: Final = "Atomic"
LICENCE: Final = {"name": "MIT", "identifier": "MIT"}
CONTACT: Final = {"name": "The operator of this installation"}

OTHER: Final = "meta"
TAGS: Final = {
    "payments": "Charges and holds, with captures and cancellations. Requests are accepted at once "
    "(202) and settled shortly after.",
    "refunds": "Refunds of payments.",
    "disputes": "What customers dispute at their banks: contested with evidence, or accepted.",
    "events": "The stream of what happened to a merchant's payments and refunds.",
    "webhook-endpoints": "Where events are sent, signed after Standard Webhooks.",
    "deliveries": "What was sent to webhook endpoints, and sending it again.",
    "idempotency-keys": "Look-up of earlier requests by their key.",
    "accounts": "A merchant's balances, per currency.",
    "ledger": "Transactions between a merchant's own accounts, posted at once.",
    "merchants": "Registration, passwords, sessions, API keys and the audit log.",
    "networks": "What card networks send.",
    "health": "Liveness and readiness probes.",
    OTHER: "The API description.",
}

API_KEY: Final = "apiKey"
SESSION: Final = "session"
SECURITY_SCHEMES: Final = {
    API_KEY: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "sk_test_…",
        "description": "An API key of a merchant. Objects of other merchants are 404. A key "
        "without the required scope gets 403.",
    },
    SESSION: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "st_…",
        "description": "A session token from `POST /merchants/login`. API keys and session tokens "
        "are not interchangeable.",
    },
}

DESCRIPTION: Final = f"""\
A payment gateway on an idempotent double-entry ledger.

Requests and responses are JSON in UTF-8. Every response body is an envelope of `success`, `data` \
or `error`, and `meta`. A request is refused if it has unknown fields or query parameters, \
repeated members or parameters, NaN, numbers out of range, nesting deeper than {MAX_NESTING} \
levels, more than {MAX_VALUES} values, or an API key or session token outside the Authorization \
header. At most {MAX_REPORTED_ERRORS} errors are reported at once.

**URLs and methods that are not documented here** get 404 (`#/components/responses/NotFound`) and \
405 `method_not_allowed`, with `Allow`. They count against the `global` limit. Every GET can be \
sent as HEAD, for its headers only; OPTIONS lists the methods of a URL in `Allow`, and answers \
CORS preflights.

**Lists** return a page of `items`, newest first, and `nextCursor`: the `cursor` of the next page, \
with the same filters, or null on the last one. `GET /events` can also be read oldest first.

**Idempotency-Key** makes a POST safe to repeat: the same key with the same request gets the first \
response again, with `Idempotent-Replayed: true`; the same key with another request gets 422. \
Secrets (`rawKey`, `token`) are not stored: only the first response contains them, and a replay \
has `null` instead.

**Rate limits** are reported in `RateLimit-Policy` and `RateLimit`; a 429 adds `Retry-After`. \
Every request counts, including refused requests and replays; health checks, documents and \
preflights have a window of their own.

**500** is a bug. After a 503, or if no response arrives, send the same request again with the \
same Idempotency-Key.
"""
