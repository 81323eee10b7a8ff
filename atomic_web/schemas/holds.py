"""Request bodies of captures and cancellations."""

from marshmallow import fields, validate

from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.payments import REASON_REQUESTED_BY_MERCHANT
from atomic_web.schemas.enumerations import CANCELLATION_REASON, OneOfEnumeration
from atomic_web.schemas.fields import INVALID_AMOUNT, RequestSchema


def build_optional_amount_field(description: str) -> fields.Integer:
    """An amount in minor units; None, for the full amount, if it is absent."""
    return fields.Integer(
        strict=True,
        load_default=None,
        allow_none=False,
        validate=validate.Range(1, MAX_AMOUNT, error=INVALID_AMOUNT),
        error_messages={"invalid": INVALID_AMOUNT, "too_large": INVALID_AMOUNT},
        metadata={"description": description},
    )


class PaymentCaptureSchema(RequestSchema):
    """The body of POST /payments/{id}/capture."""

    amount = build_optional_amount_field(
        "In minor units. Default: the whole hold. The rest of the hold is released."
    )


class PaymentCancellationSchema(RequestSchema):
    """The body of POST /payments/{id}/cancel."""

    reason = fields.String(
        load_default=REASON_REQUESTED_BY_MERCHANT, validate=OneOfEnumeration(CANCELLATION_REASON)
    )
