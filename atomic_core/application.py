"""Every use case, built once over one set of ports."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from atomic_core.domain.payments import HOLD_FOR
from atomic_core.ports.desk import Desk
from atomic_core.ports.outside import (
    CardNetwork,
    Clock,
    Dependency,
    IdGenerator,
    JobQueue,
    KeyHasher,
    KeyUses,
    KnownKeys,
    PasswordHasher,
    RateLimiter,
)
from atomic_core.ports.presence import Presence
from atomic_core.ports.unit_of_work import Begin
from atomic_core.use_cases.access import (
    AddWithCredentials,
    AuthenticateSession,
    LogIn,
    LogOut,
    OpenSession,
    RegisterMerchant,
)
from atomic_core.use_cases.batches import AcceptBatch
from atomic_core.use_cases.fees import ListFees, SetFees
from atomic_core.use_cases.holds import CancelPayment, CapturePayment, ExpireHolds
from atomic_core.use_cases.idempotency import LookUpKey, PerformOnce
from atomic_core.use_cases.keys import (
    AdoptKey,
    CreateKey,
    IssueKey,
    ListKeys,
    RevokeKey,
    RotateKey,
)
from atomic_core.use_cases.ledger import GetAccount, OpenAccount, OpenWorlds, VerifyLedger
from atomic_core.use_cases.lists import (
    ExpandPayment,
    ListAccounts,
    ListEntries,
    ListPayments,
    ListRefunds,
)
from atomic_core.use_cases.merchants import AddMerchant, Authenticate, Confirm, Recognize
from atomic_core.use_cases.oversight import (
    AllAccounts,
    AllMerchants,
    AllPayments,
    HouseAccounts,
    OpenAccountFile,
    OpenMerchantFile,
    OpenPaymentFile,
    Retry,
)
from atomic_core.use_cases.overview import ReadAuditLog, ShowDashboard
from atomic_core.use_cases.payments import AcceptPayment, CreatePayment, GetPayment
from atomic_core.use_cases.refunds import GetRefund, RefundPayment
from atomic_core.use_cases.settling import SettlePayments
from atomic_core.use_cases.timeline import GetTimeline
from atomic_core.use_cases.upkeep import CheckHealth, PurgeIdempotencyKeys, PurgeSessions

SESSION_LIFETIME: Final = timedelta(hours=12)
"""A day's work: who comes back tomorrow logs in again."""


@dataclass(frozen=True, slots=True)
class Ports:
    begin: Begin
    presence: Presence
    desk: Desk
    clock: Clock
    ids: IdGenerator
    hasher: KeyHasher
    known_keys: KnownKeys
    key_uses: KeyUses
    passwords: PasswordHasher
    queue: JobQueue
    rate_limiter: RateLimiter
    network: CardNetwork
    dependencies: Sequence[Dependency]


