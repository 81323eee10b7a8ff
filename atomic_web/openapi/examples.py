"""Examples. They are domain objects, which the response schemas serialize as in real responses."""

from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from atomic_core.domain.account_names import SubtreeBalance, SubtreeBalances
from atomic_core.domain.accounts import Account, AccountStatus, world_account_id
from atomic_core.domain.audit_log import AuditEventType, RecordedAuditEvent
from atomic_core.domain.credentials import Credentials, Session
from atomic_core.domain.dashboard import Dashboard, MerchantProfile, PaymentTotal
from atomic_core.domain.events import Event, EventSubject, EventType, StreamEvent, build_data
from atomic_core.domain.idempotency import IdempotencyRecord, StoredIdempotencyKey, StoredResponse
from atomic_core.domain.ledger import Entry, LedgerTransaction, PostedTransaction, TransactionKind
from atomic_core.domain.lists import AccountEntry
from atomic_core.domain.merchants import KEY_PREFIX, TOKEN_PREFIX, ApiKey, IssuedApiKey
from atomic_core.domain.money import Money
from atomic_core.domain.origins import ActorType, Origin
from atomic_core.domain.payments import CaptureMethod, Payment, Status, Step
from atomic_core.domain.refunds import Refund
from atomic_core.domain.webhooks import (
    SECRET_BYTES,
    SECRET_PREFIX,
    Delivery,
    DeliveryAttempt,
    DeliveryStatus,
    EndpointStatus,
    WebhookEndpoint,
    WebhookResult,
)
from atomic_core.use_cases.sessions import NewSession
from atomic_core.use_cases.timeline import build_timeline
from atomic_core.use_cases.webhook_deliveries import DeliveryDetails
from atomic_core.use_cases.webhook_endpoints import IssuedEndpoint

META: Final = {
    "timestamp": "2026-11-22T15:30:13.153Z",
    "requestId": "7c4a2f9e-3b0d-4f6a-9c1e-5d8b7a60f213",
}

CURSOR: Final = "AZiVz1Jb1mGSAAZGX8xN0QGSZGWZcACAAAAAAAAAAAE"

_TIME: Final = datetime(2026, 11, 22, 15, 30, 13, 153_000, tzinfo=UTC)
_MERCHANT: Final = UUID("0199c0de-0000-7000-8000-00000000000a")

ACCOUNT: Final = Account(
    id=UUID("0199c0de-0000-7000-8000-000000000002"),
    merchant_id=_MERCHANT,
    name="Sales",
    currency="USD",
    allow_negative=False,
    balance=0,
    sequence=0,
    head=bytes(32),
    created_at=_TIME,
)

PENDING: Final = Payment(
    id=UUID("0199c0de-0000-7000-8000-000000000001"),
    merchant_id=_MERCHANT,
    account_id=ACCOUNT.id,
    money=Money(5_000, "USD"),
    source="tok_visa",
    description="Order 4711",
    status=Status.PENDING,
    idempotency_key="4f0a9e52-7a55-4d0c-b6a5-0c7d6cf6f6a1",
    webhook_url=None,
    failure_reason=None,
    created_at=_TIME,
    updated_at=_TIME,
)
SUCCESS: Final = replace(PENDING, status=Status.SUCCESS)
AUTHORIZED: Final = replace(
    PENDING,
    capture=CaptureMethod.MANUAL,
    step=Step.AUTHORIZE,
    status=Status.AUTHORIZED,
    expires_at=_TIME + timedelta(days=7),
)
CAPTURING: Final = replace(
    AUTHORIZED, status=Status.PROCESSING, step=Step.CAPTURE, capture_amount=3_000
)
CANCELING: Final = replace(
    AUTHORIZED,
    status=Status.PROCESSING,
    step=Step.VOID,
    cancellation_reason="requested_by_customer",
)
CANCELED: Final = replace(CANCELING, status=Status.CANCELED)
FAILED: Final = replace(
    PENDING,
    source="tok_chargeDeclined",
    status=Status.FAILED,
    failure_reason="card_declined",
)

REFUND: Final = Refund(
    id=UUID("0199c0de-0000-7000-8000-000000000003"),
    payment_id=PENDING.id,
    merchant_id=_MERCHANT,
    account_id=ACCOUNT.id,
    money=Money(2_500, "USD"),
    reason="One of two items was returned",
    metadata={},
    status=Status.PENDING,
    failure_reason=None,
    idempotency_key=None,
    created_at=_TIME,
    updated_at=_TIME,
)
REFUNDED: Final = replace(REFUND, status=Status.SUCCESS)

