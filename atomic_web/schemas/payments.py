"""Payments on the wire (api.md)."""

import re
from typing import Final

from marshmallow import ValidationError, fields, validate

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.webhooks import check_webhook_url
from atomic_web.schemas.fields import (
    RequestSchema,
    ResponseSchema,
    Timestamp,
    check_currency,
    check_uuid,
)

MAX_DESCRIPTION: Final = 500
SOURCE: Final = re.compile(r"tok_[A-Za-z0-9_]{1,60}")

_AMOUNT: Final = f"Must be a whole number from 1 to {MAX_AMOUNT}."


def _check_source(source: str) -> None:
    if not SOURCE.fullmatch(source):
        raise ValidationError("Must be tok_ and 1 to 60 of A-Z, a-z, 0-9 and _.")


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
    )
    currency = fields.String(required=True, validate=check_currency)
    source = fields.String(required=True, validate=_check_source)
    merchant_id = fields.String(data_key="merchantId", validate=check_uuid)
    description = fields.String(
        load_default="API Payment", validate=validate.Length(1, MAX_DESCRIPTION)
    )
    webhook_url = fields.String(
        data_key="webhookUrl", load_default=None, allow_none=False, validate=_check_webhook
    )


class PaymentSchema(ResponseSchema):
    """A payment, on its way out."""

    id = fields.UUID()
    merchant_id = fields.UUID(data_key="merchantId")
    amount = fields.Integer(attribute="money.amount")
    currency = fields.String(attribute="money.currency")
    source = fields.String()
    description = fields.String()
    status = fields.String()
    idempotency_key = fields.String(data_key="idempotencyKey")
    webhook_url = fields.String(data_key="webhookUrl")
    failure_reason = fields.String(data_key="failureReason")
    created_at = Timestamp(data_key="createdAt")
    updated_at = Timestamp(data_key="updatedAt")
