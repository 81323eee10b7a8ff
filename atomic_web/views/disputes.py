"""GET /disputes, GET /disputes/{id}, POST /disputes/{id}/evidence and /accept."""

from typing import Final

from flask import Blueprint, Response

from atomic_core.domain.disputes import Dispute, Evidence
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.lists import DisputeFilter
from atomic_core.domain.merchants import Scope
from atomic_core.use_cases.disputes import AcceptanceRequest, EvidenceRequest
from atomic_web.access.authentication import requires_api_key
from atomic_web.access.idempotency import (
    IDEMPOTENCY_KEY,
    execute_idempotently,
    read_idempotency_key,
)
from atomic_web.access.origins import build_origin
from atomic_web.context import BASE_PATH, request_context
from atomic_web.http.body import read_json_object, read_optional_json_object
from atomic_web.http.cursors import CursorCodec
from atomic_web.http.ids import parse_path_id, parse_sole_path_id
from atomic_web.http.pages import RenderedPage, render_page
from atomic_web.http.query import parse_query, refuse_query_parameters
from atomic_web.http.responses import ok_response, render_envelope
from atomic_web.openapi import dispute_examples as examples
from atomic_web.openapi.error_responses import DISPUTE_CONFLICT, NOT_FOUND
from atomic_web.openapi.examples import CURSOR
from atomic_web.openapi.headers import build_link
from atomic_web.openapi.operation import Operation, Success, describe_operation
from atomic_web.schemas.disputes import (
    AcceptanceSchema,
    DisputePageSchema,
    DisputeSchema,
    NewEvidenceSchema,
)
from atomic_web.schemas.filters import DISPUTE_QUERY, split_page_parameters

views = Blueprint("disputes", __name__, url_prefix="/disputes")

PATH: Final = f"{BASE_PATH}/disputes"

_evidence_schema: Final = NewEvidenceSchema()
_acceptance_schema: Final = AcceptanceSchema()
_response_schema: Final = DisputeSchema()
_page_schema: Final = DisputePageSchema()

LIST: Final = Operation(
    id="listDisputes",
    summary="List disputes",
    description="Newest first. `nextCursor` leads to the next page. A dispute must match all "
    "filters.",
    query=DISPUTE_QUERY,
    responses=(
        Success(
            status=200,
            description="A page.",
            data=_page_schema,
            examples={
                "first": RenderedPage([_response_schema.dump(examples.DISPUTE)], CURSOR),
                "empty": RenderedPage([], None),
            },
        ),
    ),
)
SHOW: Final = Operation(
    id="getDispute",
    summary="Get a dispute",
    description="A dispute of any payment of the merchant.",
    responses=(
        Success(
            status=200,
            description="The dispute.",
            data=_response_schema,
            examples={"open": examples.DISPUTE, "won": examples.WON},
        ),
    ),
    error_responses=(NOT_FOUND,),
)
SUBMIT: Final = Operation(
    id="submitDisputeEvidence",
    summary="Contest a dispute",
    description="Stores the evidence, which is sent to the card network shortly after the response."
    " The dispute is UNDER_REVIEW once the network has it. If the network does not take it, "
    "`responseFailure` says so, and the dispute can be answered again. Evidence is sent once, and "
    "cannot be changed after that.",
    body=_evidence_schema,
    body_examples={"delivered": examples.NEW_EVIDENCE},
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(
            status=202,
            description="The evidence is accepted and will be sent.",
            data=_response_schema,
            examples={"contested": examples.CONTESTED},
            headers=("Location",),
            links={"dispute": build_link("getDispute", "/data/id")},
        ),
    ),
    error_responses=(NOT_FOUND, DISPUTE_CONFLICT),
)
ACCEPT: Final = Operation(
    id="acceptDispute",
    summary="Accept that a dispute is lost",
    description="The card network is notified shortly after the response; the dispute is then "
    "LOST. This cannot be undone.",
    body=_acceptance_schema,
    body_examples={"default": {}},
    parameters=(IDEMPOTENCY_KEY,),
    responses=(
        Success(
            status=202,
            description="The acceptance is stored and will be sent.",
            data=_response_schema,
            examples={"accepted": examples.ACCEPTED},
            headers=("Location",),
            links={"dispute": build_link("getDispute", "/data/id")},
        ),
    ),
    error_responses=(NOT_FOUND, DISPUTE_CONFLICT),
)


@views.get("")
@describe_operation(LIST)
@requires_api_key(scope=Scope.DISPUTES_READ)
def list_disputes() -> Response:
    limit, cursor, filters = split_page_parameters(parse_query(DISPUTE_QUERY))
    dispute_filter, context = DisputeFilter(**filters), request_context()
    codec = CursorCodec(context.merchant_id, ("disputes", dispute_filter))
    page = context.application.disputes.list(
        context.merchant_id, dispute_filter, codec.decode_position(cursor), limit
    )
    return render_page(page, _page_schema, _response_schema, codec)


@views.get("/<id>")
@describe_operation(SHOW)
@requires_api_key(scope=Scope.DISPUTES_READ)
def show(id: str) -> Response:
    dispute_id, context = parse_sole_path_id(id), request_context()
    dispute = context.application.disputes.get(context.merchant_id, dispute_id)
    return ok_response(_response_schema.dump(dispute))


@views.post("/<id>/evidence")
@describe_operation(SUBMIT)
@requires_api_key(scope=Scope.DISPUTES_WRITE)
def submit_evidence(id: str) -> Response:
    content, dispute_id = read_json_object(), parse_path_id(id)
    refuse_query_parameters()
    values, key, context = (
        _evidence_schema.parse(content),
        read_idempotency_key(),
        request_context(),
    )
    request = EvidenceRequest(context.merchant_id, dispute_id, Evidence(**values), build_origin())
    submit = context.application.disputes.submit_evidence
    return execute_idempotently(key, submit, request, _render_dispute, content)


@views.post("/<id>/accept")
@describe_operation(ACCEPT)
@requires_api_key(scope=Scope.DISPUTES_WRITE)
def accept(id: str) -> Response:
    dispute_id, content = parse_path_id(id), read_optional_json_object()
    refuse_query_parameters()
    _acceptance_schema.parse(content)
    key, context = read_idempotency_key(), request_context()
    request = AcceptanceRequest(context.merchant_id, dispute_id, build_origin())
    accept_dispute = context.application.disputes.accept
    return execute_idempotently(key, accept_dispute, request, _render_dispute, content)


def _render_dispute(dispute: Dispute) -> StoredResponse:
    body = render_envelope(_response_schema.dump(dispute))
    return StoredResponse(202, body, f"{PATH}/{dispute.id}")
