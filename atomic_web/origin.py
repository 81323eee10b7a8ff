"""Who asks, for the audit log."""

from flask import request

from atomic_core.domain.audit_log import ActorKind, Origin
from atomic_web.addresses import read_address
from atomic_web.context import visit


def origin() -> Origin:
    """Of the request at hand."""
    at_hand = visit()
    address = read_address(request.remote_addr or "")
    session = at_hand.session
    return Origin(
        actor=ActorKind.SESSION if session else ActorKind.ANONYMOUS,
        actor_id=session.id if session else None,
        address=str(address) if address else None,
        request_id=at_hand.request_id,
    )
