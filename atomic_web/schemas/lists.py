"""Pages of lists, and what is shown in them only."""

from typing import Any, ClassVar

from marshmallow import fields, validate

from atomic_core.domain.ledger import Kind
from atomic_core.domain.lists import MAX_LIMIT
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.use_cases.lists import ExpandedPayment
from atomic_web.schemas.accounts import AccountSchema
from atomic_web.schemas.fields import ResponseSchema, Timestamp
from atomic_web.schemas.payments import PaymentSchema
from atomic_web.schemas.refunds import RefundSchema


class EntrySchema(ResponseSchema):
    """One line of an account's books, on its way out. Amounts are in minor units."""

    account_id = fields.UUID(data_key="accountId")
    sequence = fields.Integer(
        validate=validate.Range(1), metadata={"description": "1, 2, 3 … without a gap."}
    )
    transaction_id = fields.UUID(
        data_key="transactionId", metadata={"description": "Of the ledger, whose legs sum to 0."}
    )
    payment_id = fields.UUID(data_key="paymentId")
    refund_id = fields.UUID(data_key="refundId", allow_none=True)
    kind = fields.String(validate=validate.OneOf([kind.value for kind in Kind]))
    amount = fields.Integer(
        validate=validate.Range(-MAX_AMOUNT, MAX_AMOUNT),
        metadata={"description": "A credit is positive, a debit negative."},
    )
    balance_after = fields.Integer(data_key="balanceAfter", validate=validate.Range(0, MAX_AMOUNT))
    posted_at = Timestamp(data_key="postedAt")


def _items(of: ResponseSchema) -> fields.List:
    return fields.List(
        fields.Nested(of),
        validate=validate.Length(0, MAX_LIMIT),
        metadata={"description": "Newest first."},
    )


class PageSchema(ResponseSchema):
    """A page; its items are shown already."""

    items = fields.List(fields.Raw())
    next_cursor = fields.String(
        data_key="nextCursor",
        allow_none=True,
        metadata={"description": "Send it as `cursor` for the page behind this; null: none is."},
    )


class PaymentPageSchema(PageSchema):
    items = _items(PaymentSchema())


class RefundPageSchema(PageSchema):
    items = _items(RefundSchema())


class AccountPageSchema(PageSchema):
    items = _items(AccountSchema())


class EntryPageSchema(PageSchema):
    items = _items(EntrySchema())


_refund = RefundSchema()
_entry = EntrySchema()


class ExpandedPaymentSchema(PaymentSchema):
    """A payment with what `expand` asked for."""

    optional: ClassVar[frozenset[str]] = frozenset({"refunds", "entries"})

    refunds = fields.List(
        fields.Nested(RefundSchema()),
        metadata={"description": "With `expand=refunds`; newest first."},
    )
    entries = fields.List(
        fields.Nested(EntrySchema()),
        metadata={"description": "With `expand=entries`: those in your account, oldest first."},
    )

    def __init__(self) -> None:
        super().__init__()
        self._outputs = [each for each in self._outputs if each.key not in self.optional]

    def dump(self, obj: ExpandedPayment, *, many: bool | None = None) -> Any:
        shown = super().dump(obj.payment, many=many)
        if obj.refunds is not None:
            shown["refunds"] = [_refund.dump(refund) for refund in obj.refunds]
        if obj.entries is not None:
            shown["entries"] = [_entry.dump(entry) for entry in obj.entries]
        return shown
