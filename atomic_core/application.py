"""The application: every use case, grouped by aggregate and built from one set of ports.

To add a use case, add one line to the class of its aggregate.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from atomic_core.domain.audit_log import AuditEventType
from atomic_core.domain.card_networks import DEFAULT_NETWORK
from atomic_core.domain.payments import DEFAULT_ACTION_PERIOD, DEFAULT_HOLD_PERIOD
from atomic_core.domain.process_load import NO_LOAD, ProcessLoad
from atomic_core.domain.settlement import DEFAULT_NETWORK_PATIENCE
from atomic_core.domain.webhook_urls import Network
from atomic_core.ports.api_key_cache import ApiKeyCache
from atomic_core.ports.api_key_usage import ApiKeyUsage
from atomic_core.ports.breaker_states import BreakerStates
from atomic_core.ports.call_batching import BatchCalls, execute_singly
from atomic_core.ports.card_network import CardNetwork
from atomic_core.ports.clock import Clock
from atomic_core.ports.dependency import Dependency
from atomic_core.ports.dispute_network import DisputeNetwork
from atomic_core.ports.event_reader import EventReader
from atomic_core.ports.event_signal import EventSignal
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.job_queue import JobQueue
from atomic_core.ports.key_hasher import KeyHasher
from atomic_core.ports.network_event_verifier import NetworkEventVerifier
from atomic_core.ports.network_statement import NetworkStatement
from atomic_core.ports.password_blocklist import PasswordBlocklist
from atomic_core.ports.password_hasher import PasswordHasher
from atomic_core.ports.payment_store import PaymentStore
from atomic_core.ports.process_reports import NoProcessReports, ProcessReports
from atomic_core.ports.rate_limiter import RateLimiter
from atomic_core.ports.schema_version import SchemaVersion
from atomic_core.ports.secret_cipher import SecretCipher
from atomic_core.ports.unit_of_work import UnitOfWorkFactory
from atomic_core.ports.webhook_sender import WebhookSender
from atomic_core.ports.worker_liveness import WorkerLiveness
from atomic_core.use_cases import (
    accounts,
    admin_queries,
    api_keys,
    awaiting,
    backlog,
    balances,
    dashboard,
    deliver_webhooks,
    dispute_processing,
    disputes,
    event_retention,
    events,
    exchanges,
    explanations,
    fees,
    holds,
    idempotency,
    in_doubt,
    journal,
    journal_batches,
    journal_micro_batches,
    ledger,
    lists,
    maintenance,
    merchants,
    network_events,
    open_work,
    operator_commands,
    passwords,
    payment_batches,
    payments,
    pending_transactions,
    periods,
    reconciliation,
    refunds,
    registration,
    sessions,
    settlement,
    settlement_lanes,
    timeline,
    webhook_deliveries,
    webhook_endpoints,
)
from atomic_core.use_cases.network_breaker import NetworkBreaker

SESSION_LIFETIME: Final = timedelta(hours=12)
"""So that a user logs in once per working day."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that the use cases depend on. The composition root provides them."""

    begin: UnitOfWorkFactory
    worker_liveness: WorkerLiveness
    """Of settlement."""
    delivery_liveness: WorkerLiveness
    """Of the delivery of webhooks, which a sweeper does beside settlement."""
    payment_store: PaymentStore
    event_reader: EventReader
    event_signal: EventSignal
    clock: Clock
    ids: IdGenerator
    key_hasher: KeyHasher
    api_key_cache: ApiKeyCache
    api_key_usage: ApiKeyUsage
    password_hasher: PasswordHasher
    password_blocklist: PasswordBlocklist
    job_queue: JobQueue
    rate_limiter: RateLimiter
    card_networks: Mapping[str, CardNetwork]
    """By name. Payments of other networks wait."""
    webhook_sender: WebhookSender
    secret_cipher: SecretCipher
    breaker_states: BreakerStates
    network_event_verifiers: Mapping[str, NetworkEventVerifier]
    """By the name of each card network that sends events here."""
    dependencies: Sequence[Dependency]
    schema_version: SchemaVersion
    statements: Mapping[str, NetworkStatement] = field(default_factory=dict)
    """Of card networks, by name."""
    batch_calls: BatchCalls = execute_singly
    dispute_networks: Mapping[str, DisputeNetwork] = field(default_factory=dict)
    """By the name of each card network that has disputes."""
    read_load: Callable[[], ProcessLoad] = lambda: NO_LOAD
    """Of this process. Does not wait, and never raises."""
    process_reports: ProcessReports = field(default_factory=NoProcessReports)