@dataclass(frozen=True, slots=True)
class Application:
    accept_payment: AcceptPayment
    create_payment: CreatePayment
    accept_batch: AcceptBatch
    get_payment: GetPayment
    get_timeline: GetTimeline
    capture_payment: CapturePayment
    cancel_payment: CancelPayment
    refund_payment: RefundPayment
    get_refund: GetRefund
    settle_payments: SettlePayments
    expire_holds: ExpireHolds
    set_fees: SetFees
    list_fees: ListFees
    open_account: OpenAccount
    open_worlds: OpenWorlds
    get_account: GetAccount
    verify_ledger: VerifyLedger
    perform_once: PerformOnce
    look_up_key: LookUpKey
    list_payments: ListPayments
    list_refunds: ListRefunds
    list_accounts: ListAccounts
    list_entries: ListEntries
    expand_payment: ExpandPayment
    add_merchant: AddMerchant
    register_merchant: RegisterMerchant
    log_in: LogIn
    log_out: LogOut
    authenticate_session: AuthenticateSession
    show_dashboard: ShowDashboard
    read_audit_log: ReadAuditLog
    issue_key: IssueKey
    create_key: CreateKey
    rotate_key: RotateKey
    adopt_key: AdoptKey
    list_keys: ListKeys
    revoke_key: RevokeKey
    authenticate: Authenticate
    recognize: Recognize
    confirm: Confirm
    all_merchants: AllMerchants
    open_merchant_file: OpenMerchantFile
    all_accounts: AllAccounts
    open_account_file: OpenAccountFile
    house_accounts: HouseAccounts
    all_payments: AllPayments
    open_payment_file: OpenPaymentFile
    retry: Retry
    purge_idempotency_keys: PurgeIdempotencyKeys
    purge_sessions: PurgeSessions
    check_health: CheckHealth
    clock: Clock
    queue: JobQueue
    rate_limiter: RateLimiter

    @classmethod
    def over(
        cls,
        ports: Ports,
        batch_size: int,
        lease: timedelta,
        hold_for: timedelta = HOLD_FOR,
        session_lifetime: timedelta = SESSION_LIFETIME,
    ) -> "Application":
        """Build every use case over these ports; `batch_size`, `lease` and `hold_for` are the
        settler's."""
        begin, ids, queue = ports.begin, ports.ids, ports.queue
        accept_payment = AcceptPayment(begin, ids, queue)
        perform_once, confirm = PerformOnce(begin), Confirm(begin)
        authenticate = Authenticate(begin, ports.hasher)
        create_key = CreateKey(begin, ids, ports.hasher)
        open_session = OpenSession(begin, ids, ports.hasher, session_lifetime)
        return cls(
            accept_payment=accept_payment,
            create_payment=CreatePayment(ports.desk, accept_payment, perform_once, confirm),
            accept_batch=AcceptBatch(begin, accept_payment),
            get_payment=GetPayment(ports.desk, confirm),
            get_timeline=GetTimeline(begin),
            capture_payment=CapturePayment(begin, queue),
            cancel_payment=CancelPayment(begin, queue),
            refund_payment=RefundPayment(begin, ids, queue),
            get_refund=GetRefund(begin),
            settle_payments=SettlePayments(
                begin, ports.presence, ports.network, ids, batch_size, lease, hold_for
            ),
            expire_holds=ExpireHolds(begin, queue),
            set_fees=SetFees(begin),
            list_fees=ListFees(begin),
            open_account=OpenAccount(begin, ids),
            open_worlds=OpenWorlds(begin),
            get_account=GetAccount(begin),
            verify_ledger=VerifyLedger(begin),
            perform_once=perform_once,
            look_up_key=LookUpKey(begin),
            list_payments=ListPayments(begin),
            list_refunds=ListRefunds(begin),
            list_accounts=ListAccounts(begin),
            list_entries=ListEntries(begin),
            expand_payment=ExpandPayment(begin),
            add_merchant=AddMerchant(begin, ids),
            register_merchant=RegisterMerchant(
                AddWithCredentials(begin, ids), ports.passwords, perform_once
            ),
            log_in=LogIn(open_session, ports.passwords, perform_once),
            log_out=LogOut(begin, ids),
            authenticate_session=AuthenticateSession(begin, ports.hasher),
            show_dashboard=ShowDashboard(begin),
            read_audit_log=ReadAuditLog(begin),
            issue_key=IssueKey(create_key),
            create_key=create_key,
            rotate_key=RotateKey(begin, ids, create_key),
            adopt_key=AdoptKey(begin, ids),
            list_keys=ListKeys(begin),
            revoke_key=RevokeKey(begin, ids),
            authenticate=authenticate,
            recognize=Recognize(authenticate, ports.known_keys, ports.key_uses),
            confirm=confirm,
            all_merchants=AllMerchants(begin),
            open_merchant_file=OpenMerchantFile(begin),
            all_accounts=AllAccounts(begin),
            open_account_file=OpenAccountFile(begin),
            house_accounts=HouseAccounts(begin),
            all_payments=AllPayments(begin),
            open_payment_file=OpenPaymentFile(begin),
            retry=Retry(begin, queue),
            purge_idempotency_keys=PurgeIdempotencyKeys(begin),
            purge_sessions=PurgeSessions(begin),
            check_health=CheckHealth(ports.dependencies),
            clock=ports.clock,
            queue=queue,
            rate_limiter=ports.rate_limiter,
        )
