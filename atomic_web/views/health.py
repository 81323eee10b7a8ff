"""Is it there, is it alive, can it work? For people, supervisors and load balancers."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from flask import Blueprint, Response

from atomic_web.access.authentication import public
from atomic_web.context import app_context
from atomic_web.errors import NotReady
from atomic_web.http.responses import ok
from atomic_web.openapi.error_responses import NOT_READY
from atomic_web.openapi.operation import Operation, Success, documented
from atomic_web.schemas.health import HealthySchema, LiveSchema, ReadySchema

views = Blueprint("health", __name__, url_prefix="/health")

_healthy: Final = HealthySchema()
_live: Final = LiveSchema()
_ready: Final = ReadySchema()


class _State(NamedTuple):
    status: str
    checks: Mapping[str, str] | None = None


HEALTHY: Final = Operation(
    id="getHealth",
    summary="Is it there?",
    answers=(
        Success(
            status=200,
            description="It is.",
            data=_healthy,
            examples={"healthy": _State("healthy")},
        ),
    ),
)
LIVE: Final = Operation(
    id="getLiveness",
    summary="Does this process answer? A restart is the cure when not",
    answers=(
        Success(status=200, description="It does.", data=_live, examples={"live": _State("live")}),
    ),
)
READY: Final = Operation(
    id="getReadiness",
    summary="Should requests be sent here?",
    answers=(
        Success(
            status=200,
            description="They may; `degraded` if something is down that this can do without.",
            data=_ready,
            examples={
                "ready": _State("ready", {"postgres": "up", "redis": "up"}),
                "degraded": _State("degraded", {"postgres": "up", "redis": "down"}),
            },
        ),
    ),
    refusals=(NOT_READY,),
)


@views.get("")
@documented(HEALTHY)
@public()
def healthy() -> Response:
    return ok(_healthy.dump(_State("healthy")))


# Supervisors ask often and all from one address: limits would make them see failures.
@views.get("/live")
@documented(LIVE)
@public(limited=False)
def live() -> Response:
    """This process answers. Depends on nothing, so a restart is the cure when it fails."""
    return ok(_live.dump(_State("live")))


@views.get("/ready")
@documented(READY)
@public(limited=False)
def ready() -> Response:
    """Whether requests should be sent here. Raises NotReady, naming what is down."""
    health = app_context().application.maintenance.check_health()
    if not health.ready:
        raise NotReady(details={name: ["down"] for name, up in health.checks.items() if not up})
    checks = {name: "up" if up else "down" for name, up in health.checks.items()}
    return ok(_ready.dump(_State("degraded" if health.degraded else "ready", checks)))
