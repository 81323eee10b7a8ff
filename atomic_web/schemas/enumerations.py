"""The sets of strings in requests and responses. Each is one named component of the OpenAPI
document, so that generated clients have one type for it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from marshmallow import validate

from atomic_core.domain.accounts import AccountStatus, AccountType, Side
from atomic_core.domain.audit_log import AuditEventType
from atomic_core.domain.balances import TimeAxis
from atomic_core.domain.card_networks import DECLINE_REASONS
from atomic_core.domain.disputes import RESPONSE_REFUSED, DisputeResponse, DisputeStatus
from atomic_core.domain.events import STREAM_TYPES, EventType
from atomic_core.domain.journal import JournalStatus
from atomic_core.domain.ledger import TransactionKind
from atomic_core.domain.merchants import Scope
from atomic_core.domain.money import CURRENCY_EXPONENTS
from atomic_core.domain.origins import ActorType
from atomic_core.domain.payments import (
    REASON_EXPIRED,
    REASON_REQUESTED_BY_MERCHANT,
    CaptureMethod,
    Status,
)
from atomic_core.domain.posting import Refusal
from atomic_core.domain.settlement import NETWORK_UNAVAILABLE
from atomic_core.domain.webhooks import DeliveryStatus, DisabledReason, EndpointStatus
from atomic_core.use_cases.in_doubt import RESOLVED_BY_OPERATOR
from atomic_web.error_catalogue import ERRORS_BY_CODE
from atomic_web.errors import STATUS


@dataclass(frozen=True, slots=True)
class Enumeration:
    name: str
    """Of the component."""
    description: str
    values: Sequence[str]

    @property
    def reference(self) -> dict[str, str]:
        return {"$ref": f"#/components/schemas/{self.name}"}

    def build_schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.values), "description": self.description}


class OneOfEnumeration(validate.OneOf):
    """A validator that the OpenAPI document shows as a reference to the enumeration."""

    def __init__(self, enumeration: Enumeration) -> None:
        super().__init__(enumeration.values)
        self.enumeration = enumeration


def _get_values(members: Iterable[StrEnum]) -> tuple[str, ...]:
    return tuple(member.value for member in members)


CURRENCY: Final = Enumeration(
    "Currency", "ISO 4217 code of a currency.", tuple(sorted(CURRENCY_EXPONENTS))
)
PAYMENT_STATUS: Final = Enumeration(
    "PaymentStatus",
    "SUCCESS, FAILED and CANCELED are final. AUTHORIZED waits to be captured or canceled,"
    " REQUIRES_ACTION for the customer, whose `nextAction` it has.",
    _get_values(Status),
)
REFUND_STATUS: Final = Enumeration(
    "RefundStatus",
    "SUCCESS and FAILED are final.",
    _get_values((Status.PENDING, Status.PROCESSING, Status.SUCCESS, Status.FAILED)),
)
CAPTURE_METHOD: Final = Enumeration(
    "CaptureMethod",
    "`automatic` charges the amount at once. `manual` places a hold, to be captured or canceled"
    " later.",
    _get_values(CaptureMethod),
)
CANCELLATION_REASON: Final = Enumeration(
    "CancellationReason",
    "Why a merchant cancels a payment.",
    (
        *("abandoned", "duplicate", "fraudulent", "requested_by_customer"),
        REASON_REQUESTED_BY_MERCHANT,
    ),
)
PAYMENT_CANCELLATION_REASON: Final = Enumeration(
    "PaymentCancellationReason",
    "The merchant's reason, or `expired` if the hold or the customer's time ended first.",
    (*CANCELLATION_REASON.values, REASON_EXPIRED),
)
FAILURE_REASON: Final = Enumeration(
    "FailureReason",
    "Why a payment or a refund is FAILED.",
    (
        *DECLINE_REASONS,
        *(NETWORK_UNAVAILABLE, RESOLVED_BY_OPERATOR),
        *_get_values(Refusal),
    ),
)
ACCOUNT_TYPE: Final = Enumeration(
    "AccountType",
    "Payments credit a liability: Atomic owes its balance. Others are of the merchant's own chart.",
    _get_values(AccountType),
)
ACCOUNT_STATUS: Final = Enumeration(
    "AccountStatus",
    "Nothing new is posted to an account that is FROZEN or CLOSED, except for disputes. One is"
    " closed when it is empty.",
    _get_values(AccountStatus),
)
NORMAL_SIDE: Final = Enumeration(
    "NormalSide", "The side of the entries that increase the balance.", _get_values(Side)
)
TRANSACTION_KIND: Final = Enumeration(
    "TransactionKind", "What a ledger transaction stands for.", _get_values(TransactionKind)
)
TIME_AXIS: Final = Enumeration(
    "TimeAxis",
    "The time of an entry that counts: `posted`, or `effective` for when it takes effect in the"
    " merchant's books.",
    _get_values(TimeAxis),
)
LEDGER_TRANSACTION_STATUS: Final = Enumeration(
    "LedgerTransactionStatus",
    "PENDING reserves its entries until it is posted, voided or expired. The others are final.",
    _get_values(JournalStatus),
)
DISPUTE_STATUS: Final = Enumeration(
    "DisputeStatus",
    "NEEDS_RESPONSE can be contested or accepted. WON and LOST are final.",
    _get_values(DisputeStatus),
)
DISPUTE_RESPONSE: Final = Enumeration(
    "DisputeAnswer",
    "What is to be sent to the card network.",
    _get_values(DisputeResponse),
)
RESPONSE_FAILURE: Final = Enumeration(
    "DisputeAnswerFailure",
    "Why the card network did not take a response to a dispute.",
    (RESPONSE_REFUSED,),
)
PAYMENT_EVENT_TYPE: Final = Enumeration(
    "PaymentEventType",
    "What happened to a payment, or to one of its refunds or disputes.",
    tuple(
        type.timeline_name
        for type in EventType
        if type.startswith(("payment.", "refund.", "dispute."))
        and type is not EventType.DISPUTE_UPDATED
    ),
)
TIMELINE_STATUS: Final = Enumeration(
    "TimelineStatus",
    "A status of a payment, of a refund or of a dispute.",
    (*PAYMENT_STATUS.values, *DISPUTE_STATUS.values),
)
EVENT_TYPE: Final = Enumeration(
    "EventType",
    "What happened to a payment, a refund, an account, a ledger transaction, a dispute or a webhook"
    " endpoint, in the merchant's stream of events.",
    _get_values(type for type in EventType if type in STREAM_TYPES),
)
EVENT_TYPE_FILTER: Final = Enumeration(
    "EventTypeFilter",
    "A type of events, or all types that begin alike.",
    (
        *EVENT_TYPE.values,
        *("payment.*", "refund.*", "account.*", "ledger_transaction.*", "dispute.*"),
        "webhook_endpoint.*",
    ),
)
WEBHOOK_ENDPOINT_STATUS: Final = Enumeration(
    "WebhookEndpointStatus",
    "Nothing is sent to an endpoint that is disabled.",
    _get_values(EndpointStatus),
)
WEBHOOK_DISABLED_REASON: Final = Enumeration(
    "WebhookDisabledReason",
    "`requested` by the merchant; `gone` if the receiver answered 410; `failing` after five days"
    " without a success.",
    _get_values(DisabledReason),
)
DELIVERY_STATUS: Final = Enumeration(
    "DeliveryStatus",
    "`pending` failed and is retried; `failed` is not retried any more, except on request.",
    _get_values(DeliveryStatus),
)
SORT_ORDER: Final = Enumeration(
    "SortOrder", "`asc` for oldest first, `desc` for newest first.", ("asc", "desc")
)
PAYMENT_EXPANSION: Final = Enumeration(
    "PaymentExpansion", "Objects that belong to a payment.", ("refunds", "entries")
)
AUDIT_EVENT_TYPE: Final = Enumeration(
    "AuditEventType",
    "What happened to a merchant's credentials and payments.",
    _get_values(AuditEventType),
)
ACTOR_TYPE: Final = Enumeration("ActorType", "What made a request.", _get_values(ActorType))
SCOPE: Final = Enumeration("Scope", "A permission of an API key.", _get_values(Scope))
READINESS_STATUS: Final = Enumeration(
    "ReadinessStatus",
    "`degraded` if an optional dependency is down, or payments and refunds wait for a worker.",
    ("ready", "degraded"),
)
DEPENDENCY_STATUS: Final = Enumeration(
    "DependencyStatus", "Whether a dependency is reachable.", ("up", "down")
)
ERROR_CODE: Final = Enumeration(
    "ErrorCode",
    "The cause of an error. Stable. Later versions may add codes of the same types.",
    tuple(sorted(ERRORS_BY_CODE)),
)
ERROR_TYPE: Final = Enumeration(
    "ErrorType",
    "The family of an error's code. Each type has one HTTP status.",
    tuple(sorted(STATUS)),
)

ENUMERATIONS: Final = (
    *(CURRENCY, PAYMENT_STATUS, REFUND_STATUS, CAPTURE_METHOD, CANCELLATION_REASON),
    *(PAYMENT_CANCELLATION_REASON, FAILURE_REASON, ACCOUNT_TYPE, NORMAL_SIDE, TRANSACTION_KIND),
    *(ACCOUNT_STATUS, LEDGER_TRANSACTION_STATUS, TIME_AXIS),
    *(DISPUTE_STATUS, DISPUTE_RESPONSE, RESPONSE_FAILURE),
    *(PAYMENT_EVENT_TYPE, TIMELINE_STATUS, EVENT_TYPE, EVENT_TYPE_FILTER),
    *(SORT_ORDER, PAYMENT_EXPANSION),
    *(WEBHOOK_ENDPOINT_STATUS, WEBHOOK_DISABLED_REASON, DELIVERY_STATUS),
    *(AUDIT_EVENT_TYPE, ACTOR_TYPE, SCOPE),
    *(READINESS_STATUS, DEPENDENCY_STATUS, ERROR_CODE, ERROR_TYPE),
)


def build_enabled_currency(currencies: Iterable[str]) -> Enumeration:
    """The currencies of new payments and accounts: all, or a part of them as a further component.
    Existing objects may have any."""
    enabled = tuple(sorted(currencies))
    if enabled == CURRENCY.values:
        return CURRENCY
    return Enumeration("EnabledCurrency", "The currencies that this installation accepts.", enabled)