_ORIGIN: Final = Origin(
    ActorType.KEY,
    UUID("0199c0de-0000-7000-8000-000000000006"),
    request_id=META["requestId"],
    server_request_id=UUID(META["requestId"]),
)
_TRANSACTION: Final = UUID("0199c0de-0000-7000-8000-000000000004")
_POSTED: Final = PostedTransaction(
    LedgerTransaction(_TRANSACTION, PENDING.id, TransactionKind.PAYMENT, _TIME),
    [
        Entry(_TRANSACTION, world_account_id("USD"), 1, -5_000, -5_000, bytes(32)),
        Entry(_TRANSACTION, ACCOUNT.id, 1, 5_000, 5_000, bytes(32)),
    ],
)
TIMELINE: Final = build_timeline(
    replace(SUCCESS, claimed_at=_TIME, attempt=1, origin=_ORIGIN), [], [], [_POSTED]
)

_FACTS: Final = EventSubject(5_000, "USD", {"order": "4711"}, None)
_SUCCEEDED: Final = Event(_MERCHANT, EventType.SUCCEEDED, PENDING.id, Status.SUCCESS, amount=5_000)
_REFUND_CREATED: Final = Event(
    _MERCHANT,
    EventType.REFUND_CREATED,
    PENDING.id,
    Status.PENDING,
    REFUND.id,
    amount=2_500,
    origin=_ORIGIN,
)
PAYMENT_EVENT: Final = StreamEvent(
    _SUCCEEDED._replace(data=build_data(_SUCCEEDED, _FACTS)),
    UUID("0199c0de-0000-7000-8000-000000000006"),
    123,
    _TIME,
)
REFUND_EVENT: Final = StreamEvent(
    _REFUND_CREATED._replace(
        data=build_data(
            _REFUND_CREATED, _FACTS._replace(amount=2_500, metadata={}, reason=REFUND.reason)
        )
    ),
    UUID("0199c0de-0000-7000-8000-000000000007"),
    124,
    _TIME,
)

ENTRY: Final = AccountEntry(
    account_id=ACCOUNT.id,
    sequence=1,
    transaction_id=_TRANSACTION,
    payment_id=PENDING.id,
    refund_id=None,
    kind=TransactionKind.PAYMENT,
    amount=5_000,
    balance_after=5_000,
    posted_at=_TIME,
)

KEPT_KEY: Final = StoredIdempotencyKey(
    key="order-4711",
    record=IdempotencyRecord(
        method="POST",
        path=f"/api/v1/payments/{PENDING.id}/cancel",
        fingerprint=bytes.fromhex("9f" * 32),
        response=StoredResponse(
            202,
            b'{"success":true,"data":{"status":"PROCESSING"},"meta":{}}',
            f"/api/v1/payments/{PENDING.id}",
        ),
        created_at=_TIME,
    ),
    expires_at=_TIME + timedelta(days=1),
)

NEW_PAYMENT: Final = {
    "amount": 5_000,
    "currency": "USD",
    "source": "tok_visa",
    "description": "Order 4711",
}
NEW_ACCOUNT: Final = {"name": "Sales", "currency": "USD"}
NEW_WALLET: Final = {
    "name": "wallets:alice",
    "currency": "USD",
    "type": "liability",
    "externalId": "customer-4711",
    "metadata": {"tier": "gold"},
    "minBalance": -50_000,
    "maxBalance": 1_000_000,
}
ACCOUNT_UPDATE: Final = {"status": "FROZEN", "metadata": {"reason": "under review"}}
FROZEN_ACCOUNT: Final = replace(
    ACCOUNT,
    status=AccountStatus.FROZEN,
    status_changed_at=_TIME,
    metadata={"reason": "under review"},
)
SUBTREE_BALANCES: Final = SubtreeBalances("wallets", [SubtreeBalance("USD", 2, 7_500, 0, 500)])

REGISTRATION: Final = {
    "email": "owner@shop.example",
    "password": "correct horse battery staple",
    "name": "Shop",
}
PASSWORD_CHANGE: Final = {
    "currentPassword": REGISTRATION["password"],
    "newPassword": "seven purple mountains sing",
}
LOGIN: Final = {name: REGISTRATION[name] for name in ("email", "password")}
CREDENTIALS: Final = Credentials(_MERCHANT, "owner@shop.example", "", ACCOUNT.id)

