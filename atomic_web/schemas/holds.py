"""What is asked to become of a hold, on the wire."""

from typing import Final

from marshmallow import fields, validate

from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.payments import REQUESTED
from atomic_web.schemas.fields import RequestSchema

REASONS: Final = ("abandoned", "duplicate", "fraudulent", "requested_by_customer", REQUESTED)

AMOUNT: Final = f"Must be a whole number from 1 to {MAX_AMOUNT}."


def some_of_it(description: str) -> fields.Integer:
    """An amount that may be left out: all of it, then."""
    return fields.Integer(
        strict=True,
        load_default=None,
        allow_none=False,
        validate=validate.Range(1, MAX_AMOUNT, error=AMOUNT),
        error_messages={"invalid": AMOUNT, "too_large": AMOUNT},
        metadata={"description": description},
    )


class CaptureSchema(RequestSchema):
    """The body of POST /payments/{id}/capture."""

    amount = some_of_it("In minor units; all that is held if left out. The rest is let go.")


class CancelSchema(RequestSchema):
    """The body of POST /payments/{id}/cancel."""

    reason = fields.String(load_default=REQUESTED, validate=validate.OneOf(REASONS))
