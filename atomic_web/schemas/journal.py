"""Request and response bodies of ledger transactions."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from marshmallow import ValidationError, fields, validate

from atomic_core.domain.journal import (
    DEFAULT_PENDING_PERIOD,
    MAX_ENTRIES,
    MAX_PENDING_PERIOD,
    MIN_ENTRIES,
)
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.posting import Leg
from atomic_web.schemas.descriptions import describe_validator
from atomic_web.schemas.enumerations import (
    CURRENCY,
    LEDGER_TRANSACTION_STATUS,
    OneOfEnumeration,
)
from atomic_web.schemas.fields import (
    INVALID_LENGTH,
    RequestSchema,
    ResponseSchema,
    StrictBoolean,
    Timestamp,
    check_uuid,
)
from atomic_web.schemas.filters import MAX_EXTERNAL_ID
from atomic_web.schemas.lists import PageSchema, build_items_field
from atomic_web.schemas.metadata import build_metadata_input, build_metadata_output
from atomic_web.schemas.times import check_time, parse_time

MAX_DESCRIPTION: Final = 500

INVALID_AMOUNT: Final = (
    f"Must be an integer number of minor units from -{MAX_AMOUNT} to {MAX_AMOUNT}, and not 0."
)


INVALID_PART: Final = f"Must be an integer number of minor units from 1 to {MAX_AMOUNT}."


@describe_validator({"minimum": -MAX_AMOUNT, "maximum": MAX_AMOUNT, "not": {"const": 0}})
def _check_amount(amount: int) -> None:
    if amount == 0 or abs(amount) > MAX_AMOUNT:
        raise ValidationError(INVALID_AMOUNT)


def build_dry_run() -> StrictBoolean:
    return StrictBoolean(
        data_key="dryRun",
        load_default=False,
        metadata={"description": "Answers what would be posted, and changes nothing."},
    )


class NewJournalEntrySchema(RequestSchema):
    """An entry of a new ledger transaction."""

    account_id = fields.String(
        data_key="accountId",
        required=True,
        validate=check_uuid,
        metadata={"description": "An account of the merchant. An account has one entry at most."},
    )
    amount = fields.Integer(
        strict=True,
        required=True,
        validate=_check_amount,
        error_messages={"invalid": INVALID_AMOUNT, "too_large": INVALID_AMOUNT},
        metadata={"description": "In minor units. A credit is positive, a debit negative."},
    )


class ReversalSchema(RequestSchema):
    """The body of POST /ledger/transactions/{id}/reverse."""

    description = fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.Length(1, MAX_DESCRIPTION, error=INVALID_LENGTH),
    )
    metadata = build_metadata_input()
    external_id = fields.String(
        data_key="externalId",
        load_default=None,
        allow_none=False,
        validate=validate.Length(1, MAX_EXTERNAL_ID, error=INVALID_LENGTH),
        metadata={"description": "The merchant's own id. Unique among its ledger transactions."},
    )
    effective_at = fields.String(
        data_key="effectiveAt",
        load_default=None,
        allow_none=False,
        validate=check_time,
        metadata={
            "description": "When it takes effect in the merchant's books, in the past or the "
            "future. Default: when it is posted."
        },
    )


class JournalBatchItemSchema(ReversalSchema):
    """A transaction of a batch."""

    entries = fields.List(
        fields.Nested(NewJournalEntrySchema()),
        required=True,
        validate=validate.Length(
            MIN_ENTRIES, MAX_ENTRIES, error="Must have {min} to {max} entries."
        ),
        metadata={"description": "The amounts of each currency sum to 0."},
    )
    pending = StrictBoolean(
        load_default=False,
        metadata={"description": "Reserves the entries, to be posted or voided later."},
    )
    expires_at = fields.String(
        data_key="expiresAt",
        load_default=None,
        allow_none=False,
        validate=check_time,
        metadata={
            "description": "When a pending transaction releases what it reserves: in the future, "
            f"by at most {MAX_PENDING_PERIOD.days} days. Default: after "
            f"{DEFAULT_PENDING_PERIOD.days} days."
        },
    )


class NewJournalTransactionSchema(JournalBatchItemSchema):
    """The body of POST /ledger/transactions."""

    dry_run = build_dry_run()


class PendingPostSchema(RequestSchema):
    """The body of POST /ledger/transactions/{id}/post. All is posted without `amount` and
    `entries`."""

    amount = fields.Integer(
        strict=True,
        load_default=None,
        allow_none=False,
        validate=validate.Range(1, MAX_AMOUNT, error=INVALID_PART),
        error_messages={"invalid": INVALID_PART, "too_large": INVALID_PART},
        metadata={"description": "The part to post of a transaction with two entries."},
    )
    entries = fields.List(
        fields.Nested(NewJournalEntrySchema()),
        load_default=None,
        allow_none=False,
        validate=validate.Length(
            MIN_ENTRIES, MAX_ENTRIES, error="Must have {min} to {max} entries."
        ),
        metadata={
            "description": "The parts to post, each at most the reserved amount of its account. The"
            " amounts of each currency sum to 0. Accounts that are not named get no entry."
        },
    )


class VoidSchema(RequestSchema):
    """The body of POST /ledger/transactions/{id}/void, which is empty."""


def build_contents(values: dict[str, Any]) -> dict[str, Any]:
    """The common members of both requests, as the use cases name them."""
    return {
        "description": values["description"],
        "metadata": values["metadata"],
        "external_id": values["external_id"],
        "effective_at": parse_optional_time(values["effective_at"]),
    }


def parse_optional_time(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)


def build_legs(entries: list[dict[str, Any]]) -> tuple[Leg, ...]:
    return tuple(Leg(UUID(entry["account_id"]), entry["amount"]) for entry in entries)


class JournalEntrySchema(ResponseSchema):
    """An entry of a ledger transaction."""

    account_id = fields.UUID(data_key="accountId")
    currency = fields.String(validate=OneOfEnumeration(CURRENCY))
    amount = fields.Integer(
        validate=validate.Range(-MAX_AMOUNT, MAX_AMOUNT),
        metadata={
            "description": "As requested: that of a PENDING transaction is reserved. A credit is "
            "positive, a debit negative."
        },
    )
    posted_amount = fields.Integer(
        data_key="postedAmount",
        validate=validate.Range(-MAX_AMOUNT, MAX_AMOUNT),
        metadata={"description": "0 unless the transaction is POSTED, and at most `amount`."},
    )
    sequence = fields.Integer(
        allow_none=True,
        validate=validate.Range(1),
        metadata={"description": "The number of the entry in its account. null: not posted."},
    )
    balance_after = fields.Integer(
        data_key="balanceAfter",
        allow_none=True,
        validate=validate.Range(-MAX_AMOUNT, MAX_AMOUNT),
        metadata={
            "description": "The balance of the account directly after the entry. null: not posted."
        },
    )


class JournalTransactionPreviewSchema(ResponseSchema):
    """What a ledger transaction would be."""

    merchant_id = fields.UUID(data_key="merchantId")
    status = fields.String(validate=OneOfEnumeration(LEDGER_TRANSACTION_STATUS))
    entries = fields.List(
        fields.Nested(JournalEntrySchema()),
        validate=validate.Length(MIN_ENTRIES, MAX_ENTRIES),
        metadata={"description": "In the order of the request."},
    )
    description = fields.String(allow_none=True)
    metadata = build_metadata_output()
    external_id = fields.String(data_key="externalId", allow_none=True)
    effective_at = Timestamp(
        data_key="effectiveAt",
        allow_none=True,
        metadata={"description": "null: when it is posted, and it is not."},
    )
    posted_at = Timestamp(data_key="postedAt", allow_none=True)
    expires_at = Timestamp(
        data_key="expiresAt",
        allow_none=True,
        metadata={"description": "null if it was posted at once."},
    )


class JournalTransactionSchema(JournalTransactionPreviewSchema):
    """A ledger transaction between accounts of the merchant."""

    id = fields.UUID()
    reverses_id = fields.UUID(
        data_key="reversesId",
        allow_none=True,
        metadata={"description": "The transaction whose entries it negates."},
    )
    reversed_by_id = fields.UUID(
        data_key="reversedById",
        allow_none=True,
        metadata={"description": "The transaction that negates its entries."},
    )
    resolved_at = Timestamp(
        data_key="resolvedAt",
        allow_none=True,
        metadata={"description": "When a pending one was posted, voided or expired."},
    )
    idempotency_key = fields.String(data_key="idempotencyKey", allow_none=True)
    created_at = Timestamp(data_key="createdAt")


class JournalTransactionPageSchema(PageSchema):
    """A page of ledger transactions."""

    items = build_items_field(JournalTransactionSchema())
