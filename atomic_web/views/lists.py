"""The lists: GET /payments, /refunds, /accounts, a payment's refunds and an account's entries."""

from collections.abc import Sequence
from typing import Any, Final

from flask import Blueprint, Response

from atomic_core.domain.lists import AccountFilter, CreatedFilter, PaymentFilter, RefundFilter
from atomic_core.domain.merchants import Scope
from atomic_web.access.authentication import requires_api_key
from atomic_web.context import request_context
from atomic_web.http.cursors import CursorCodec
from atomic_web.http.ids import parse_path_id
from atomic_web.http.pages import RenderedPage, render_numbered_page, render_page
from atomic_web.http.query import Parameter, parse_query
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import NOT_FOUND, ErrorResponse
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.schemas.accounts import AccountSchema
from atomic_web.schemas.filters import (
    ACCOUNT_QUERY,
    ENTRY_QUERY,
    PAYMENT_QUERY,
    PAYMENT_REFUND_QUERY,
    REFUND_QUERY,
    split_page_parameters,
)
from atomic_web.schemas.lists import (
    AccountPageSchema,
    EntryPageSchema,
    EntrySchema,
    PageSchema,
    PaymentPageSchema,
    RefundPageSchema,
)
from atomic_web.schemas.payments import PaymentSchema
from atomic_web.schemas.refunds import RefundSchema

views = Blueprint("lists", __name__)

_payment_schema: Final = PaymentSchema()
_refund_schema: Final = RefundSchema()
_account_schema: Final = AccountSchema()
_entry_schema: Final = EntrySchema()

_payment_page_schema: Final = PaymentPageSchema()
_refund_page_schema: Final = RefundPageSchema()
_account_page_schema: Final = AccountPageSchema()
_entry_page_schema: Final = EntryPageSchema()


def _build_list_operation(
    id: str,
    summary: str,
    query: Sequence[Parameter],
    page_schema: PageSchema,
    example: Any,
    error_responses: Sequence[ErrorResponse] = (),
) -> Operation:
    return Operation(
        id=id,
        summary=summary,
        description="Newest first. `nextCursor` leads to the next page. Items created meanwhile "
        "come before the first page, so no item is returned twice or skipped. An item must match "
        "all filters.",
        query=query,
        responses=(
            Success(
                status=200,
                description="A page.",
                data=page_schema,
                examples={
                    "first": RenderedPage([example], examples.CURSOR),
                    "empty": RenderedPage([], None),
                },
            ),
        ),
        error_responses=error_responses,
    )


PAYMENTS: Final = _build_list_operation(
    "listPayments",
    "List payments",
    PAYMENT_QUERY,
    _payment_page_schema,
    _payment_schema.dump(examples.SUCCESS),
)
REFUNDS: Final = _build_list_operation(
    "listRefunds",
    "List refunds",
    REFUND_QUERY,
    _refund_page_schema,
    _refund_schema.dump(examples.REFUNDED),
)
REFUNDS_OF_PAYMENT: Final = _build_list_operation(
    "listRefundsOfPayment",
    "List the refunds of a payment",
    PAYMENT_REFUND_QUERY,
    _refund_page_schema,
    _refund_schema.dump(examples.REFUNDED),
    (NOT_FOUND,),
)
ACCOUNTS: Final = _build_list_operation(
    "listAccounts",
    "List accounts",
    ACCOUNT_QUERY,
    _account_page_schema,
    _account_schema.dump(examples.ACCOUNT),
)
ENTRIES: Final = _build_list_operation(
    "listEntriesOfAccount",
    "List the ledger entries of an account",
    ENTRY_QUERY,
    _entry_page_schema,
    _entry_schema.dump(examples.ENTRY),
    (NOT_FOUND,),
)


@views.get("/payments")
@describe_operation(PAYMENTS)
@requires_api_key(scope=Scope.PAYMENTS_READ)
def payments() -> Response:
    limit, cursor, filters = split_page_parameters(parse_query(PAYMENT_QUERY))
    payment_filter, context = PaymentFilter(**filters), request_context()
    codec = CursorCodec(context.merchant_id, ("payments", payment_filter))
    page = context.application.payments.list(
        context.merchant_id, payment_filter, codec.decode_position(cursor), limit
    )
    return render_page(page, _payment_page_schema, _payment_schema, codec)


@views.get("/refunds")
@describe_operation(REFUNDS)
@requires_api_key(scope=Scope.PAYMENTS_READ)
def refunds() -> Response:
    limit, cursor, filters = split_page_parameters(parse_query(REFUND_QUERY))
    refund_filter, context = RefundFilter(**filters), request_context()
    codec = CursorCodec(context.merchant_id, ("refunds", refund_filter))
    page = context.application.refunds.list(
        context.merchant_id, refund_filter, codec.decode_position(cursor), limit
    )
    return render_page(page, _refund_page_schema, _refund_schema, codec)


@views.get("/payments/<id>/refunds")
@describe_operation(REFUNDS_OF_PAYMENT)
@requires_api_key(scope=Scope.PAYMENTS_READ)
def refunds_of_payment(id: str) -> Response:
    payment_id, context = parse_path_id(id), request_context()
    context.payment_id = payment_id
    limit, cursor, filters = split_page_parameters(parse_query(PAYMENT_REFUND_QUERY))
    refund_filter = RefundFilter(payment_id=payment_id, **filters)
    codec = CursorCodec(context.merchant_id, ("refunds of payment", refund_filter))
    page = context.application.refunds.list_by_payment(
        context.merchant_id, refund_filter, codec.decode_position(cursor), limit
    )
    return render_page(page, _refund_page_schema, _refund_schema, codec)


@views.get("/accounts")
@describe_operation(ACCOUNTS)
@requires_api_key(scope=Scope.ACCOUNTS_READ)
def accounts() -> Response:
    limit, cursor, filters = split_page_parameters(parse_query(ACCOUNT_QUERY))
    account_filter, context = AccountFilter(**filters), request_context()
    codec = CursorCodec(context.merchant_id, ("accounts", account_filter))
    page = context.application.accounts.list(
        context.merchant_id, account_filter, codec.decode_position(cursor), limit
    )
    return render_page(page, _account_page_schema, _account_schema, codec)


@views.get("/accounts/<id>/entries")
@describe_operation(ENTRIES)
@requires_api_key(scope=Scope.ACCOUNTS_READ)
def entries(id: str) -> Response:
    account_id, context = parse_path_id(id), request_context()
    limit, cursor, filters = split_page_parameters(parse_query(ENTRY_QUERY))
    entry_filter = CreatedFilter(**filters)
    codec = CursorCodec(context.merchant_id, ("entries", account_id, entry_filter))
    page = context.application.accounts.list_entries(
        context.merchant_id, account_id, entry_filter, codec.decode_sequence(cursor), limit
    )
    return render_numbered_page(page, _entry_page_schema, _entry_schema, codec)