@dataclass(frozen=True, slots=True)
class LaneOptions:
    """How the payments of one card network are settled; None: as those of others."""

    is_remote: bool = False
    """Whether the network is outside of this process: it can hang, so it has a circuit breaker."""
    batch_size: int | None = None
    lease: timedelta | None = None
    network_timeout: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of the use cases."""

    batch_size: int = 1_000
    """The most payments and refunds that one settlement transaction claims."""
    lease: timedelta = timedelta(seconds=2)
    """How long a frozen worker keeps its claims."""
    hold_period: timedelta = DEFAULT_HOLD_PERIOD
    """How long an authorized payment waits for its capture before it expires."""
    network_timeout: timedelta = timedelta(seconds=10)
    """The time-out of one call of the card network."""
    network_patience: timedelta = DEFAULT_NETWORK_PATIENCE
    """How long a request that cannot be sent to the card network is retried."""
    action_period: timedelta = DEFAULT_ACTION_PERIOD
    """How long a payment waits for its customer before it is canceled."""
    in_doubt_alarm: timedelta = in_doubt.DEFAULT_IN_DOUBT_ALARM
    """How long a payment or refund is in doubt before its merchant is notified."""
    session_lifetime: timedelta = SESSION_LIFETIME
    webhook_networks: Sequence[Network] = ()
    """Networks that are not public, and yet webhooks may be sent there."""
    webhook_timeout: timedelta = timedelta(seconds=10)
    """The longest that sending one webhook takes, with its answer."""
    webhook_concurrency: int = 64
    """Webhooks that one process sends at once."""
    event_retention: timedelta = event_retention.DEFAULT_RETENTION
    """How long events are kept: 30 days at least."""
    find_meant_source: Callable[[str], str | None] = lambda _: None
    """The test token of the card network that a source is a mistyped form of."""
    webhook_retention: timedelta = webhook_deliveries.DEFAULT_RETENTION
    """How long deliveries that have ended are kept."""
    default_network: str = DEFAULT_NETWORK
    """The card network of merchants that have none of their own."""
    lanes: Mapping[str, LaneOptions] = field(default_factory=dict)
    """By card network."""


class Payments:
    def __init__(self, ports: Ports, options: Options) -> None:
        self.find_meant_source = options.find_meant_source
        begin, job_queue = ports.begin, ports.job_queue
        require_active_api_key = merchants.RequireActiveApiKey(begin)
        self.record = payments.RecordPayment(begin, ports.ids, job_queue, options.default_network)
        self.create = payments.CreatePayment(
            ports.payment_store,
            self.record,
            idempotency.PerformOnce(begin),
            require_active_api_key,
        )
        self.create_batch = payment_batches.CreatePaymentBatch(begin, self.record)
        self.get = payments.GetPayment(ports.payment_store, require_active_api_key)
        self.wait = awaiting.AwaitPayment(self.get, ports.event_signal)
        self.list = lists.ListPayments(begin)
        self.expand = lists.ExpandPayment(begin)
        self.get_timeline = timeline.GetTimeline(begin)
        self.capture = holds.CapturePayment(begin, job_queue)
        self.cancel = holds.CancelPayment(begin, job_queue)


class Refunds:
    def __init__(self, ports: Ports) -> None:
        self.create = refunds.CreateRefund(ports.begin, ports.ids, ports.job_queue)
        self.get = refunds.GetRefund(ports.begin)
        self.wait = awaiting.AwaitRefund(self.get, ports.event_signal)
        self.list = lists.ListRefunds(ports.begin)
        self.list_by_payment = lists.ListPaymentRefunds(ports.begin)


class Disputes:
    def __init__(self, ports: Ports) -> None:
        begin = ports.begin
        self.networks = tuple(ports.dispute_networks)
        """That have disputes."""
        self.process = dispute_processing.ProcessDisputes(begin, ports.ids, ports.dispute_networks)
        self.get = disputes.GetDispute(begin)
        self.list = disputes.ListDisputes(begin)
        self.submit_evidence = disputes.SubmitEvidence(begin)
        self.accept = disputes.AcceptDispute(begin)
        self.count_open = disputes.CountOpenDisputes(begin)


class Events:
    def __init__(self, ports: Ports) -> None:
        self.list = events.ListEvents(ports.event_reader, ports.event_signal)
        self.get = events.GetEvent(ports.begin)
        self.get_last_sequences = events.GetLastSequences(ports.begin)
        self.tail = events.TailStream(ports.event_reader)
        self.count = events.CountEvents(ports.begin)


class Settlement:
    def __init__(self, ports: Ports, options: Options) -> None:
        self.lanes = {name: _build_lane(name, ports, options) for name in ports.card_networks}
        self.settle = self.lanes.get(options.default_network) or next(iter(self.lanes.values()))
        """Of the deployment's card network."""
        self.list_unserved_networks = settlement_lanes.ListUnservedNetworks(
            ports.begin, tuple(self.lanes)
        )
        self.measure_networks = settlement_lanes.MeasureNetworks(
            ports.begin, ports.breaker_states, tuple(self.lanes)
        )
        self.expire_holds = holds.ExpireHolds(ports.begin, ports.job_queue)
        self.report_doubts = in_doubt.ReportDoubts(ports.begin, options.in_doubt_alarm)


