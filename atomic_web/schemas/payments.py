"""Payments on the wire (api.md)."""

import re
from typing import Any, Final

from marshmallow import ValidationError, fields, validate

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.payments import Capture, Status
from atomic_core.domain.webhook_urls import MAX_URL_LENGTH, check_webhook_url
from atomic_web.context import app_context
from atomic_web.schemas.descriptions import described
from atomic_web.schemas.fields import (
    CODE,
    RequestSchema,
    ResponseSchema,
    Timestamp,
    check_currency,
    check_uuid,
)
from atomic_web.schemas.metadata import metadata_asked, metadata_shown

DESCRIPTION: Final = "API Payment"
MAX_DESCRIPTION: Final = 500
SOURCE: Final = re.compile(r"tok_[A-Za-z0-9_]{1,60}")

_USUAL: Final = {"amount", "currency", "source", "description"}

_AMOUNT: Final = f"Must be a whole number from 1 to {MAX_AMOUNT}."


@described({"pattern": f"^{SOURCE.pattern}$"})
def _check_source(source: str) -> None:
    if not SOURCE.fullmatch(source):
        raise ValidationError("Must be tok_ and 1 to 60 of A-Z, a-z, 0-9 and _.")


@described(
    {
        "format": "uri",
        "maxLength": MAX_URL_LENGTH,
        "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://[\x21\x22\x24-\x2e\x30-\x3e\x41-\x5b\x5d-\x7e]+"
        r"(?:[/?#][\x21-\x5b\x5d-\x7e]*)?$",
        "description": "Public http or https, without a user name; loopback, private and other "
        "special addresses and names are refused.",
    }
)
def _check_webhook(url: str) -> None:
    try:
        check_webhook_url(url)
    except ValidationFailed as refused:
        raise ValidationError(list((refused.details or {}).get("webhookUrl", ()))) from refused


class NewPaymentSchema(RequestSchema):
    """The body of POST /payments."""

    amount = fields.Integer(
        strict=True,
        required=True,
        validate=validate.Range(1, MAX_AMOUNT, error=_AMOUNT),
        error_messages={"invalid": _AMOUNT, "too_large": _AMOUNT},
        metadata={"description": "In minor units; written without fraction or exponent."},
    )
    currency = fields.String(required=True, validate=check_currency)
    source = fields.String(required=True, validate=_check_source)
    merchant_id = fields.String(
        data_key="merchantId",
        validate=check_uuid,
        metadata={"description": "Your own; another one is 403."},
    )
    description = fields.String(
        load_default=DESCRIPTION, validate=validate.Length(1, MAX_DESCRIPTION)
    )
    webhook_url = fields.String(
        data_key="webhookUrl", load_default=None, allow_none=False, validate=_check_webhook
    )
    capture = fields.String(
        load_default=Capture.AUTOMATIC.value,
        validate=validate.OneOf([capture.value for capture in Capture]),
        metadata={"description": "`manual`: hold the money, and capture or cancel later."},
    )
    metadata = metadata_asked()

    def read(self, content: dict[str, Any]) -> dict[str, Any]:
        """The validated values by attribute name. Raises ValidationFailed with all faults."""
        return _as_most_are(content) or super().read(content)


def _as_most_are(content: dict[str, Any]) -> dict[str, Any] | None:
    """The values of a request without faults, merchantId and webhookUrl; None for any other,
    which the fields then judge. They would say the same of this one (a property test holds us
    to it), but take longer than all the rest of reading a payment."""
    if not content.keys() <= _USUAL:
        return None
    amount, currency, source = (content.get(name) for name in ("amount", "currency", "source"))
    description = content.get("description", DESCRIPTION)
    fits = (
        type(amount) is int
        and 1 <= amount <= MAX_AMOUNT
        and type(currency) is str
        and currency in app_context().settings.currencies
        and type(source) is str
        and SOURCE.fullmatch(source)
        and type(description) is str
        and 1 <= len(description) <= MAX_DESCRIPTION
    )
    if not fits:
        return None
    return {
        "amount": amount,
        "currency": currency,
        "source": source,
        "description": description,
        "webhook_url": None,
        "capture": Capture.AUTOMATIC.value,
        "metadata": {},
    }


class PaymentSchema(ResponseSchema):
    """A payment, on its way out."""

    id = fields.UUID()
    merchant_id = fields.UUID(data_key="merchantId")
    amount = fields.Integer(attribute="money.amount", validate=validate.Range(1, MAX_AMOUNT))
    currency = fields.String(attribute="money.currency", validate=CODE)
    source = fields.String(validate=_check_source)
    description = fields.String(validate=validate.Length(1, MAX_DESCRIPTION))
    status = fields.String(validate=validate.OneOf([status.value for status in Status]))
    idempotency_key = fields.String(data_key="idempotencyKey", allow_none=True)
    webhook_url = fields.String(data_key="webhookUrl", allow_none=True)
    failure_reason = fields.String(
        data_key="failureReason",
        allow_none=True,
        metadata={"description": "Why it is FAILED, such as `card_declined`."},
    )
    cancellation_reason = fields.String(
        data_key="cancellationReason",
        allow_none=True,
        metadata={
            "description": "Why it is CANCELED: what was said with it, or `expired`. Told"
            " as soon as it is decided."
        },
    )
    capture = fields.String(validate=validate.OneOf([capture.value for capture in Capture]))
    amount_captured = fields.Integer(
        data_key="amountCaptured", validate=validate.Range(0, MAX_AMOUNT)
    )
    amount_refunded = fields.Integer(
        data_key="amountRefunded", validate=validate.Range(0, MAX_AMOUNT)
    )
    fee = fields.Integer(
        validate=validate.Range(0, MAX_AMOUNT),
        metadata={"description": "What of the captured amount was not credited to the merchant."},
    )
    expires_at = Timestamp(
        data_key="expiresAt",
        allow_none=True,
        metadata={"description": "The end of its hold, once it was AUTHORIZED."},
    )
    metadata = metadata_shown()
    created_at = Timestamp(data_key="createdAt")
    updated_at = Timestamp(data_key="updatedAt")
