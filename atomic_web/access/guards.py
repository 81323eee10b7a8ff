"""What runs before every view: authentication, then rate limiting."""

import structlog
from flask import request

from atomic_adapters.bulkhead import CURRENT_MERCHANT
from atomic_core.domain.errors import AtomicError
from atomic_web.access.authentication import PREFLIGHT, authenticate, get_current_policy
from atomic_web.access.rate_limiting import count_request
from atomic_web.context import request_context


def authenticate_and_rate_limit() -> None:
    """Authenticate, count the request against all its limits in one round trip, then refuse it if
    either fails.

    Authentication comes first because some limits are per merchant. A request that fails
    authentication is counted as well, so guessing keys runs into the global limit.
    """
    if request.method == "OPTIONS":
        count_request(PREFLIGHT)
        return  # Flask answers it
    policy = get_current_policy()
    authentication_error: AtomicError | None = None
    if not policy.is_public:
        try:
            authenticate(policy)
        except AtomicError as error:
            authentication_error = error
    context = request_context()
    if context.caller or context.session:
        structlog.contextvars.bind_contextvars(merchant_id=str(context.merchant_id))
        # From here on the request uses the merchant's share of the database connections.
        CURRENT_MERCHANT.set(context.merchant_id)
    if not policy.is_counted_by_view:
        count_request(policy)
    if authentication_error:
        raise authentication_error
