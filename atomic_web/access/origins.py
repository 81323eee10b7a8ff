"""The origin of the current request: its actor, its client and its ids."""

from flask import request

from atomic_core.domain.origins import ActorType, Origin
from atomic_web.context import request_context
from atomic_web.http.client_address import normalize_ip_address


def build_origin() -> Origin:
    """Of the authenticated API key or session; anonymous without one."""
    context = request_context()
    if context.caller:
        actor, actor_id = ActorType.KEY, context.caller.key_id
    elif context.session:
        actor, actor_id = ActorType.SESSION, context.session.id
    else:
        actor, actor_id = ActorType.ANONYMOUS, None
    return Origin(
        actor=actor,
        actor_id=actor_id,
        address=normalize_ip_address(request.remote_addr or ""),
        request_id=context.request_id,
        server_request_id=context.server_request_id,
    )
