"""GET /health, /health/live and /health/ready, for supervisors and load balancers."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from flask import Blueprint, Response, request

from atomic_core.use_cases.maintenance import Health
from atomic_web.access.authentication import public
from atomic_web.access.rate_limiting import SERVICE_LIMIT
from atomic_web.context import request_context
from atomic_web.errors import NotReady
from atomic_web.http.responses import ok_response
from atomic_web.http.server_environ import is_stopping
from atomic_web.openapi.error_responses import NOT_READY
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.schemas.health import HealthSchema, LivenessSchema, ReadinessSchema

views = Blueprint("health", __name__, url_prefix="/health")

_health_schema: Final = HealthSchema()
_liveness_schema: Final = LivenessSchema()
_readiness_schema: Final = ReadinessSchema()


class _Backlog(NamedTuple):
    due: int
    oldest_age_seconds: int


class _Health(NamedTuple):
    status: str
    checks: Mapping[str, str] | None = None
    backlog: _Backlog | None = None


HEALTHY: Final = Operation(
    id="getHealth",
    summary="Check that the API answers",
    description="For people and simple monitors. Checks no dependency.",
    responses=(
        Success(
            status=200,
            description="The API answers.",
            data=_health_schema,
            examples={"healthy": _Health("healthy")},
        ),
    ),
)
LIVE: Final = Operation(
    id="getLiveness",
    summary="Liveness probe: restart the process if it fails",
    description="Checks no dependency, because a restart would not repair one.",
    responses=(
        Success(
            status=200,
            description="The process answers.",
            data=_liveness_schema,
            examples={"live": _Health("live")},
        ),
    ),
)
READY: Final = Operation(
    id="getReadiness",
    summary="Readiness probe: send no requests if it fails",
    description="Checks PostgreSQL, its schema, Redis, and by name each configured card network"
    " outside of the process, which is down while its circuit breaker is open. `backlog` is"
    " what no worker or sweeper settles.",
    responses=(
        Success(
            status=200,
            description="Ready to serve; `degraded` if an optional dependency is down, or payments"
            " and refunds wait for a worker.",
            data=_readiness_schema,
            examples={
                "ready": _Health("ready", {"postgres": "up", "redis": "up"}),
                "degraded": _Health("degraded", {"postgres": "up", "redis": "down"}),
                "networkDown": _Health(
                    "degraded", {"postgres": "up", "redis": "up", "stripe": "down"}
                ),
                "paymentsWait": _Health(
                    "degraded", {"postgres": "up", "redis": "up"}, _Backlog(5, 42)
                ),
            },
        ),
    ),
    error_responses=(NOT_READY,),
)


@views.get("")
@describe_operation(HEALTHY)
@public(has_global_limit=False, rate_limit=SERVICE_LIMIT)
def healthy() -> Response:
    return ok_response(_health_schema.dump(_Health("healthy")))


# A limit of their own: supervisors probe often and from one address.
@views.get("/live")
@describe_operation(LIVE)
@public(has_global_limit=False, rate_limit=SERVICE_LIMIT)
def live() -> Response:
    """Checks no dependency, because a restart would not repair one."""
    return ok_response(_liveness_schema.dump(_Health("live")))


@views.get("/ready")
@describe_operation(READY)
@public(has_global_limit=False, rate_limit=SERVICE_LIMIT)
def ready() -> Response:
    """Raises NotReady, with the dependencies that are down and the migrations that are pending, or
    because the process is stopping."""
    if is_stopping(request.environ):
        raise NotReady(details={"api": ["stopping"]})
    health = request_context().application.maintenance.check_health()
    if not health.is_ready:
        raise NotReady(details=_describe_problems(health))
    checks = {name: "up" if is_up else "down" for name, is_up in health.checks.items()}
    status = "degraded" if health.is_degraded else "ready"
    return ok_response(_readiness_schema.dump(_Health(status, checks, _build_backlog(health))))


def _describe_problems(health: Health) -> Mapping[str, Sequence[str]]:
    problems = {name: ["down"] for name, is_up in health.checks.items() if not is_up}
    pending = [f"{id} is pending." for id in health.pending_migrations]
    if pending:
        problems["migrations"] = [*pending, "Run: atomic migrate up"]
    return problems


def _build_backlog(health: Health) -> _Backlog | None:
    """Only of one that is stalled: how much is due at present is not public."""
    due, oldest_age = health.backlog
    return _Backlog(due, int(oldest_age.total_seconds())) if health.backlog.is_stalled else None
