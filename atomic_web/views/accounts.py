"""POST and GET /accounts."""

from typing import Final

from flask import Blueprint, Response, url_for

from atomic_core.domain.accounts import Account
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.merchants import Scope
from atomic_core.use_cases.ledger import NewAccount
from atomic_web.access.authentication import authenticated
from atomic_web.access.idempotency import HEADER, perform, read_key
from atomic_web.context import app_context, request_context
from atomic_web.http.body import read_object
from atomic_web.http.ids import path_id, refuse_query
from atomic_web.http.responses import envelope, ok
from atomic_web.openapi import examples
from atomic_web.openapi.error_responses import NOT_FOUND
from atomic_web.openapi.headers import linked
from atomic_web.openapi.operation import Operation, Success, documented
from atomic_web.schemas.accounts import AccountSchema, NewAccountSchema

views = Blueprint("accounts", __name__, url_prefix="/accounts")

_asked: Final = NewAccountSchema()
_shown: Final = AccountSchema()

CREATE: Final = Operation(
    id="openAccount",
    summary="Open an account",
    body=_asked,
    requests={"account": examples.NEW_ACCOUNT},
    parameters=(HEADER,),
    answers=(
        Success(
            status=201,
            description="The account is open, with a balance of 0.",
            data=_shown,
            examples={"opened": examples.ACCOUNT},
            headers=("Location",),
            links={"account": linked("getAccount", "/data/id")},
        ),
    ),
)
SHOW: Final = Operation(
    id="getAccount",
    summary="An account and its balance",
    answers=(
        Success(
            status=200,
            description="The account.",
            data=_shown,
            examples={"account": examples.ACCOUNT},
        ),
    ),
    refusals=(NOT_FOUND,),
)


@views.post("")
@documented(CREATE)
@authenticated(scope=Scope.ACCOUNTS_WRITE, limit="accounts")
def create() -> Response:
    content = read_object()
    refuse_query()
    asked = _asked.read(content)
    key = read_key()
    order = NewAccount(request_context().merchant_id, asked["name"], asked["currency"])
    return perform(key, app_context().application.accounts.open, order, _opened, content)


@views.get("/<id>")
@documented(SHOW)
@authenticated(scope=Scope.ACCOUNTS_READ)
def show(id: str) -> Response:
    account_id = path_id(id)
    refuse_query()
    account = app_context().application.accounts.get(request_context().merchant_id, account_id)
    return ok(_shown.dump(account))


def _opened(account: Account) -> StoredResponse:
    location = url_for("accounts.show", id=account.id)
    return StoredResponse(201, envelope(_shown.dump(account)), location)
