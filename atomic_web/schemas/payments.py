"""Request and response bodies of payments."""

import re
from typing import Any, Final

from marshmallow import ValidationError, fields, validate

from atomic_core.domain.card_networks import MAX_ACTION_URL, REDIRECT
from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.payments import CaptureMethod
from atomic_core.domain.webhook_urls import MAX_URL_LENGTH, check_webhook_url
from atomic_web.context import request_context
from atomic_web.schemas.descriptions import describe_validator
from atomic_web.schemas.enumerations import (
    CAPTURE_METHOD,
    CURRENCY,
    FAILURE_REASON,
    PAYMENT_CANCELLATION_REASON,
    PAYMENT_STATUS,
    OneOfEnumeration,
)
from atomic_web.schemas.fields import (
    INVALID_AMOUNT,
    INVALID_LENGTH,
    RequestSchema,
    ResponseSchema,
    Timestamp,
    check_currency,
    check_uuid,
)
from atomic_web.schemas.metadata import build_metadata_input, build_metadata_output

DEFAULT_DESCRIPTION: Final = "API Payment"
MAX_DESCRIPTION: Final = 500
MAX_REFERENCE: Final = 255
SOURCE: Final = re.compile(r"(?:tok|pm)_[A-Za-z0-9_]{1,60}")

_COMMON_FIELDS: Final = {"amount", "currency", "source", "description"}


@describe_validator({"pattern": f"^{SOURCE.pattern}$"})
def _check_source(source: str) -> None:
    if not SOURCE.fullmatch(source):
        raise ValidationError("Must be tok_ or pm_ followed by 1 to 60 of A-Z, a-z, 0-9 and _.")


@describe_validator(
    {
        "format": "uri",
        "maxLength": MAX_URL_LENGTH,
        "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://[\x21\x22\x24-\x2e\x30-\x3e\x41-\x5b\x5d-\x7e]+"
        r"(?:[/?#][\x21-\x5b\x5d-\x7e]*)?$",
        "description": "A public http or https URL without user information. Loopback, private and "
        "other special addresses and host names are refused.",
    }
)
def _check_webhook(url: str) -> None:
    try:
        check_webhook_url(url, request_context().settings.webhooks.allowed_networks)
    except ValidationFailed as error:
        raise ValidationError(list((error.details or {}).get("webhookUrl", ()))) from error


class NewPaymentSchema(RequestSchema):
    """The body of POST /payments."""

    amount = fields.Integer(
        strict=True,
        required=True,
        validate=validate.Range(1, MAX_AMOUNT, error=INVALID_AMOUNT),
        error_messages={"invalid": INVALID_AMOUNT, "too_large": INVALID_AMOUNT},
        metadata={"description": "In minor units; without a fraction or an exponent."},
    )
    currency = fields.String(required=True, validate=check_currency)
    source = fields.String(required=True, validate=_check_source)
    merchant_id = fields.String(
        data_key="merchantId",
        validate=check_uuid,
        metadata={"description": "The merchant of the API key; any other id is 403."},
    )
    description = fields.String(
        load_default=DEFAULT_DESCRIPTION,
        validate=validate.Length(1, MAX_DESCRIPTION, error=INVALID_LENGTH),
    )
    webhook_url = fields.String(
        data_key="webhookUrl", load_default=None, allow_none=False, validate=_check_webhook
    )
    capture = fields.String(
        load_default=CaptureMethod.AUTOMATIC.value,
        validate=OneOfEnumeration(CAPTURE_METHOD),
    )
    metadata = build_metadata_input()

    def parse(self, content: dict[str, Any]) -> dict[str, Any]:
        return _parse_common_request(content) or super().parse(content)


