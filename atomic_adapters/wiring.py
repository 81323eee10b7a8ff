"""The composition root: the only module that imports every adapter."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from atomic_adapters.bulkhead import POOL_SHARE, MerchantBulkhead
from atomic_adapters.event_reader import BatchedEventReader
from atomic_adapters.event_signal import PollingEventSignal
from atomic_adapters.micro_batching import BatchedPaymentStore, MerchantMicroBatcher
from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_adapters.networks.sandbox_disputes import SandboxDisputes
from atomic_adapters.networks.sandbox_tokens import find_meant_token
from atomic_adapters.networks.time_limit import TimeLimitedCardNetwork
from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.pooler_check import check_pooler, check_sessions
from atomic_adapters.postgres.primary_fence import PrimaryFence
from atomic_adapters.postgres.replication import (
    CommitsDependency,
    SynchronousReplicationDependency,
)
from atomic_adapters.postgres.role_check import check_database_role
from atomic_adapters.postgres.worker_liveness import PostgresWorkerLiveness
from atomic_adapters.redis.background_notifier import BackgroundNotifier
from atomic_adapters.redis.breaker_states import NetworkDependency, RedisBreakerStates
from atomic_adapters.redis.connections import CircuitBreaker, RedisDependency, create_request_client
from atomic_adapters.redis.process_reports import RedisProcessReports
from atomic_adapters.redis.rate_limiter import RedisRateLimiter
from atomic_adapters.redis.rq_job_queue import RqJobQueue
from atomic_adapters.redis.wal_timelines import RedisWalTimelines
from atomic_adapters.security.api_key_cache import LruApiKeyCache
from atomic_adapters.security.api_key_usage import BackgroundApiKeyUsage, DirectApiKeyUsage
from atomic_adapters.security.argon2_password_hasher import MINIMAL_PARAMETERS, Argon2PasswordHasher
from atomic_adapters.security.common_passwords import CommonPasswords
from atomic_adapters.settings import Settings
from atomic_adapters.system import (
    SettlementOff,
    Sha256Hasher,
    SystemClock,
    SystemIdGenerator,
)
from atomic_adapters.webhooks.deferred_sender import DeferredWebhookSender
from atomic_adapters.webhooks.secret_cipher import FernetSecretCipher
from atomic_core.application import Application, LaneOptions, Options, Ports
from atomic_core.domain.card_networks import DEFAULT_NETWORK
from atomic_core.domain.diagnosis import DatabaseFacts, RedisFacts
from atomic_core.domain.payments import DEFAULT_ACTION_PERIOD, DEFAULT_HOLD_PERIOD
from atomic_core.domain.process_load import ProcessLoad
from atomic_core.domain.settlement import DEFAULT_NETWORK_PATIENCE
from atomic_core.domain.webhook_urls import EVERY_NETWORK
from atomic_core.ports.card_network import CardNetwork
from atomic_core.ports.clock import Clock
from atomic_core.ports.dispute_network import DisputeNetwork
from atomic_core.ports.network_event_verifier import NetworkEventVerifier
from atomic_core.ports.network_statement import NetworkStatement
from atomic_core.ports.webhook_sender import WebhookSender

if TYPE_CHECKING:
    from atomic_adapters.webhooks.http_sender import HttpWebhookSender

__all__ = [
    "build_application",
    "build_application_on",
    "build_forwarding_sender",
    "build_ports",
    "build_secret_cipher",
    "build_webhook_sender",
    "check_database_role",
    "check_pooler",
    "check_sessions",
    "in_memory",
    "read_server_facts",
]

STRIPE: Final = "stripe"
"""The name of the card network, in settings and in the database."""

IN_MEMORY_CONNECTIONS: Final = 10
"""Of an application in memory: few, so that tests reach the bound of requests that wait for
events."""


def build_application(settings: Settings) -> Application:
    """The application on PostgreSQL and Redis. Connects at first use: build it anywhere, but use it
    only after the last fork."""
    return build_application_on(build_ports(settings), settings)


def build_application_on(ports: Ports, settings: Settings) -> Application:
    """The same on ports that the caller may have wrapped, as fault tests do."""
    return Application(
        ports,
        Options(
            batch_size=settings.settle_batch,
            lease=settings.settle_lease,
            hold_period=settings.hold_period,
            network_timeout=settings.network_timeout,
            network_patience=settings.network_patience,
            in_doubt_alarm=settings.in_doubt_alarm,
            action_period=settings.action_period,
            session_lifetime=settings.session_lifetime,
            webhook_networks=settings.webhooks.allowed_networks,
            webhook_timeout=settings.webhooks.timeout,
            webhook_concurrency=settings.webhooks.concurrency,
            event_retention=settings.event_retention,
            webhook_retention=settings.webhooks.retention,
            default_network=settings.networks.card_network,
            lanes={STRIPE: _build_stripe_lane(settings)},
            find_meant_source=_select_token_check(settings),
        ),
    )


def build_ports(settings: Settings) -> Ports:
    redis, breaker = create_request_client(settings), CircuitBreaker()
    connections = Connections(settings, PrimaryFence(RedisWalTimelines(redis, breaker)))
    store = PostgresStore(connections)
    breaker_states = RedisBreakerStates(redis, breaker)
    remote_networks = [STRIPE] if settings.networks.has_stripe else []
    job_queue = RqJobQueue(redis, breaker)
    return Ports(
        begin=MerchantBulkhead(store.begin, max(1, settings.database_pool // POOL_SHARE)),
        worker_liveness=PostgresWorkerLiveness(connections),
        delivery_liveness=PostgresWorkerLiveness(connections),
        payment_store=BatchedPaymentStore(store),
        event_reader=BatchedEventReader(store.begin),
        event_signal=PollingEventSignal(store.begin, settings.web_connections),
        clock=SystemClock(),
        ids=SystemIdGenerator(),
        key_hasher=Sha256Hasher(),
        api_key_cache=LruApiKeyCache(),
        api_key_usage=BackgroundApiKeyUsage(store.begin),
        password_hasher=Argon2PasswordHasher(),
        password_blocklist=CommonPasswords(),
        job_queue=BackgroundNotifier(job_queue),
        rate_limiter=RedisRateLimiter(redis, breaker),
        card_networks=build_card_networks(settings),
        statements=build_statements(settings),
        batch_calls=MerchantMicroBatcher,
        dispute_networks=build_dispute_networks(settings),
        webhook_sender=DeferredWebhookSender(partial(build_webhook_sender, settings)),
        secret_cipher=build_secret_cipher(settings),
        breaker_states=breaker_states,
        network_event_verifiers=_build_event_verifiers(settings),
        schema_version=store,
        read_load=lambda: ProcessLoad(connections.read_load(), job_queue.lost_wakeups),
        process_reports=RedisProcessReports(redis, breaker),
        dependencies=[
            store,
            CommitsDependency(connections),
            *(
                [SynchronousReplicationDependency(connections)]
                if settings.requires_synchronous_replication
                else []
            ),
            RedisDependency(redis),
            *([] if settings.settles else [SettlementOff()]),
            *(NetworkDependency(breaker_states, name) for name in remote_networks),
        ],
    )


def build_card_networks(settings: Settings) -> Mapping[str, CardNetwork]:
    """The card networks that the deployment has settings of, by name."""
    networks: dict[str, CardNetwork] = {}
    if settings.has_sandbox:
        networks[DEFAULT_NETWORK] = TimeLimitedCardNetwork(
            SandboxCardNetwork(), settings.network_timeout
        )
    if settings.networks.has_stripe:
        # Imported here: Stripe's client takes a third of a second, and the sandbox does without it.
        from atomic_adapters.networks.stripe import StripeCardNetwork

        stripe = settings.networks.stripe
        networks[STRIPE] = TimeLimitedCardNetwork(
            StripeCardNetwork(stripe, stripe.timeout), stripe.timeout
        )
    return networks


def _build_event_verifiers(settings: Settings) -> Mapping[str, NetworkEventVerifier]:
    if not settings.networks.has_stripe_events:
        return {}
    from atomic_adapters.networks.stripe.events import StripeEventVerifier

    return {STRIPE: StripeEventVerifier(settings.networks.stripe.webhook_secret)}


def build_statements(settings: Settings) -> Mapping[str, NetworkStatement]:
    """The statements of the card networks that have one, by name."""
    if not settings.networks.has_stripe:
        return {}
    from atomic_adapters.networks.stripe.statement import StripeStatement

    return {STRIPE: StripeStatement(settings.networks.stripe)}


def build_dispute_networks(settings: Settings) -> Mapping[str, DisputeNetwork]:
    """The disputes of the card networks that the deployment has settings of, by name."""
    networks: dict[str, DisputeNetwork] = {}
    if settings.has_sandbox:
        networks[DEFAULT_NETWORK] = SandboxDisputes()
    if settings.networks.has_stripe:
        from atomic_adapters.networks.stripe.disputes import StripeDisputes

        networks[STRIPE] = StripeDisputes(settings.networks.stripe)
    return networks


def _select_token_check(settings: Settings) -> Callable[[str], str | None]:
    """Other card networks than the sandbox have tokens of their own."""
    if settings.networks.card_network == DEFAULT_NETWORK:
        return find_meant_token
    return lambda _: None


def _build_stripe_lane(settings: Settings) -> LaneOptions:
    stripe = settings.networks.stripe
    return LaneOptions(
        is_remote=True,
        batch_size=stripe.batch_size,
        lease=stripe.lease,
        network_timeout=stripe.timeout,
    )


ServerFacts = tuple[DatabaseFacts | str, RedisFacts | str]
"""Of each server, or why it has none."""


def read_server_facts(settings: Settings) -> ServerFacts:
    """For operators: what the servers are like, and who has reported itself there."""
    # Imported here: no process that serves or settles needs them.
    from atomic_adapters.postgres.server_facts import read_database_facts
    from atomic_adapters.redis.server_facts import read_redis_facts

    return read_database_facts(settings), read_redis_facts(settings)


def build_webhook_sender(settings: Settings) -> "HttpWebhookSender":
    # Imported by processes that send webhooks.
    from atomic_adapters.webhooks.http_sender import HttpWebhookSender

    webhooks = settings.webhooks
    return HttpWebhookSender(webhooks.allowed_networks, webhooks.timeout, webhooks.proxy or None)


def build_forwarding_sender() -> "HttpWebhookSender":
    """For a developer's own receiver: it may have any address."""
    from atomic_adapters.webhooks.http_sender import HttpWebhookSender

    return HttpWebhookSender(EVERY_NETWORK)


