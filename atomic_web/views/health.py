"""Is it there, is it alive, can it work? For people, supervisors and load balancers."""

from flask import Blueprint, Response

from atomic_web.auth import public
from atomic_web.context import door
from atomic_web.errors import NotReady
from atomic_web.responses import ok

views = Blueprint("health", __name__, url_prefix="/health")


@views.get("")
@public()
def healthy() -> Response:
    return ok({"status": "healthy"})


# Supervisors ask often and all from one address: limits would make them see failures.
@views.get("/live")
@public(limited=False)
def live() -> Response:
    """This process answers. Depends on nothing, so a restart is the cure when it fails."""
    return ok({"status": "live"})


@views.get("/ready")
@public(limited=False)
def ready() -> Response:
    """Whether requests should be sent here. Raises NotReady, naming what is down."""
    health = door().application.check_health()
    if not health.ready:
        raise NotReady(details={name: ["down"] for name, up in health.checks.items() if not up})
    checks = {name: "up" if up else "down" for name, up in health.checks.items()}
    return ok({"status": "degraded" if health.degraded else "ready", "checks": checks})
