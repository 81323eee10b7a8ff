"""What holds for the whole API, told to people."""

from typing import Final

from atomic_web.http.body import MAX_NESTING, MAX_VALUES
from atomic_web.schemas.fields import MAX_FAULTS

TITLE: Final = "Atomic"
LICENCE: Final = {"name": "MIT", "identifier": "MIT"}

OTHER: Final = "meta"
TAGS: Final = {
    "payments": "Charges and holds: taken at once (202), settled soon after; so are captures, "
    "cancellations and refunds of them.",
    "refunds": "Money given back.",
    "idempotency-keys": "What became of a request.",
    "accounts": "What a merchant is owed, per currency.",
    "merchants": "Merchants themselves: their passwords, sessions and API keys.",
    "health": "For people, supervisors and load balancers.",
    OTHER: "About this API itself.",
}

API_KEY: Final = "apiKey"
SESSION: Final = "session"
SECURITY_SCHEMES: Final = {
    API_KEY: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "sk_test_…",
        "description": "An API key. It belongs to one merchant; what belongs to others is 404. It "
        "must have the scope that is named, or the answer is 403.",
    },
    SESSION: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "st_…",
        "description": "The token of a session, from `POST /merchants/login`. An API key will not "
        "do, nor this where an API key is asked for.",
    },
}

DESCRIPTION: Final = f"""\
A payment gateway on an idempotent double-entry ledger.

JSON in, JSON out, UTF-8 only. Every answer with a body is an envelope: `success`, `data` or \
`error`, and `meta`. Unknown fields are refused, and query parameters that are not named \
here; so are repeated members and parameters, NaN, numbers out of range, nesting deeper than \
{MAX_NESTING}, more than {MAX_VALUES} values, and API keys and session tokens anywhere but in the \
Authorization header. At most {MAX_FAULTS} faults are told at once.

**Addresses and methods that are not named here** answer 404 (`#/components/responses/NotFound`) \
and 405 (`#/components/responses/MethodNotAllowed`, with `Allow`). They count against the `global` \
limit like all others.

**Idempotency-Key** makes a POST safe to repeat: the same key with the same request gets the first \
answer again, with `Idempotent-Replayed: true`; with another request it is 422. Secrets (`rawKey`, \
`token`) are told once, by the first answer: nobody keeps them, so a repeat has `null` in their \
place.

**Limits** are told in `RateLimit-Policy` and `RateLimit`; a 429 adds `Retry-After`. Every request \
counts, refused ones and replays too. Health probes and preflights do not.

**500** is a bug. After a 503 or a lost answer, send the same request with the same Idempotency-Key.
"""