def _build_lane(name: str, ports: Ports, options: Options) -> settlement.SettlePayments:
    lane = options.lanes.get(name, LaneOptions())
    return settlement.SettlePayments(
        ports.begin,
        ports.worker_liveness,
        ports.card_networks[name],
        ports.ids,
        lane.batch_size or options.batch_size,
        lane.lease or options.lease,
        options.hold_period,
        lane.network_timeout or options.network_timeout,
        options.network_patience,
        options.action_period,
        name,
        NetworkBreaker() if lane.is_remote else None,
        ports.breaker_states,
    )


class NetworkEvents:
    def __init__(self, ports: Ports) -> None:
        verifiers = ports.network_event_verifiers
        self.receive = network_events.ReceiveNetworkEvent(ports.begin, verifiers, ports.job_queue)
        self.act = network_events.ActOnNetworkEvents(ports.begin, tuple(verifiers))
        self.purge = network_events.PurgeNetworkEvents(ports.begin)


class Accounts:
    def __init__(self, ports: Ports) -> None:
        self.open = ledger.OpenAccount(ports.begin, ports.ids)
        self.open_system_accounts = ledger.OpenSystemAccounts(ports.begin)
        self.change = accounts.ChangeAccount(ports.begin, ports.ids)
        self.get_subtree_balances = accounts.GetSubtreeBalances(ports.begin)
        self.get = ledger.GetAccount(ports.begin)
        self.list = lists.ListAccounts(ports.begin)
        self.list_entries = lists.ListEntries(ports.begin)


class Ledger:
    def __init__(self, ports: Ports) -> None:
        self.verify = ledger.VerifyLedger(ports.begin)


class Balances:
    def __init__(self, ports: Ports) -> None:
        self.get = balances.GetBalance(ports.begin)
        self.get_history = balances.GetBalanceHistory(ports.begin)
        self.get_trial_balance = balances.GetTrialBalance(ports.begin)
        self.get_whole_trial_balance = balances.GetWholeTrialBalance(ports.begin)
        self.explain = explanations.ExplainBalance(ports.begin)
        self.take_snapshots = balances.TakeSnapshots(ports.begin)


class Periods:
    def __init__(self, ports: Ports) -> None:
        self.close = periods.ClosePeriod(ports.begin, ports.ids)
        self.get = periods.GetPeriod(ports.begin)
        self.list = periods.ListPeriods(ports.begin)
        self.list_balances = periods.ListClosingBalances(ports.begin)


class Journal:
    def __init__(self, ports: Ports) -> None:
        begin, ids = ports.begin, ports.ids
        self.post = journal.PostTransaction(begin, ids)
        self.post_once = journal_micro_batches.PostTransactionOnce(
            self.post, idempotency.PerformOnce(begin), ports.batch_calls
        )
        self.exchange = exchanges.ExchangeCurrency(begin, ids)
        self.preview_exchange = exchanges.PreviewExchange(begin, ids)
        self.preview = journal.PreviewTransaction(begin, ids)
        self.post_batch = journal_batches.PostTransactionBatch(begin, ids)
        self.preview_batch = journal_batches.PreviewTransactionBatch(begin, ids)
        self.reverse = journal.ReverseTransaction(begin, ids)
        self.post_pending = pending_transactions.PostPendingTransaction(begin)
        self.void = pending_transactions.VoidTransaction(begin)
        self.expire = pending_transactions.ExpireTransactions(begin)
        self.get = journal.GetTransaction(begin)
        self.list = journal.ListTransactions(begin)


class Fees:
    def __init__(self, ports: Ports) -> None:
        self.set = fees.SetFees(ports.begin, ports.ids)
        self.list = fees.ListFees(ports.begin)


