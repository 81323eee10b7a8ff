"""The origin of the current request, for the audit log."""

from flask import request

from atomic_core.domain.origins import ActorType, Origin
from atomic_web.context import request_context
from atomic_web.http.client_address import parse_ip_address


def build_audit_origin() -> Origin:
    context = request_context()
    address = parse_ip_address(request.remote_addr or "")
    session = context.session
    return Origin(
        actor=ActorType.SESSION if session else ActorType.ANONYMOUS,
        actor_id=session.id if session else None,
        address=str(address) if address else None,
        request_id=context.request_id,
    )
