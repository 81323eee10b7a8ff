"""GET /payments, /refunds, /accounts and an account's entries, a page at a time."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from flask import Blueprint, Response

from atomic_core.domain.lists import (
    AccountFilter,
    CreatedFilter,
    Page,
    PaymentFilter,
    Position,
    RefundFilter,
    T,
)
from atomic_core.domain.merchants import Scope
from atomic_web.access.authentication import authenticated
from atomic_web.context import request_context
from atomic_web.http.cursors import Cursors
from atomic_web.http.ids import path_id
from atomic_web.http.query import Parameter, read_query
from atomic_web.http.responses import ok
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import NOT_FOUND, Refusal
from atomic_web.openapi.operation import Operation, Success, documented
from atomic_web.schemas.accounts import AccountSchema
from atomic_web.schemas.filters import (
    AMOUNTS,
    CREATED,
    CURRENCY,
    METADATA,
    PAGE,
    PAYMENT_ID,
    PAYMENT_STATUS,
    REFUND_STATUS,
    parted,
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

_payment: Final = PaymentSchema()
_refund: Final = RefundSchema()
_account: Final = AccountSchema()
_entry: Final = EntrySchema()


class _Shown(NamedTuple):
    items: Sequence[Any]
    next_cursor: str | None


def _list(
    id: str,
    summary: str,
    query: Sequence[Parameter],
    page: PageSchema,
    item: Any,
    refusals: Sequence[Refusal] = (),
) -> Operation:
    return Operation(
        id=id,
        summary=summary,
        description="Newest first; `nextCursor` leads on. What is added meanwhile stands before "
        "the first page: nothing is shown twice or left out. All filters must hold.",
        query=query,
        answers=(
            Success(
                status=200,
                description="A page.",
                data=page,
                examples={
                    "first": _Shown([item], examples.CURSOR),
                    "none": _Shown([], None),
                },
            ),
        ),
        refusals=refusals,
    )


_PAYMENT_QUERY: Final = (*PAGE, PAYMENT_STATUS, CURRENCY, *CREATED, *AMOUNTS, METADATA)
_REFUND_QUERY: Final = (*PAGE, REFUND_STATUS, CURRENCY, *CREATED, *AMOUNTS, METADATA)

_payment_page: Final = PaymentPageSchema()
_refund_page: Final = RefundPageSchema()
_account_page: Final = AccountPageSchema()
_entry_page: Final = EntryPageSchema()

PAYMENTS: Final = _list(
    "listPayments",
    "Your payments",
    _PAYMENT_QUERY,
    _payment_page,
    _payment.dump(examples.SUCCESS),
)
REFUNDS: Final = _list(
    "listRefunds",
    "Your refunds",
    (*_REFUND_QUERY, PAYMENT_ID),
    _refund_page,
    _refund.dump(examples.REFUNDED),
)
REFUNDS_OF_PAYMENT: Final = _list(
    "listRefundsOfPayment",
    "A payment's refunds",
    _REFUND_QUERY,
    _refund_page,
    _refund.dump(examples.REFUNDED),
    (NOT_FOUND,),
)
ACCOUNTS: Final = _list(
    "listAccounts",
    "Your accounts",
    (*PAGE, CURRENCY, *CREATED),
    _account_page,
    _account.dump(examples.ACCOUNT),
)
ENTRIES: Final = _list(
    "listEntriesOfAccount",
    "An account's entries",
    (*PAGE, *CREATED),
    _entry_page,
    _entry.dump(examples.ENTRY),
    (NOT_FOUND,),
)


@views.get("/payments")
@documented(PAYMENTS)
@authenticated(scope=Scope.PAYMENTS_READ)
def payments() -> Response:
    limit, cursor, filters = parted(read_query(_PAYMENT_QUERY))
    wanted, context = PaymentFilter(**filters), request_context()
    cursors = Cursors(context.merchant_id, ("payments", wanted))
    list_payments = context.app_context.application.payments.list
    page = list_payments(context.merchant_id, wanted, cursors.position(cursor), limit)
    return _told(page, _payment_page, _payment, lambda last: cursors.at(_place(last)))


@views.get("/refunds")
@documented(REFUNDS)
@authenticated(scope=Scope.PAYMENTS_READ)
def refunds() -> Response:
    limit, cursor, filters = parted(read_query(REFUNDS.query))
    wanted, context = RefundFilter(**filters), request_context()
    cursors = Cursors(context.merchant_id, ("refunds", wanted))
    list_refunds = context.app_context.application.refunds.list
    page = list_refunds(context.merchant_id, wanted, cursors.position(cursor), limit)
    return _told(page, _refund_page, _refund, lambda last: cursors.at(_place(last)))


@views.get("/payments/<id>/refunds")
@documented(REFUNDS_OF_PAYMENT)
@authenticated(scope=Scope.PAYMENTS_READ)
def refunds_of_payment(id: str) -> Response:
    payment_id, context = path_id(id), request_context()
    context.payment_id = payment_id
    limit, cursor, filters = parted(read_query(_REFUND_QUERY))
    wanted = RefundFilter(payment_id=payment_id, **filters)
    cursors = Cursors(context.merchant_id, ("refunds of payment", wanted))
    of_payment = context.app_context.application.refunds.list.of_payment
    page = of_payment(context.merchant_id, wanted, cursors.position(cursor), limit)
    return _told(page, _refund_page, _refund, lambda last: cursors.at(_place(last)))


@views.get("/accounts")
@documented(ACCOUNTS)
@authenticated(scope=Scope.ACCOUNTS_READ)
def accounts() -> Response:
    limit, cursor, filters = parted(read_query(ACCOUNTS.query))
    wanted, context = AccountFilter(**filters), request_context()
    cursors = Cursors(context.merchant_id, ("accounts", wanted))
    list_accounts = context.app_context.application.accounts.list
    page = list_accounts(context.merchant_id, wanted, cursors.position(cursor), limit)
    return _told(page, _account_page, _account, lambda last: cursors.at(_place(last)))


@views.get("/accounts/<id>/entries")
@documented(ENTRIES)
@authenticated(scope=Scope.ACCOUNTS_READ)
def entries(id: str) -> Response:
    account_id, context = path_id(id), request_context()
    limit, cursor, filters = parted(read_query(ENTRIES.query))
    wanted = CreatedFilter(**filters)
    cursors = Cursors(context.merchant_id, ("entries", account_id, wanted))
    after, list_entries = (
        cursors.sequence(cursor),
        context.app_context.application.accounts.list_entries,
    )
    page = list_entries(context.merchant_id, account_id, wanted, after, limit)
    return _told(page, _entry_page, _entry, lambda last: cursors.at_sequence(last.sequence))


def _place(last: Any) -> Position:
    return Position(last.created_at, last.id)


def _told(page: Page[T], pages: PageSchema, item: Any, cursor_at: Callable[[T], str]) -> Response:
    items = [item.dump(each) for each in page.items]
    return ok(pages.dump(_Shown(items, cursor_at(page.items[-1]) if page.more else None)))