def _parse_common_request(content: dict[str, Any]) -> dict[str, Any] | None:
    """The values of a valid request that has the common fields only; None for any other request,
    which the schema's fields then validate. A shortcut with the same result (a property test
    compares them): the fields take longer than all other parsing of a payment."""
    if not content.keys() <= _COMMON_FIELDS:
        return None
    amount, currency, source = (content.get(name) for name in ("amount", "currency", "source"))
    description = content.get("description", DEFAULT_DESCRIPTION)
    is_valid = (
        type(amount) is int
        and 1 <= amount <= MAX_AMOUNT
        and type(currency) is str
        and currency in request_context().settings.currencies
        and type(source) is str
        and SOURCE.fullmatch(source)
        and type(description) is str
        and 1 <= len(description) <= MAX_DESCRIPTION
    )
    if not is_valid:
        return None
    return {
        "amount": amount,
        "currency": currency,
        "source": source,
        "description": description,
        "webhook_url": None,
        "capture": CaptureMethod.AUTOMATIC.value,
        "metadata": {},
    }


class NextActionSchema(ResponseSchema):
    type = fields.String(
        validate=validate.OneOf([REDIRECT]),
        metadata={"description": "`redirect_to_url`: send the customer's browser to `url`."},
    )
    url = fields.String(
        validate=validate.Length(1, MAX_ACTION_URL),
        metadata={"description": "Where the customer authenticates. Valid for this customer only."},
    )


class PaymentSchema(ResponseSchema):
    id = fields.UUID()
    merchant_id = fields.UUID(data_key="merchantId")
    account_id = fields.UUID(
        data_key="accountId", metadata={"description": "Your account that a success credits."}
    )
    amount = fields.Integer(attribute="money.amount", validate=validate.Range(1, MAX_AMOUNT))
    currency = fields.String(attribute="money.currency", validate=OneOfEnumeration(CURRENCY))
    source = fields.String(validate=_check_source)
    description = fields.String(validate=validate.Length(1, MAX_DESCRIPTION))
    status = fields.String(validate=OneOfEnumeration(PAYMENT_STATUS))
    idempotency_key = fields.String(data_key="idempotencyKey", allow_none=True)
    webhook_url = fields.String(data_key="webhookUrl", allow_none=True)
    failure_reason = fields.String(
        data_key="failureReason",
        allow_none=True,
        validate=OneOfEnumeration(FAILURE_REASON),
        metadata={"description": "null unless the payment is FAILED."},
    )
    cancellation_reason = fields.String(
        data_key="cancellationReason",
        allow_none=True,
        validate=OneOfEnumeration(PAYMENT_CANCELLATION_REASON),
        metadata={"description": "null unless the payment is or will be CANCELED."},
    )
    capture = fields.String(validate=OneOfEnumeration(CAPTURE_METHOD))
    amount_captured = fields.Integer(
        data_key="amountCaptured", validate=validate.Range(0, MAX_AMOUNT)
    )
    amount_refunded = fields.Integer(
        data_key="amountRefunded", validate=validate.Range(0, MAX_AMOUNT)
    )
    fee = fields.Integer(
        validate=validate.Range(0, MAX_AMOUNT),
        metadata={
            "description": "The part of the captured amount that is not credited to the merchant."
        },
    )
    expires_at = Timestamp(
        attribute="held_until",
        data_key="expiresAt",
        allow_none=True,
        metadata={
            "description": "When the hold of an AUTHORIZED payment ends, or the customer's time "
            "to act of one that is REQUIRES_ACTION; else null."
        },
    )
    next_action = fields.Nested(
        NextActionSchema(),
        data_key="nextAction",
        allow_none=True,
        metadata={"description": "null unless the payment is REQUIRES_ACTION."},
    )
    network_reference = fields.String(
        data_key="networkReference",
        allow_none=True,
        validate=validate.Length(1, MAX_REFERENCE),
        metadata={
            "description": "The card network's id of the payment, such as Stripe's pi_…; null "
            "until the network has decided, and of networks without ids, such as the sandbox."
        },
    )
    is_in_doubt = fields.Boolean(
        data_key="inDoubt",
        metadata={"description": "Whether `inDoubtSince` is set."},
    )
    in_doubt_since = Timestamp(
        data_key="inDoubtSince",
        allow_none=True,
        metadata={
            "description": "Since when it is not known whether the card network has processed the "
            "payment's open step; null if it is known. Only the network's word ends the doubt."
        },
    )
    metadata = build_metadata_output()
    created_at = Timestamp(data_key="createdAt")
    updated_at = Timestamp(data_key="updatedAt")
