"""Response bodies of lists."""

from typing import Any, ClassVar

from marshmallow import fields, validate

from atomic_core.domain.lists import MAX_LIMIT
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.use_cases.lists import ExpandedPayment
from atomic_web.schemas.accounts import AccountSchema
from atomic_web.schemas.enumerations import TRANSACTION_KIND, OneOfEnumeration
from atomic_web.schemas.fields import ResponseSchema, Timestamp
from atomic_web.schemas.payments import PaymentSchema
from atomic_web.schemas.refunds import RefundSchema


class EntrySchema(ResponseSchema):
    """A ledger entry of an account. Amounts are in minor units."""

    account_id = fields.UUID(data_key="accountId")
    sequence = fields.Integer(
        validate=validate.Range(1), metadata={"description": "1, 2, 3 … without gaps, per account."}
    )
    transaction_id = fields.UUID(
        data_key="transactionId",
        metadata={"description": "The ledger transaction. Its entries sum to 0."},
    )
    payment_id = fields.UUID(
        data_key="paymentId",
        allow_none=True,
        metadata={"description": "null if the kind is `journal`."},
    )
    refund_id = fields.UUID(data_key="refundId", allow_none=True)
    dispute_id = fields.UUID(data_key="disputeId", allow_none=True)
    kind = fields.String(validate=OneOfEnumeration(TRANSACTION_KIND))
    amount = fields.Integer(
        validate=validate.Range(-MAX_AMOUNT, MAX_AMOUNT),
        metadata={"description": "A credit is positive, a debit negative."},
    )
    balance_after = fields.Integer(
        data_key="balanceAfter",
        validate=validate.Range(-MAX_AMOUNT, MAX_AMOUNT),
        metadata={"description": "Only a dispute takes it below 0."},
    )
    posted_at = Timestamp(
        data_key="postedAt", metadata={"description": "Never before that of the previous entry."}
    )


def build_items_field(item_schema: ResponseSchema) -> fields.List:
    return fields.List(
        fields.Nested(item_schema),
        validate=validate.Length(0, MAX_LIMIT),
        metadata={"description": "Newest first."},
    )


class PageSchema(ResponseSchema):
    """A page of a list."""

    items = fields.List(fields.Raw())
    next_cursor = fields.String(
        data_key="nextCursor",
        allow_none=True,
        metadata={"description": "The `cursor` of the next page; null on the last page."},
    )


class PaymentPageSchema(PageSchema):
    items = build_items_field(PaymentSchema())


class RefundPageSchema(PageSchema):
    items = build_items_field(RefundSchema())


class AccountPageSchema(PageSchema):
    items = build_items_field(AccountSchema())


class EntryPageSchema(PageSchema):
    items = build_items_field(EntrySchema())


_refund_schema = RefundSchema()
_entry_schema = EntrySchema()


class ExpandedPaymentSchema(PaymentSchema):
    """A payment with the related objects that `expand` names."""

    optional: ClassVar[frozenset[str]] = frozenset({"refunds", "entries"})

    refunds = fields.List(
        fields.Nested(RefundSchema()),
        metadata={"description": "With `expand=refunds`: its refunds, newest first."},
    )
    entries = fields.List(
        fields.Nested(EntrySchema()),
        metadata={
            "description": "With `expand=entries`: entries in the merchant's account, oldest first."
        },
    )

    def __init__(self) -> None:
        super().__init__()
        self._outputs = [output for output in self._outputs if output.key not in self.optional]

    def dump(self, obj: ExpandedPayment, *, many: bool | None = None) -> Any:
        data = super().dump(obj.payment, many=many)
        if obj.refunds is not None:
            data["refunds"] = [_refund_schema.dump(refund) for refund in obj.refunds]
        if obj.entries is not None:
            data["entries"] = [_entry_schema.dump(entry) for entry in obj.entries]
        return data


class PaymentDetailsSchema(ResponseSchema):
    payment = fields.Nested(ExpandedPaymentSchema())
