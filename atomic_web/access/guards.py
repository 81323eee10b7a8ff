"""Before any view: who is it, and have they asked too often?"""

import structlog
from flask import request

from atomic_core.domain.errors import AtomicError
from atomic_web.access.authentication import access_of_request, authenticate
from atomic_web.access.rate_limiting import count_request
from atomic_web.context import request_context


def authenticate_and_rate_limit() -> None:
    """Authenticate, then count against all limits in one round trip, then refuse if need be.

    Authentication comes first because some limits are the merchant's. A request it refuses is
    counted all the same, so that guessing keys runs into the global limit.
    """
    if request.method == "OPTIONS":
        return  # a browser's preflight: it carries no key, and Flask answers it by itself
    access = access_of_request()
    refusal: AtomicError | None = None
    if access.authenticated:
        try:
            authenticate(access)
        except AtomicError as error:
            refusal = error
    context = request_context()
    if context.caller or context.session:
        structlog.contextvars.bind_contextvars(merchant_id=str(context.merchant_id))
    if not access.counts:
        count_request(access)
    if refusal:
        raise refusal