def build_secret_cipher(settings: Settings) -> FernetSecretCipher:
    return FernetSecretCipher(settings.webhooks.encryption_keys)


def in_memory(
    clock: Clock | None = None,
    card_network: CardNetwork | None = None,
    batch_size: int = 1_000,
    lease: timedelta = timedelta(seconds=2),
    hold_period: timedelta = DEFAULT_HOLD_PERIOD,
    network_patience: timedelta = DEFAULT_NETWORK_PATIENCE,
    webhook_sender: WebhookSender | None = None,
    network_event_verifiers: Mapping[str, NetworkEventVerifier] | None = None,
    statement: NetworkStatement | None = None,
    action_period: timedelta = DEFAULT_ACTION_PERIOD,
    dispute_network: DisputeNetwork | None = None,
) -> Application:
    """The whole application in this process's memory, for tests.

    Nothing happens in the background: call `application.settlement.settle()` and
    `application.webhooks.deliver()`. By default webhooks are remembered and not sent.
    """
    # Imported here: no process of a real system needs them, and each would start later.
    from atomic_adapters.memory import MemoryStore
    from atomic_adapters.memory.services import (
        AlwaysUpDependency,
        CurrentSchema,
        MemoryBreakerStates,
        MemoryJobQueue,
        MemoryRateLimiter,
        MemorySecretCipher,
        MemoryWebhookSender,
    )
    from atomic_adapters.memory.worker_liveness import MemoryWorkerLiveness

    clock = clock or SystemClock()
    store = MemoryStore(clock)
    ports = Ports(
        begin=store.begin,
        worker_liveness=MemoryWorkerLiveness(store.tables),
        delivery_liveness=MemoryWorkerLiveness(store.tables),
        payment_store=store,
        event_reader=BatchedEventReader(store.begin),
        event_signal=PollingEventSignal(store.begin, IN_MEMORY_CONNECTIONS),
        clock=clock,
        ids=SystemIdGenerator(),
        key_hasher=Sha256Hasher(),
        api_key_cache=LruApiKeyCache(),
        api_key_usage=DirectApiKeyUsage(store.begin),
        password_hasher=Argon2PasswordHasher(MINIMAL_PARAMETERS),
        password_blocklist=CommonPasswords(),
        job_queue=MemoryJobQueue(),
        rate_limiter=MemoryRateLimiter(clock),
        card_networks={DEFAULT_NETWORK: card_network or SandboxCardNetwork()},
        webhook_sender=webhook_sender or MemoryWebhookSender(),
        secret_cipher=MemorySecretCipher(),
        breaker_states=MemoryBreakerStates(),
        network_event_verifiers=network_event_verifiers or {},
        statements={DEFAULT_NETWORK: statement} if statement else {},
        dispute_networks={DEFAULT_NETWORK: dispute_network or SandboxDisputes()},
        schema_version=CurrentSchema(),
        dependencies=[
            AlwaysUpDependency("postgres"),
            AlwaysUpDependency("redis", is_required=False),
        ],
    )
    options = Options(
        batch_size,
        lease,
        hold_period,
        network_patience=network_patience,
        action_period=action_period,
        find_meant_source=find_meant_token,
    )
    return Application(ports, options)