class Merchants:
    def __init__(self, ports: Ports) -> None:
        self.add = merchants.AddMerchant(ports.begin, ports.ids)
        self.register = registration.RegisterMerchant(
            registration.AddMerchantWithCredentials(ports.begin, ports.ids),
            ports.password_hasher,
            ports.password_blocklist,
            idempotency.PerformOnce(ports.begin),
        )
        self.suspend = merchants.SuspendMerchant(ports.begin, ports.ids)
        self.resume = merchants.ResumeMerchant(ports.begin, ports.ids)
        self.set_network = merchants.SetMerchantNetwork(
            ports.begin, ports.ids, tuple(ports.card_networks)
        )
        self.get_dashboard = dashboard.GetDashboard(ports.begin)
        self.list_audit_events = dashboard.ListAuditEvents(ports.begin)


class Sessions:
    def __init__(self, ports: Ports, options: Options) -> None:
        begin, ids, key_hasher = ports.begin, ports.ids, ports.key_hasher
        self.log_in = sessions.LogIn(
            sessions.OpenSession(begin, ids, key_hasher, options.session_lifetime),
            ports.password_hasher,
            idempotency.PerformOnce(begin),
        )
        self.log_out = sessions.LogOut(begin, ids)
        self.list = sessions.ListSessions(begin)
        self.revoke = sessions.RevokeSession(begin, ids)
        self.revoke_others = sessions.RevokeOtherSessions(begin, ids)
        self.change_password = passwords.ChangePassword(
            passwords.ReplacePassword(begin, ids),
            ports.password_hasher,
            ports.password_blocklist,
            idempotency.PerformOnce(begin),
        )
        self.authenticate = sessions.AuthenticateSession(begin, key_hasher)


class ApiKeys:
    def __init__(self, ports: Ports) -> None:
        begin, ids, key_hasher = ports.begin, ports.ids, ports.key_hasher
        self.create = api_keys.CreateApiKey(begin, ids, key_hasher)
        self.issue = api_keys.IssueApiKey(self.create)
        self.rotate = api_keys.RotateApiKey(begin, ids, self.create)
        self.adopt = api_keys.AdoptApiKey(begin, ids)
        self.list = api_keys.ListApiKeys(begin)
        self.revoke = api_keys.RevokeApiKey(begin, ids)
        self.authenticate = merchants.AuthenticateApiKey(begin, key_hasher)
        self.identify = merchants.IdentifyCaller(
            self.authenticate, ports.api_key_cache, ports.api_key_usage
        )
        self.require_active = merchants.RequireActiveApiKey(begin)


class Idempotency:
    def __init__(self, ports: Ports) -> None:
        self.perform_once = idempotency.PerformOnce(ports.begin)
        self.get_key = idempotency.GetIdempotencyKey(ports.begin)


class Admin:
    """Use cases of operators, across all merchants. The API does not use them."""

    def __init__(self, ports: Ports, options: Options) -> None:
        begin = ports.begin
        self.list_unresolved = in_doubt.ListUnresolved(begin)
        self.sum_unresolved = in_doubt.SumUnresolved(begin, options.in_doubt_alarm)
        self.resolve_step = in_doubt.ResolveStep(
            begin, ports.ids, ports.job_queue, options.lease, options.hold_period
        )
        self.list_merchants = admin_queries.ListAllMerchants(begin)
        self.get_merchant = admin_queries.GetMerchantDetails(begin)
        self.list_accounts = admin_queries.ListAllAccounts(begin)
        self.list_account_heads = admin_queries.ListAccountHeads(begin)
        self.get_account = admin_queries.GetAccountDetails(begin)
        self.get_system_accounts = admin_queries.GetSystemAccounts(begin)
        self.list_payments = admin_queries.ListAllPayments(begin)
        self.list_refunds = admin_queries.ListAllRefunds(begin)
        self.get_payment = admin_queries.GetPaymentDetails(begin)
        self.retry_payment = admin_queries.RetryPayment(begin, ports.ids, ports.job_queue)
        ids, job_queue = ports.ids, ports.job_queue
        self.create_payment = operator_commands.AuditedCommand(
            begin,
            ids,
            payments.RecordPayment(begin, ids, job_queue, options.default_network),
            AuditEventType.PAYMENT_CREATED,
        )
        self.capture_payment = operator_commands.AuditedCommand(
            begin, ids, holds.CapturePayment(begin, job_queue), AuditEventType.PAYMENT_CAPTURED
        )
        self.cancel_payment = operator_commands.AuditedCommand(
            begin, ids, holds.CancelPayment(begin, job_queue), AuditEventType.PAYMENT_CANCELED
        )
        self.create_refund = operator_commands.AuditedCommand(
            begin, ids, refunds.CreateRefund(begin, ids, job_queue), AuditEventType.PAYMENT_REFUNDED
        )


