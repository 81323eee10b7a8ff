"""Request and response bodies of batches of ledger transactions."""

from typing import Any, Final

from marshmallow import fields, validate

from atomic_core.domain.journal_batches import MAX_BATCH_ENTRIES, MAX_BATCH_TRANSACTIONS
from atomic_web.schemas.descriptions import describe_validator
from atomic_web.schemas.fields import RequestSchema, ResponseSchema, StrictBoolean
from atomic_web.schemas.journal import (
    JournalBatchItemSchema,
    JournalTransactionPreviewSchema,
    JournalTransactionSchema,
    build_dry_run,
)

_LENGTH: Final = validate.Length(1, MAX_BATCH_TRANSACTIONS)


class JournalBatchOptionsSchema(RequestSchema):
    """The members of a batch besides its transactions."""

    atomic = StrictBoolean(
        load_default=False,
        metadata={
            "description": "Whether all transactions are posted or none. Otherwise each is posted "
            "or refused by itself."
        },
    )
    dry_run = build_dry_run()


class JournalBatchSchema(JournalBatchOptionsSchema):
    """The body of POST /ledger/transactions/batch. For the OpenAPI document only: the view
    validates item by item, to report errors by the item's index."""

    transactions = fields.List(
        fields.Nested(JournalBatchItemSchema()),
        required=True,
        validate=_LENGTH,
        metadata={
            "description": f"Posted in this order. At most {MAX_BATCH_ENTRIES} entries in all, and "
            "each `externalId` once."
        },
    )


@describe_validator({"$ref": "#/components/schemas/Error"})
def _is_error(_: Any) -> None:
    """For the OpenAPI document only: responses are not validated."""


class _ResultSchema(ResponseSchema):
    status = fields.Integer(
        validate=validate.Range(200, 599),
        metadata={"description": "The status that the transaction would get if posted alone."},
    )
    error = fields.Dict(
        allow_none=True,
        validate=_is_error,
        metadata={"description": "Why it was refused. null: it was not."},
    )


class JournalBatchResultSchema(_ResultSchema):
    """What became of one transaction of a batch."""

    transaction = fields.Nested(
        JournalTransactionSchema(),
        allow_none=True,
        metadata={"description": "null: it was refused."},
    )


class JournalBatchPreviewResultSchema(_ResultSchema):
    """What would become of one transaction of a batch."""

    transaction = fields.Nested(
        JournalTransactionPreviewSchema(),
        allow_none=True,
        metadata={"description": "null: it would be refused."},
    )


class JournalBatchResultsSchema(ResponseSchema):
    """The results of a batch, in the order of the request."""

    results = fields.List(fields.Nested(JournalBatchResultSchema()), validate=_LENGTH)


class JournalBatchPreviewSchema(ResponseSchema):
    """What the results of a batch would be, in the order of the request."""

    results = fields.List(fields.Nested(JournalBatchPreviewResultSchema()), validate=_LENGTH)
