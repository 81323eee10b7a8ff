"""The composition root: the only place that knows every adapter."""

from datetime import timedelta

from atomic_adapters.argon2_passwords import LIGHT, Argon2Passwords
from atomic_adapters.background_bell import BackgroundBell
from atomic_adapters.key_uses import BackgroundKeyUses, PlainKeyUses
from atomic_adapters.known_keys import RecentKeys
from atomic_adapters.memory import MemoryStore
from atomic_adapters.memory.outside import AlwaysUp, MemoryJobQueue, MemoryRateLimiter
from atomic_adapters.memory.presence import MemoryPresence
from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.presence import PostgresPresence
from atomic_adapters.redis_connections import Breaker, RedisDependency, request_redis
from atomic_adapters.redis_rate_limiter import RedisRateLimiter
from atomic_adapters.rq_job_queue import RqJobQueue
from atomic_adapters.sandbox_card_network import SandboxCardNetwork
from atomic_adapters.settings import Settings
from atomic_adapters.system import Sha256Hasher, SystemClock, SystemIds
from atomic_adapters.together import SharedDesk
from atomic_core.application import Application, Ports
from atomic_core.domain.payments import HOLD_FOR
from atomic_core.ports.outside import CardNetwork, Clock


def production(settings: Settings) -> Application:
    """The application on PostgreSQL and Redis. Connects at first use, so make it anywhere but
    use it only after the last fork."""
    return production_over(production_ports(settings), settings)


def production_over(ports: Ports, settings: Settings) -> Application:
    """The same over ports that may have been wrapped, as tests of faults do."""
    return Application.over(
        ports,
        settings.settle_batch,
        settings.settle_lease,
        settings.hold_for,
        settings.session_lifetime,
    )


def production_ports(settings: Settings) -> Ports:
    connections = Connections(settings)
    store = PostgresStore(connections)
    redis, breaker = request_redis(settings), Breaker()
    return Ports(
        begin=store.begin,
        presence=PostgresPresence(connections),
        desk=SharedDesk(store),
        clock=SystemClock(),
        ids=SystemIds(),
        hasher=Sha256Hasher(),
        known_keys=RecentKeys(),
        key_uses=BackgroundKeyUses(store.begin),
        passwords=Argon2Passwords(),
        queue=BackgroundBell(RqJobQueue(redis, breaker)),
        rate_limiter=RedisRateLimiter(redis, breaker),
        network=SandboxCardNetwork(),
        dependencies=[store, RedisDependency(redis)],
    )


def in_memory(
    clock: Clock | None = None,
    network: CardNetwork | None = None,
    batch_size: int = 1_000,
    lease: timedelta = timedelta(seconds=2),
    hold_for: timedelta = HOLD_FOR,
) -> Application:
    """The whole application in this process's memory: for tests of your own rules.

    Nothing settles by itself: call `application.settle_payments()`.
    """
    clock = clock or SystemClock()
    store = MemoryStore(clock)
    ports = Ports(
        begin=store.begin,
        presence=MemoryPresence(store.tables),
        desk=store,
        clock=clock,
        ids=SystemIds(),
        hasher=Sha256Hasher(),
        known_keys=RecentKeys(),
        key_uses=PlainKeyUses(store.begin),
        passwords=Argon2Passwords(LIGHT),
        queue=MemoryJobQueue(),
        rate_limiter=MemoryRateLimiter(clock),
        network=network or SandboxCardNetwork(),
        dependencies=[AlwaysUp("postgres"), AlwaysUp("redis", vital=False)],
    )
    return Application.over(ports, batch_size, lease, hold_for)