class Reconciliation:
    """For operators and the sweeper. The API does not use it."""

    def __init__(self, ports: Ports, retry: admin_queries.RetryPayment) -> None:
        begin = ports.begin
        self.networks = tuple(ports.statements)
        """That have a statement."""
        self.run = reconciliation.Reconcile(begin, ports.ids, ports.statements)
        self.run_scheduled = reconciliation.ReconcileYesterday(self.run)
        self.resolve_in_doubt = reconciliation.ResolveInDoubt(retry)
        self.list = reconciliation.ListReports(begin)
        self.get = reconciliation.GetReport(begin)
        self.get_last_scheduled = reconciliation.GetLastScheduled(begin, self.networks)


class Webhooks:
    def __init__(self, ports: Ports, options: Options) -> None:
        begin, ids, job_queue = ports.begin, ports.ids, ports.job_queue
        cipher, networks = ports.secret_cipher, options.webhook_networks
        self.create_endpoint = webhook_endpoints.CreateWebhookEndpoint(begin, ids, cipher, networks)
        self.list_endpoints = webhook_endpoints.ListWebhookEndpoints(begin)
        self.get_endpoint = webhook_endpoints.GetWebhookEndpoint(begin)
        self.update_endpoint = webhook_endpoints.UpdateWebhookEndpoint(
            begin, ids, job_queue, networks
        )
        self.delete_endpoint = webhook_endpoints.DeleteWebhookEndpoint(begin, ids)
        self.rotate_secret = webhook_endpoints.RotateWebhookSecret(begin, ids, cipher)
        self.ping = webhook_endpoints.PingWebhookEndpoint(begin, ids, cipher, ports.webhook_sender)
        self.ensure_default_endpoint = webhook_endpoints.EnsureDefaultEndpoint(begin, ids, cipher)
        self.list_deliveries = webhook_deliveries.ListDeliveries(begin)
        self.get_delivery = webhook_deliveries.GetDelivery(begin)
        self.retry_delivery = webhook_deliveries.RetryDelivery(begin, ids, job_queue)
        self.replay = webhook_deliveries.ReplayWebhooks(begin, ids, job_queue)
        self.measure = webhook_deliveries.MeasureWebhooks(begin)
        self.purge = webhook_deliveries.PurgeDeliveries(begin, options.webhook_retention)
        self.deliver = deliver_webhooks.DeliverWebhooks(
            begin,
            ports.delivery_liveness,
            ids,
            ports.webhook_sender,
            cipher,
            options.webhook_concurrency,
            options.webhook_timeout,
        )


class Maintenance:
    def __init__(self, ports: Ports, options: Options) -> None:
        self.measure_backlog = backlog.MeasureBacklog(ports.begin)
        self.measure_open_work = open_work.MeasureOpenWork(
            ports.begin, tuple(ports.card_networks), options.hold_period
        )
        self.read_load = ports.read_load
        self.list_pending_migrations = ports.schema_version.list_pending
        self.check_health = maintenance.CheckHealth(
            ports.dependencies, ports.schema_version, self.measure_backlog
        )
        self.purge_idempotency_keys = maintenance.PurgeIdempotencyKeys(ports.begin)
        self.purge_sessions = maintenance.PurgeSessions(ports.begin)
        self.purge_events = event_retention.PurgeEvents(ports.begin, options.event_retention)


class Application:
    """Every use case, and the ports that its callers use directly: `clock`, `event_signal`,
    `job_queue`, `process_reports` and `rate_limiter`."""

    def __init__(self, ports: Ports, options: Options | None = None) -> None:
        options = options or Options()
        self.payments = Payments(ports, options)
        self.refunds = Refunds(ports)
        self.disputes = Disputes(ports)
        self.events = Events(ports)
        self.settlement = Settlement(ports, options)
        self.network_events = NetworkEvents(ports)
        self.accounts = Accounts(ports)
        self.ledger = Ledger(ports)
        self.balances = Balances(ports)
        self.periods = Periods(ports)
        self.journal = Journal(ports)
        self.fees = Fees(ports)
        self.merchants = Merchants(ports)
        self.sessions = Sessions(ports, options)
        self.api_keys = ApiKeys(ports)
        self.idempotency = Idempotency(ports)
        self.webhooks = Webhooks(ports, options)
        self.admin = Admin(ports, options)
        self.reconciliation = Reconciliation(ports, self.admin.retry_payment)
        self.maintenance = Maintenance(ports, options)
        self.clock = ports.clock
        self.event_signal = ports.event_signal
        self.job_queue = ports.job_queue
        self.process_reports = ports.process_reports
        self.rate_limiter = ports.rate_limiter
