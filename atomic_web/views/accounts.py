"""POST, GET and PATCH /accounts, and GET /accounts/balances."""

from typing import Final

from flask import Blueprint, Response, url_for

from atomic_core.domain.account_names import SubtreeBalances
from atomic_core.domain.accounts import Account, AccountStatus
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.merchants import Scope
from atomic_core.use_cases.accounts import AccountChange
from atomic_core.use_cases.ledger import NewAccount
from atomic_web.access.authentication import requires_api_key
from atomic_web.access.idempotency import (
    IDEMPOTENCY_KEY,
    execute_idempotently,
    read_idempotency_key,
)
from atomic_web.access.origins import build_origin
from atomic_web.context import request_context
from atomic_web.http.body import read_json_object, read_optional_json_object
from atomic_web.http.ids import parse_path_id, parse_sole_path_id
from atomic_web.http.query import parse_query, refuse_query_parameters
from atomic_web.http.responses import ok_response, render_envelope
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import (
    ACCOUNT_CHANGE_CONFLICT,
    ACCOUNT_CONFLICT,
    NOT_FOUND,
)
from atomic_web.openapi.headers import build_link
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.schemas.accounts import (
    AccountSchema,
    AccountUpdateSchema,
    NewAccountSchema,
    SubtreeBalancesSchema,
    build_terms,
)
from atomic_web.schemas.filters import SUBTREE_QUERY

views = Blueprint("accounts", __name__, url_prefix="/accounts")

_request_schema: Final = NewAccountSchema()
_update_schema: Final = AccountUpdateSchema()
_response_schema: Final = AccountSchema()
_subtree_schema: Final = SubtreeBalancesSchema()

CREATE: Final = Operation(
    id="openAccount",
    summary="Open an account",
    description="An account holds money of one currency. Its type, its limits and its `externalId` "
    "never change.",
    body=_request_schema,
    body_examples={"account": examples.NEW_ACCOUNT, "wallet": examples.NEW_WALLET},
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(
            status=201,
            description="The opened account, with a balance of 0.",
            data=_response_schema,
            examples={"opened": examples.ACCOUNT},
            headers=("Location",),
            links={"account": build_link("getAccount", "/data/id")},
        ),
    ),
    error_responses=(ACCOUNT_CONFLICT,),
)
UPDATE: Final = Operation(
    id="updateAccount",
    summary="Rename, freeze, close or reopen an account",
    description="Nothing new is posted to an account that is FROZEN or CLOSED: ledger transactions "
    "and payments are refused. What was reserved before is still captured, refunded or released, "
    "and disputes are posted, because the card network has moved the money. `status: OPEN` reopens "
    "it.",
    body=_update_schema,
    body_examples={"freeze": examples.ACCOUNT_UPDATE},
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(
            status=200,
            description="The changed account.",
            data=_response_schema,
            examples={"frozen": examples.FROZEN_ACCOUNT},
        ),
    ),
    error_responses=(NOT_FOUND, ACCOUNT_CHANGE_CONFLICT),
)
BALANCES: Final = Operation(
    id="getSubtreeBalances",
    summary="Get the sums of the balances of accounts by name",
    description="By currency, of all accounts whose names begin with the segments of `prefix`; "
    "without it, of all accounts.",
    query=SUBTREE_QUERY,
    responses=(
        Success(
            status=200,
            description="The sums.",
            data=_subtree_schema,
            examples={
                "wallets": examples.SUBTREE_BALANCES,
                "none": SubtreeBalances("none", []),
            },
        ),
    ),
)
SHOW: Final = Operation(
    id="getAccount",
    summary="Get an account with its balance",
    description="With its balance, and what is pending and available of it.",
    responses=(
        Success(
            status=200,
            description="The account.",
            data=_response_schema,
            examples={"account": examples.ACCOUNT},
        ),
    ),
    error_responses=(NOT_FOUND,),
)


@views.post("")
@describe_operation(CREATE)
@requires_api_key(scope=Scope.ACCOUNTS_WRITE, rate_limit="accounts")
def create() -> Response:
    content = read_json_object()
    refuse_query_parameters()
    values = _request_schema.parse(content)
    key = read_idempotency_key()
    context = request_context()
    new_account = NewAccount(
        context.merchant_id,
        values["name"],
        values["currency"],
        build_origin(),
        build_terms(values),
    )
    open_account = context.application.accounts.open
    return execute_idempotently(key, open_account, new_account, _render_opened_account, content)


@views.get("/balances")
@describe_operation(BALANCES)
@requires_api_key(scope=Scope.ACCOUNTS_READ)
def show_subtree_balances() -> Response:
    context, prefix = request_context(), parse_query(SUBTREE_QUERY).get("prefix")
    balances = context.application.accounts.get_subtree_balances(context.merchant_id, prefix)
    return ok_response(_subtree_schema.dump(balances))


@views.patch("/<id>")
@describe_operation(UPDATE)
@requires_api_key(scope=Scope.ACCOUNTS_WRITE)
def update(id: str) -> Response:
    account_id, content = parse_path_id(id), read_optional_json_object()
    refuse_query_parameters()
    values, key = _update_schema.parse(content), read_idempotency_key()
    context, status = request_context(), values.get("status")
    change = AccountChange(
        context.merchant_id,
        account_id,
        values.get("name"),
        values.get("metadata"),
        AccountStatus(status) if status else None,
        build_origin(),
    )
    change_account = context.application.accounts.change
    return execute_idempotently(key, change_account, change, _render_changed_account, content)


@views.get("/<id>")
@describe_operation(SHOW)
@requires_api_key(scope=Scope.ACCOUNTS_READ)
def show(id: str) -> Response:
    account_id = parse_sole_path_id(id)
    context = request_context()
    account = context.application.accounts.get(context.merchant_id, account_id)
    return ok_response(_response_schema.dump(account))


def _render_opened_account(account: Account) -> StoredResponse:
    location = url_for("accounts.show", id=account.id)
    return StoredResponse(201, render_envelope(_response_schema.dump(account)), location)


def _render_changed_account(account: Account) -> StoredResponse:
    return StoredResponse(200, render_envelope(_response_schema.dump(account)))
