"""Stripe's disputes, against a server that answers as Stripe documents: localstripe has none."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import pytest

from atomic_adapters.network_settings import StripeSettings
from atomic_adapters.networks.stripe.disputes import EVIDENCE_NAMES, StripeDisputes
from atomic_adapters.networks.stripe.events import StripeEventVerifier
from atomic_core.domain.disputes import (
    Dispute,
    DisputeReport,
    DisputeRequest,
    DisputeResponse,
    DisputeStatus,
    DisputeVerdict,
    Evidence,
)
from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.money import Money
from web.network_event_client import SECRET, sign

ID = UUID(int=7)
NOW = datetime(2026, 11, 28, tzinfo=UTC)
WITHDRAWAL = {"id": "txn_1", "object": "balance_transaction", "currency": "usd", "fee": 1_500}
RETURN = WITHDRAWAL | {"id": "txn_2", "fee": -1_500}
REQUEST = DisputeRequest("dp_1")
EVIDENCE = Evidence("It was delivered.", customer_email="buyer@shop.example")


class FakeStripe:
    """One dispute, which changes as Stripe's do. `failure` is the answer to the next response."""

    def __init__(self) -> None:
        self.dispute: dict[str, Any] = {
            "id": "dp_1",
            "object": "dispute",
            "status": "needs_response",
            "amount": 5_000,
            "currency": "usd",
            "reason": "fraudulent",
            "balance_transactions": [WITHDRAWAL],
            "evidence_details": {"due_by": int(NOW.timestamp())},
            "payment_intent": {
                "id": "pi_1",
                "object": "payment_intent",
                "metadata": {"atomic_payment": str(ID)},
            },
        }
        self.failure: tuple[int, dict[str, Any]] | None = None
        self.responses: list[tuple[str, dict[str, str], str | None]] = []

    def answer(self, method: str, path: str, body: str, key: str | None) -> tuple[int, object]:
        """Status and content."""
        if path not in ("/v1/disputes/dp_1", "/v1/disputes/dp_1/close"):
            return 404, {"error": {"type": "invalid_request_error", "code": "resource_missing"}}
        if method == "GET":
            return 200, self.dispute
        self.responses.append((path, dict(parse_qsl(body)), key))
        if self.failure:
            return self.failure
        self.dispute["status"] = "lost" if path.endswith("/close") else "under_review"
        return 200, self.dispute


@pytest.fixture
def stripe_server() -> FakeStripe:
    return FakeStripe()


