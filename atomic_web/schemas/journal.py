"""Request and response bodies of ledger transactions."""

from typing import Any, Final
from uuid import UUID

from marshmallow import ValidationError, fields, validate

from atomic_core.domain.journal import MAX_ENTRIES, MIN_ENTRIES
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


@describe_validator({"minimum": -MAX_AMOUNT, "maximum": MAX_AMOUNT, "not": {"const": 0}})
def _check_amount(amount: int) -> None:
    if amount == 0 or abs(amount) > MAX_AMOUNT:
        raise ValidationError(INVALID_AMOUNT)


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


class NewJournalTransactionSchema(ReversalSchema):
    """The body of POST /ledger/transactions."""

    entries = fields.List(
        fields.Nested(NewJournalEntrySchema()),
        required=True,
        validate=validate.Length(
            MIN_ENTRIES, MAX_ENTRIES, error="Must have {min} to {max} entries."
        ),
        metadata={"description": "The amounts of each currency sum to 0."},
    )
    dry_run = StrictBoolean(
        data_key="dryRun",
        load_default=False,
        metadata={"description": "Answers what would be posted, and changes nothing."},
    )


def build_contents(values: dict[str, Any]) -> dict[str, Any]:
    """The common members of both requests, as the use cases name them."""
    effective_at = values["effective_at"]
    return {
        "description": values["description"],
        "metadata": values["metadata"],
        "external_id": values["external_id"],
        "effective_at": None if effective_at is None else parse_time(effective_at),
    }


def build_legs(entries: list[dict[str, Any]]) -> tuple[Leg, ...]:
    return tuple(Leg(UUID(entry["account_id"]), entry["amount"]) for entry in entries)


class JournalEntrySchema(ResponseSchema):
    """An entry of a ledger transaction."""

    account_id = fields.UUID(data_key="accountId")
    currency = fields.String(validate=OneOfEnumeration(CURRENCY))
    amount = fields.Integer(
        validate=validate.Range(-MAX_AMOUNT, MAX_AMOUNT),
        metadata={"description": "A credit is positive, a debit negative."},
    )
    sequence = fields.Integer(
        validate=validate.Range(1),
        metadata={"description": "The number of the entry in its account."},
    )
    balance_after = fields.Integer(
        data_key="balanceAfter",
        validate=validate.Range(-MAX_AMOUNT, MAX_AMOUNT),
        metadata={"description": "The balance of the account directly after the entry."},
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
    effective_at = Timestamp(data_key="effectiveAt")
    posted_at = Timestamp(data_key="postedAt")


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
    idempotency_key = fields.String(data_key="idempotencyKey", allow_none=True)
    created_at = Timestamp(data_key="createdAt")


class JournalTransactionPageSchema(PageSchema):
    """A page of ledger transactions."""

    items = build_items_field(JournalTransactionSchema())
