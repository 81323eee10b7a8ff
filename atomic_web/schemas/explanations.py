"""Query parameters and response bodies of the explanation of a balance."""

from typing import Final, NamedTuple

from marshmallow import fields, validate

from atomic_core.domain.explanations import MAX_EXPLAINED_ENTRIES, Explanation
from atomic_core.domain.lists import MAX_LIMIT
from atomic_web.http.query import Parameter
from atomic_web.schemas.balances import AT
from atomic_web.schemas.enumerations import CURRENCY, TRANSACTION_KIND, OneOfEnumeration
from atomic_web.schemas.fields import ResponseSchema, Timestamp
from atomic_web.schemas.filters import PAGE_QUERY
from atomic_web.schemas.lists import EntrySchema


def _build_moment(name: str, attribute: str, description: str) -> Parameter:
    return Parameter(
        name=name,
        attribute=attribute,
        parse=AT.parse,
        schema=AT.schema,
        description=f"{description} An RFC 3339 time, with all entries of its millisecond, or a "
        "date for the end of its day in UTC. Encode the `+` of an offset as `%2B`.",
        example="2026-11-22",
        component=f"explain{name.capitalize()}",
    )


EXPLAIN_QUERY: Final = (
    *PAGE_QUERY,
    _build_moment("from", "begin", "The first moment. Default: when the account was opened."),
    _build_moment("to", "end", "The second moment. Default: now."),
)


class RenderedExplanation(NamedTuple):
    """What the schema dumps."""

    explanation: Explanation
    next_cursor: str | None


class KindSumSchema(ResponseSchema):
    """The entries of one kind of ledger transaction."""

    kind = fields.String(validate=OneOfEnumeration(TRANSACTION_KIND))
    entries = fields.Integer(
        validate=validate.Range(1, MAX_EXPLAINED_ENTRIES),
        metadata={"description": "How many there are."},
    )
    debit = fields.Integer(
        validate=validate.Range(0), metadata={"description": "The sum of debits, without sign."}
    )
    credit = fields.Integer(
        validate=validate.Range(0), metadata={"description": "The sum of credits."}
    )
    change = fields.Integer(metadata={"description": "`credit` less `debit`."})


class ExplainedEntrySchema(EntrySchema):
    """An entry, what it was posted for, and the request that caused it."""

    effective_at = Timestamp(data_key="effectiveAt")
    request_id = fields.String(
        data_key="requestId",
        allow_none=True,
        metadata={
            "description": "The `X-Request-Id` of the request that created the payment, refund or "
            "ledger transaction. null if it is not known."
        },
    )


class ExplanationSchema(ResponseSchema):
    """Why the balance of an account differs between two moments, in minor units."""

    account_id = fields.UUID(attribute="explanation.account.id", data_key="accountId")
    currency = fields.String(
        attribute="explanation.account.currency", validate=OneOfEnumeration(CURRENCY)
    )
    begin = Timestamp(attribute="explanation.begin", data_key="from")
    end = Timestamp(attribute="explanation.end", data_key="to")
    opening_balance = fields.Integer(
        attribute="explanation.opening.balance",
        data_key="openingBalance",
        metadata={"description": "At `from`."},
    )
    closing_balance = fields.Integer(
        attribute="explanation.closing.balance",
        data_key="closingBalance",
        metadata={"description": "At `to`."},
    )
    change = fields.Integer(
        attribute="explanation.change",
        metadata={"description": "`closingBalance` less `openingBalance`: the sum of all entries."},
    )
    entries = fields.Integer(
        attribute="explanation.entry_count",
        validate=validate.Range(0, MAX_EXPLAINED_ENTRIES),
        metadata={"description": "How many were posted after `from`, up to `to`."},
    )
    kinds = fields.List(
        fields.Nested(KindSumSchema()),
        attribute="explanation.kinds",
        allow_none=True,
        metadata={"description": "Their sums by kind. null on all pages but the first."},
    )
    items = fields.List(
        fields.Nested(ExplainedEntrySchema()),
        attribute="explanation.page.items",
        validate=validate.Length(0, MAX_LIMIT),
        metadata={"description": "The entries, newest first."},
    )
    next_cursor = fields.String(
        data_key="nextCursor",
        allow_none=True,
        metadata={"description": "The `cursor` of the next page; null on the last page."},
    )