@pytest.fixture
def disputes(stripe_server: FakeStripe) -> Iterator[StripeDisputes]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            path, key = self.path.partition("?")[0], self.headers["Idempotency-Key"]
            status, content = stripe_server.answer(self.command, path, body, key)
            encoded = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        do_GET = do_POST  # noqa: N815 - the name that http.server calls

        def log_message(self, format: str, *args: object) -> None:
            """Keeps the output of the tests short."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    network = StripeDisputes(StripeSettings("sk_test_1", url, 1))
    yield network
    network.close()
    server.shutdown()
    server.server_close()


def build_dispute(response: DisputeResponse) -> Dispute:
    return Dispute(
        *(ID, ID, ID, ID),
        *("stripe", "dp_1", Money(5_000, "USD"), 1_500, "fraudulent", NOW, NOW, NOW),
        evidence=EVIDENCE if response is DisputeResponse.EVIDENCE else None,
        pending_response=response,
    )


def get_status(report: DisputeReport) -> DisputeStatus | None:
    return report.dispute.status if report.dispute else None


def test_dispute_is_reported_with_what_has_moved(
    stripe_server: FakeStripe, disputes: StripeDisputes
) -> None:
    report = disputes.look_up(REQUEST)
    assert report.verdict is DisputeVerdict.FOUND
    assert report.dispute is not None
    found = report.dispute
    assert (found.payment_id, found.amount, found.currency) == (ID, 5_000, "USD")
    assert (found.fee, found.fee_returned, found.evidence_due_at) == (1_500, 0, NOW)
    stripe_server.dispute |= {"status": "won", "balance_transactions": [WITHDRAWAL, RETURN]}
    won = disputes.look_up(REQUEST).dispute
    assert won is not None
    assert (won.status, won.fee, won.fee_returned) == (DisputeStatus.WON, 1_500, 1_500)
    # In the currency of the account's balance, which is not that of the payment.
    other = WITHDRAWAL | {"currency": "eur"}
    stripe_server.dispute |= {"status": "lost", "balance_transactions": [other]}
    lost = disputes.look_up(REQUEST).dispute
    assert lost is not None
    assert (lost.status, lost.fee) == (DisputeStatus.LOST, 0)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"balance_transactions": []}, DisputeVerdict.PENDING),
        ({"balance_transactions": [], "status": "lost"}, DisputeVerdict.NOT_FOUND),
        ({"status": "warning_needs_response"}, DisputeVerdict.NOT_FOUND),
        ({"payment_intent": None}, DisputeVerdict.NOT_FOUND),
        ({"currency": "xxx"}, DisputeVerdict.UNKNOWN),
        ({"status": None}, DisputeVerdict.UNKNOWN),
    ],
)
def test_what_has_moved_no_money_is_no_dispute(
    stripe_server: FakeStripe,
    disputes: StripeDisputes,
    changes: dict[str, Any],
    verdict: DisputeVerdict,
) -> None:
    stripe_server.dispute |= changes
    assert disputes.look_up(REQUEST).verdict is verdict


def test_unknown_dispute_is_not_found(disputes: StripeDisputes) -> None:
    assert disputes.look_up(DisputeRequest("dp_2")).verdict is DisputeVerdict.NOT_FOUND


@pytest.mark.parametrize("response", DisputeResponse)
def test_response_is_sent_once(
    stripe_server: FakeStripe, disputes: StripeDisputes, response: DisputeResponse
) -> None:
    request = DisputeRequest("dp_1", None, build_dispute(response))
    is_evidence = response is DisputeResponse.EVIDENCE
    respond = disputes.submit_evidence if is_evidence else disputes.accept
    expected = DisputeStatus.UNDER_REVIEW if is_evidence else DisputeStatus.LOST
    for _ in range(2):
        # The second time, as if the first answer had been lost.
        assert get_status(respond(request)) is expected
    [(path, fields, key)] = stripe_server.responses
    assert path == ("/v1/disputes/dp_1" if is_evidence else "/v1/disputes/dp_1/close")
    assert key is not None
    if is_evidence:
        assert fields == {
            "evidence[uncategorized_text]": "It was delivered.",
            "evidence[customer_email_address]": "buyer@shop.example",
            "submit": "true",
        }


@pytest.mark.parametrize(
    ("failure", "verdict"),
    [
        ((400, {"error": {"type": "invalid_request_error"}}), DisputeVerdict.REFUSED),
        ((401, {"error": {"type": "invalid_request_error"}}), DisputeVerdict.UNKNOWN),
        ((429, {"error": {"type": "invalid_request_error"}}), DisputeVerdict.UNKNOWN),
        ((500, {"error": {"type": "api_error"}}), DisputeVerdict.UNKNOWN),
    ],
)
def test_only_a_refusal_of_the_response_is_one(
    stripe_server: FakeStripe,
    disputes: StripeDisputes,
    failure: tuple[int, dict[str, Any]],
    verdict: DisputeVerdict,
) -> None:
    stripe_server.failure = failure
    request = DisputeRequest("dp_1", None, build_dispute(DisputeResponse.EVIDENCE))
    assert disputes.submit_evidence(request).verdict is verdict


def test_every_field_of_the_evidence_has_a_name_at_stripe() -> None:
    assert EVIDENCE_NAMES.keys() == set(Evidence._fields)
    assert len(set(EVIDENCE_NAMES.values())) == len(EVIDENCE_NAMES)


def test_event_of_a_dispute_names_it() -> None:
    def verify(reference: object) -> object:
        content = {"id": "evt_1", "type": "charge.dispute.created"}
        body = json.dumps({**content, "data": {"object": {"id": reference}}}).encode()
        return StripeEventVerifier(SECRET).verify(body, sign(body))

    event: Any = verify("dp_1")
    assert (event.dispute_reference, event.payment_id, event.network) == ("dp_1", None, "stripe")
    for reference in (None, 7, "dp 1", "x" * 256):
        with pytest.raises(ValidationFailed):
            verify(reference)