_SESSION: Final = Session(
    id=UUID("0199c0de-0000-7000-8000-000000000003"),
    merchant_id=_MERCHANT,
    created_at=_TIME,
    expires_at=_TIME + timedelta(hours=12),
)
# All zeros, so that secret scanners do not report it.
LOGGED_IN: Final = NewSession(_SESSION, TOKEN_PREFIX + "0" * 48, CREDENTIALS)

_TOTAL: Final = PaymentTotal("SUCCESS", "USD", 1, 5_000, captured=5_000, net=5_000)
DASHBOARD: Final = Dashboard(
    profile=MerchantProfile(_MERCHANT, "Shop", CREDENTIALS.email, _TIME),
    accounts=[replace(ACCOUNT, balance=5_000)],
    payments=[SUCCESS],
    today=[_TOTAL],
    last_30_days=[_TOTAL],
    are_totals_complete=True,
    at=_TIME,
)

NEW_API_KEY: Final = {
    "name": "Point of sale",
    "scopes": ["payments:write", "payments:read"],
    "expiresAt": "2027-01-31T12:00:00Z",
}
API_KEY: Final = ApiKey(
    id=UUID("0199c0de-0000-7000-8000-000000000004"),
    merchant_id=_MERCHANT,
    name="Point of sale",
    prefix=KEY_PREFIX + "0000",
    hash=bytes(32),
    scopes=frozenset({"payments:write", "payments:read"}),
    created_at=_TIME,
    expires_at=datetime(2027, 1, 31, 12, tzinfo=UTC),
    last_used_at=None,
    revoked_at=None,
    active=True,
)
REVOKED_KEY: Final = replace(API_KEY, revoked_at=_TIME, active=False)
ISSUED_KEY: Final = IssuedApiKey(API_KEY, KEY_PREFIX + "0" * 48)

RECORDED: Final = RecordedAuditEvent(
    id=UUID("0199c0de-0000-7000-8000-000000000005"),
    type=AuditEventType.KEY_CREATED,
    actor=ActorType.SESSION,
    actor_id=_SESSION.id,
    address="192.0.2.1",
    request_id=META["requestId"],
    server_request_id=UUID(META["requestId"]),
    details={"keyId": str(API_KEY.id), "name": "Point of sale"},
    at=_TIME,
)

NEW_WEBHOOK_ENDPOINT: Final = {
    "url": "https://shop.example/webhooks",
    "eventTypes": ["payment.succeeded", "refund.*"],
    "description": "Order system",
}
WEBHOOK_ENDPOINT: Final = WebhookEndpoint(
    id=UUID("0199c0de-0000-7000-8000-000000000021"),
    merchant_id=_MERCHANT,
    url="https://shop.example/webhooks",
    event_types=("payment.succeeded", "refund.*"),
    description="Order system",
    is_ordered=False,
    status=EndpointStatus.ENABLED,
    disabled_reason=None,
    position=122,
    created_at=_TIME,
    updated_at=_TIME,
)
ISSUED_WEBHOOK_ENDPOINT: Final = IssuedEndpoint(
    WEBHOOK_ENDPOINT, SECRET_PREFIX + b64encode(bytes(SECRET_BYTES)).decode()
)
WEBHOOK_TEST: Final = WebhookResult(200, None, 87, "ok", None)
DELIVERY: Final = Delivery(
    id=UUID("0199c0de-0000-7000-8000-000000000022"),
    endpoint_id=WEBHOOK_ENDPOINT.id,
    merchant_id=_MERCHANT,
    event_id=PAYMENT_EVENT.id,
    sequence=PAYMENT_EVENT.sequence,
    type=PAYMENT_EVENT.event.type,
    url="https://shop.example/webhooks",
    status=DeliveryStatus.PENDING,
    attempts=1,
    next_attempt_at=_TIME + timedelta(seconds=5),
    created_at=_TIME,
    updated_at=_TIME,
)
DELIVERY_DETAILS: Final = DeliveryDetails(
    DELIVERY, [DeliveryAttempt(1, _TIME, 503, 87, "answered 503", "maintenance until 16:00")]
)
