"""The objects of the API, as the JSON that it sends: members keep their names, and a member that a
later version adds is there without a new client. `tests/unit/test_python_client.py` holds them
equal to the OpenAPI document. Amounts are integers in minor units."""

from typing import Literal, NotRequired, TypedDict

CaptureMethod = Literal["automatic", "manual"]
PaymentStatus = Literal[
    "PENDING", "PROCESSING", "REQUIRES_ACTION", "AUTHORIZED", "SUCCESS", "FAILED", "CANCELED"
]
RefundStatus = Literal["PENDING", "PROCESSING", "SUCCESS", "FAILED"]


class NextAction(TypedDict):
    type: Literal["redirect_to_url"]
    url: str


class Payment(TypedDict):
    id: str
    merchantId: str
    accountId: str
    amount: int
    currency: str
    source: str
    description: str
    status: PaymentStatus
    idempotencyKey: str | None
    webhookUrl: str | None
    failureReason: str | None
    cancellationReason: str | None
    capture: CaptureMethod
    amountCaptured: int
    amountRefunded: int
    fee: int
    expiresAt: str | None
    nextAction: NextAction | None
    networkReference: str | None
    inDoubt: bool
    inDoubtSince: str | None
    metadata: dict[str, str]
    createdAt: str
    updatedAt: str


class NewPayment(TypedDict):
    amount: int
    currency: str
    source: str
    merchantId: NotRequired[str]
    description: NotRequired[str]
    webhookUrl: NotRequired[str]
    capture: NotRequired[CaptureMethod]
    metadata: NotRequired[dict[str, str]]


class Refund(TypedDict):
    id: str
    paymentId: str
    merchantId: str
    accountId: str
    amount: int
    currency: str
    reason: str | None
    status: RefundStatus
    failureReason: str | None
    idempotencyKey: str | None
    networkReference: str | None
    inDoubt: bool
    inDoubtSince: str | None
    metadata: dict[str, str]
    createdAt: str
    updatedAt: str


AccountType = Literal["asset", "liability", "equity", "revenue", "expense"]
AccountStatus = Literal["OPEN", "FROZEN", "CLOSED"]
NormalSide = Literal["debit", "credit"]

# Not a class: `in` is a keyword.
PendingAmounts = TypedDict("PendingAmounts", {"in": int, "out": int})


class Account(TypedDict):
    id: str
    merchantId: str
    name: str
    currency: str
    type: AccountType
    normalSide: NormalSide
    balance: int
    pending: PendingAmounts
    available: int
    allowNegative: bool
    createdAt: str
    status: AccountStatus
    minBalance: int | None
    maxBalance: int | None
    externalId: str | None
    metadata: dict[str, str]


class NewAccount(TypedDict):
    name: str
    currency: str
    type: NotRequired[AccountType]
    externalId: NotRequired[str]
    metadata: NotRequired[dict[str, str]]
    minBalance: NotRequired[int | None]
    maxBalance: NotRequired[int | None]


class AccountUpdate(TypedDict, total=False):
    name: str
    metadata: dict[str, str]
    status: AccountStatus


class SubtreeBalance(TypedDict):
    currency: str
    accounts: int
    balance: int
    pending: PendingAmounts
    available: int


class SubtreeBalances(TypedDict):
    prefix: str | None
    items: list[SubtreeBalance]


class Actor(TypedDict):
    type: str
    id: str | None


class Event(TypedDict):
    id: str
    sequence: int
    type: str
    occurredAt: str
    paymentId: str | None
    refundId: str | None
    data: dict[str, object]
    requestId: str | None
    serverRequestId: str | None
    actor: Actor | None


class WebhookEndpoint(TypedDict):
    id: str
    url: str | None
    eventTypes: list[str]
    description: str
    ordered: bool
    status: Literal["enabled", "disabled"]
    disabledReason: str | None
    position: int
    createdAt: str
    updatedAt: str


class IssuedWebhookEndpoint(TypedDict):
    endpoint: WebhookEndpoint
    secret: str | None
