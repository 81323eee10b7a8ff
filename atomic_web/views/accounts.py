"""POST and GET /accounts."""

from typing import Final

from flask import Blueprint, Response, url_for

from atomic_core.domain.accounts import Account
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.merchants import Scope
from atomic_core.use_cases.ledger import NewAccount
from atomic_web.access.authentication import requires_api_key
from atomic_web.access.idempotency import (
    IDEMPOTENCY_KEY,
    execute_idempotently,
    read_idempotency_key,
)
from atomic_web.access.origins import build_origin
from atomic_web.context import request_context
from atomic_web.http.body import read_json_object
from atomic_web.http.ids import parse_sole_path_id
from atomic_web.http.query import refuse_query_parameters
from atomic_web.http.responses import ok_response, render_envelope
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import NOT_FOUND
from atomic_web.openapi.headers import build_link
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.schemas.accounts import AccountSchema, NewAccountSchema

views = Blueprint("accounts", __name__, url_prefix="/accounts")

_request_schema: Final = NewAccountSchema()
_response_schema: Final = AccountSchema()

CREATE: Final = Operation(
    id="openAccount",
    summary="Open an account",
    description="An account holds money of one currency.",
    body=_request_schema,
    body_examples={"account": examples.NEW_ACCOUNT},
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
        context.merchant_id, values["name"], values["currency"], build_origin()
    )
    open_account = context.application.accounts.open
    return execute_idempotently(key, open_account, new_account, _render_opened_account, content)


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
