"""Merchants, their sessions and their dashboard on the wire."""

from collections.abc import Callable
from typing import Final

from marshmallow import ValidationError, fields, validate

from atomic_core.domain.credentials import (
    EMAIL_PATTERN,
    MAX_EMAIL,
    MAX_PASSWORD,
    MIN_PASSWORD,
    normal_email,
    normal_password,
)
from atomic_core.domain.dashboard import LAST_PAYMENTS, MAX_ACCOUNTS, MAX_COUNTED
from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.merchants import TOKEN_PREFIX
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.payments import Status
from atomic_web.schemas.accounts import AccountSchema
from atomic_web.schemas.descriptions import described
from atomic_web.schemas.fields import CODE, RequestSchema, ResponseSchema, Timestamp
from atomic_web.schemas.payments import PaymentSchema

MAX_NAME: Final = 100
"""Characters of a merchant's name."""


@described(
    {
        "format": "email",
        "maxLength": MAX_EMAIL,
        "pattern": f"^{EMAIL_PATTERN}$",
        "description": "ASCII, at most 64 characters before the @. In any case: it is kept "
        "in lower case, and one address has one merchant.",
    }
)
def check_email(text: str) -> None:
    _judge(text, normal_email, "email")


@described(
    {
        "format": "password",
        "minLength": MIN_PASSWORD,
        "maxLength": MAX_PASSWORD,
        "description": "Any characters, counted and compared in Unicode's normal form C.",
    }
)
def check_password(text: str) -> None:
    _judge(text, normal_password, "password")


@described({"minLength": 1, "maxLength": MAX_NAME})
def check_name(text: str) -> None:
    if not 1 <= len(text) <= MAX_NAME or not text.isprintable() or not text.strip():
        raise ValidationError(f"Must be 1 to {MAX_NAME} printable characters.")


def _judge(text: str, judge: Callable[[str], str], name: str) -> None:
    try:
        judge(text)
    except ValidationFailed as refused:
        raise ValidationError(list((refused.details or {})[name])) from refused


class LoginSchema(RequestSchema):
    """The body of POST /merchants/login."""

    email = fields.String(required=True, validate=check_email)
    password = fields.String(required=True, validate=check_password)


class RegistrationSchema(LoginSchema):
    """The body of POST /merchants/register."""

    name = fields.String(
        validate=check_name, metadata={"description": "Of the shop; the email if left out."}
    )


class RegisteredSchema(ResponseSchema):
    """A merchant by its credentials, on its way out."""

    id = fields.UUID(attribute="merchant_id")
    email = fields.String()
    account_id = fields.UUID(
        data_key="accountId", metadata={"description": "The account that was opened with it."}
    )


class LoggedInSchema(ResponseSchema):
    """A session at the only moment its token is told."""

    token = fields.String(
        allow_none=True,
        validate=validate.Regexp(f"^{TOKEN_PREFIX}[0-9a-f]{{48}}$"),
        metadata={"description": "Told once; null in a repeat with the same Idempotency-Key."},
    )
    expires_at = Timestamp(attribute="session.expires_at", data_key="expiresAt")
    merchant = fields.Nested(RegisteredSchema(), attribute="credentials")


class LoggedOutSchema(ResponseSchema):
    revoked = fields.Boolean(validate=validate.Equal(comparable=True))


class ProfileSchema(ResponseSchema):
    """A merchant, on its way out."""

    id = fields.UUID()
    name = fields.String()
    email = fields.String()
    created_at = Timestamp(data_key="createdAt")


class TotalSchema(ResponseSchema):
    """Payments of one status and currency together."""

    status = fields.String(validate=validate.OneOf([status.value for status in Status]))
    currency = fields.String(validate=CODE)
    count = fields.Integer(validate=validate.Range(1))
    amount = fields.Integer(
        validate=validate.Range(1, MAX_AMOUNT),
        metadata={"description": f"In minor units; {MAX_AMOUNT} if it is more."},
    )


class DashboardSchema(ResponseSchema):
    """What a merchant sees first, all of one moment."""

    merchant = fields.Nested(ProfileSchema(), attribute="profile")
    accounts = fields.List(
        fields.Nested(AccountSchema()),
        validate=validate.Length(0, MAX_ACCOUNTS),
        metadata={"description": "The oldest."},
    )
    payments = fields.List(
        fields.Nested(PaymentSchema()),
        validate=validate.Length(0, LAST_PAYMENTS),
        metadata={"description": "The last ones, newest first."},
    )
    today = fields.List(
        fields.Nested(TotalSchema()),
        metadata={"description": "Payments since midnight UTC, by status and currency."},
    )
    last_30_days = fields.List(
        fields.Nested(TotalSchema()),
        data_key="last30Days",
        metadata={"description": "Payments of today and the 29 days before it."},
    )
    totals_complete = fields.Boolean(
        attribute="whole",
        data_key="totalsComplete",
        metadata={"description": f"False if only the newest {MAX_COUNTED} were counted."},
    )
    at = Timestamp()
