"""Every use case, built once over one set of ports."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from atomic_core.domain.payments import HOLD_FOR
from atomic_core.ports.desk import Desk
from atomic_core.ports.outside import (
    CardNetwork,
    Clock,
    Dependency,
    IdGenerator,
    JobQueue,
    KeyHasher,
    KnownKeys,
    RateLimiter,
)
from atomic_core.ports.presence import Presence
from atomic_core.ports.unit_of_work import Begin
from atomic_core.use_cases.batches import AcceptBatch
from atomic_core.use_cases.fees import ListFees, SetFees
from atomic_core.use_cases.holds import CancelPayment, CapturePayment, ExpireHolds
from atomic_core.use_cases.idempotency import LookUpKey, PerformOnce
from atomic_core.use_cases.ledger import GetAccount, OpenAccount, OpenWorlds, VerifyLedger
from atomic_core.use_cases.lists import (
    ExpandPayment,
    ListAccounts,
    ListEntries,
    ListPayments,
    ListRefunds,
)
from atomic_core.use_cases.merchants import (
    AddMerchant,
    AdoptKey,
    Authenticate,
    Confirm,
    IssueKey,
    ListKeys,
    Recognize,
    RevokeKey,
)
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
from atomic_core.use_cases.payments import AcceptPayment, CreatePayment, GetPayment
from atomic_core.use_cases.refunds import GetRefund, RefundPayment
from atomic_core.use_cases.settling import SettlePayments
from atomic_core.use_cases.timeline import GetTimeline
from atomic_core.use_cases.upkeep import CheckHealth, PurgeIdempotencyKeys


@dataclass(frozen=True, slots=True)
class Ports:
    begin: Begin
    presence: Presence
    desk: Desk
    clock: Clock
    ids: IdGenerator
    hasher: KeyHasher
    known_keys: KnownKeys
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
    issue_key: IssueKey
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
    check_health: CheckHealth
    clock: Clock
    queue: JobQueue
    rate_limiter: RateLimiter

    @classmethod
    def over(
        cls, ports: Ports, batch_size: int, lease: timedelta, hold_for: timedelta = HOLD_FOR
    ) -> "Application":
        """Build every use case over these ports; `batch_size`, `lease` and `hold_for` are the
        settler's."""
        begin, ids, queue = ports.begin, ports.ids, ports.queue
        accept_payment = AcceptPayment(begin, ids, queue)
        perform_once, confirm = PerformOnce(begin), Confirm(begin)
        authenticate = Authenticate(begin, ports.hasher)
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
            issue_key=IssueKey(begin, ids, ports.hasher),
            adopt_key=AdoptKey(begin, ids),
            list_keys=ListKeys(begin),
            revoke_key=RevokeKey(begin),
            authenticate=authenticate,
            recognize=Recognize(authenticate, ports.known_keys),
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
            check_health=CheckHealth(ports.dependencies),
            clock=ports.clock,
            queue=queue,
            rate_limiter=ports.rate_limiter,
        )
