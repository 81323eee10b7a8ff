"""Request and response bodies of merchants, sessions and the dashboard."""

from collections.abc import Callable
from typing import Final

from marshmallow import ValidationError, fields, validate

from atomic_core.domain.credentials import (
    EMAIL_PATTERN,
    MAX_EMAIL_LENGTH,
    MAX_PASSWORD_LENGTH,
    MIN_PASSWORD_LENGTH,
    normalize_email,
    normalize_password,
)
from atomic_core.domain.dashboard import (
    MAX_ACCOUNTS,
    MAX_COUNTED_OPEN_PAYMENTS,
    MAX_RECENT_PAYMENTS,
)
from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.merchants import TOKEN_PREFIX
from atomic_core.domain.money import MAX_AMOUNT
from atomic_web.schemas.accounts import AccountSchema
from atomic_web.schemas.descriptions import describe_validator
from atomic_web.schemas.enumerations import CURRENCY, PAYMENT_STATUS, OneOfEnumeration
from atomic_web.schemas.fields import RequestSchema, ResponseSchema, Timestamp
from atomic_web.schemas.payments import PaymentSchema

MAX_NAME: Final = 100
"""Characters."""


@describe_validator(
    {
        "format": "email",
        "maxLength": MAX_EMAIL_LENGTH,
        "pattern": f"^{EMAIL_PATTERN}$",
        "description": "ASCII, with at most 64 characters before the @. Stored in lower case; "
        "unique per merchant.",
    }
)
def check_email(text: str) -> None:
    _validate_by_normalizing(text, normalize_email, "email")


@describe_validator(
    {
        "format": "password",
        "minLength": MIN_PASSWORD_LENGTH,
        "maxLength": MAX_PASSWORD_LENGTH,
        "description": "Any characters, counted and compared in Unicode normalization form C.",
    }
)
def check_password(text: str) -> None:
    _validate_by_normalizing(text, normalize_password, "password")


@describe_validator({"minLength": 1, "maxLength": MAX_NAME})
def check_name(text: str) -> None:
    if not 1 <= len(text) <= MAX_NAME or not text.isprintable() or not text.strip():
        raise ValidationError(f"Must be 1 to {MAX_NAME} printable characters.")


def _validate_by_normalizing(text: str, normalize: Callable[[str], str], name: str) -> None:
    try:
        normalize(text)
    except ValidationFailed as error:
        raise ValidationError(list((error.details or {})[name])) from error


class LoginSchema(RequestSchema):
    """The body of POST /merchants/login."""

    email = fields.String(required=True, validate=check_email)
    password = fields.String(required=True, validate=check_password)


class RegistrationSchema(LoginSchema):
    """The body of POST /merchants/register."""

    name = fields.String(
        validate=check_name, metadata={"description": "The name of the shop. Default: the email."}
    )


class RegisteredMerchantSchema(ResponseSchema):
    """A registered merchant."""

    id = fields.UUID(attribute="merchant_id")
    email = fields.String()
    account_id = fields.UUID(
        data_key="accountId",
        metadata={"description": "The account that was opened at registration."},
    )


class NewSessionSchema(ResponseSchema):
    """A new session, in the only response that contains its token."""

    token = fields.String(
        allow_none=True,
        validate=validate.Regexp(f"^{TOKEN_PREFIX}[0-9a-f]{{48}}$"),
        metadata={"description": "The secret. null in a replay with the same Idempotency-Key."},
    )
    expires_at = Timestamp(attribute="session.expires_at", data_key="expiresAt")
    merchant = fields.Nested(RegisteredMerchantSchema(), attribute="credentials")


class PasswordChangeSchema(RequestSchema):
    """The body of POST /merchants/password."""

    current_password = fields.String(
        data_key="currentPassword", required=True, validate=check_password
    )
    new_password = fields.String(data_key="newPassword", required=True, validate=check_password)


class ChangedPasswordSchema(ResponseSchema):
    changed = fields.Boolean(validate=validate.Equal(comparable=True))
    revoked_sessions = fields.Integer(
        data_key="revokedSessions",
        validate=validate.Range(0),
        metadata={"description": "How many other sessions ended."},
    )


class MerchantProfileSchema(ResponseSchema):
    id = fields.UUID()
    name = fields.String()
    email = fields.String()
    created_at = Timestamp(data_key="createdAt")


class PaymentTotalSchema(ResponseSchema):
    """Payments of one status and currency: how many, and what their ledger transactions moved."""

    status = fields.String(validate=OneOfEnumeration(PAYMENT_STATUS))
    currency = fields.String(validate=OneOfEnumeration(CURRENCY))
    count = fields.Integer(validate=validate.Range(1))
    amount = fields.Integer(
        validate=validate.Range(1, MAX_AMOUNT),
        metadata={
            "description": "What was captured if the status is SUCCESS, else what was requested. "
            f"Like all totals in minor units, capped at {MAX_AMOUNT}."
        },
    )
    captured = fields.Integer(
        validate=validate.Range(0, MAX_AMOUNT),
        metadata={"description": "0 unless the status is SUCCESS."},
    )
    refunded = fields.Integer(
        validate=validate.Range(0, MAX_AMOUNT),
        metadata={"description": "By refunds of these payments that are SUCCESS."},
    )
    fees = fields.Integer(validate=validate.Range(0, MAX_AMOUNT))
    net = fields.Integer(
        validate=validate.Range(-MAX_AMOUNT, MAX_AMOUNT),
        metadata={
            "description": "captured less refunded and fees: what these payments added to the "
            "balances of your accounts, without disputes."
        },
    )


class DashboardSchema(ResponseSchema):
    """The merchant's dashboard, from one consistent snapshot."""

    merchant = fields.Nested(MerchantProfileSchema(), attribute="profile")
    accounts = fields.List(
        fields.Nested(AccountSchema()),
        validate=validate.Length(0, MAX_ACCOUNTS),
        metadata={"description": f"The oldest {MAX_ACCOUNTS} accounts."},
    )
    payments = fields.List(
        fields.Nested(PaymentSchema()),
        validate=validate.Length(0, MAX_RECENT_PAYMENTS),
        metadata={"description": "The latest payments, newest first."},
    )
    today = fields.List(
        fields.Nested(PaymentTotalSchema()),
        metadata={
            "description": "Payments created since midnight UTC, by status and currency. Their "
            "refunds count whenever they were made."
        },
    )
    last_30_days = fields.List(
        fields.Nested(PaymentTotalSchema()),
        data_key="last30Days",
        metadata={"description": "Payments created today and in the 29 days before."},
    )
    totals_complete = fields.Boolean(
        attribute="are_totals_complete",
        data_key="totalsComplete",
        metadata={
            "description": "false if more payments are PENDING or PROCESSING than "
            f"{MAX_COUNTED_OPEN_PAYMENTS}: then only the newest of each currency are counted, at "
            "most that many. All other payments are always counted."
        },
    )
    at = Timestamp()
