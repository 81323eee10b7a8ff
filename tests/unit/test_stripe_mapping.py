"""Stripe's amounts, codes and errors, without a server."""

import json
import ssl
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import stripe
from urllib3.connection import HTTPConnection
from urllib3.exceptions import NewConnectionError, ProtocolError, SSLError

from atomic_adapters.networks import sandbox
from atomic_adapters.networks.stripe import amounts
from atomic_adapters.networks.stripe.amounts import to_stripe_amount
from atomic_adapters.networks.stripe.errors import classify_error, describe_error
from atomic_adapters.networks.stripe.failure_reasons import (
    REASONS,
    REASONS_BY_PARAMETER,
    REASONS_BY_STEP,
    map_reason,
)
from atomic_adapters.networks.stripe.http_client import (
    RequestNotSent,
    StripeHttpClient,
    time_limit,
)
from atomic_core.domain.card_networks import DECLINE_REASONS, NetworkResponse, Verdict
from atomic_core.domain.money import CURRENCY_EXPONENTS
from atomic_core.domain.payments import Step
from atomic_core.domain.settlement import Claim

DOCS = Path(__file__).parents[2] / "docs" / "stripe.md"
ID = UUID(int=1)
CLAIM = Claim(ID, 1, 0, ID, ID, 5_000, "USD", "pm_card_visa")


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        (5_000, "USD", 5_000),
        (5_000, "JPY", 5_000),
        (5, "ISK", 500),
        (5, "UGX", 500),
        (1_045, "HUF", 1_045),
        (1_045, "TWD", 1_045),
        (5_120, "KWD", 5_120),
        (5_124, "KWD", None),
        (500, "MGA", 5),
        (550, "MGA", None),
        (100, "CLF", None),
        (100, "IQD", None),
    ],
)
def test_amount_is_counted_as_stripe_does(amount: int, currency: str, expected: int | None) -> None:
    assert to_stripe_amount(amount, currency) == expected


def test_special_currencies_exist_and_belong_to_one_kind() -> None:
    kinds = (amounts.ZERO_DECIMAL, amounts.WHOLE_UNITS_IN_HUNDREDTHS, amounts.THREE_DECIMAL)
    assert sum(map(len, kinds)) == len(frozenset().union(*kinds))
    assert frozenset().union(*kinds) <= CURRENCY_EXPONENTS.keys()
    assert all(CURRENCY_EXPONENTS[code] == 3 for code in amounts.THREE_DECIMAL)
    assert {CURRENCY_EXPONENTS[code] for code in amounts.ZERO_DECIMAL - {"MGA"}} == {0}


def test_every_reason_is_one_of_the_apis() -> None:
    tables = (REASONS, REASONS_BY_PARAMETER, REASONS_BY_STEP)
    assert {reason for table in tables for reason in table.values()} <= set(DECLINE_REASONS)


def test_documented_table_of_reasons_is_the_codes() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for code, reason in REASONS.items():
        row = next((line for line in text.splitlines() if f"`{code}`" in line), "")
        assert f"`{reason}`" in row, code


def test_decline_code_precedes_error_code() -> None:
    assert map_reason(Step.CHARGE, "insufficient_funds", "card_declined") == "insufficient_funds"
    assert map_reason(Step.CHARGE, "lost_card", "card_declined") == "card_declined"
    assert map_reason(Step.CAPTURE, None, "something_new") == "capture_declined"
    assert map_reason(Step.REFUND) == "refund_declined"
    assert map_reason(Step.CHARGE, None, None, "currency") == "currency_not_supported"


def build_error(status: int, **error: Any) -> stripe.StripeError:
    """What Stripe's client raises for a response."""
    client = stripe.StripeClient("sk_test_x", http_client=FixedHttpClient(status, error))
    with pytest.raises(stripe.StripeError) as caught:
        client.v1.payment_intents.retrieve("pi_1")
    return caught.value


class FixedHttpClient(stripe.HTTPClient):
    name = "fixed"

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__()
        self.response = json.dumps({"error": error}) if error else "<html>"
        self.status = status

    def request(self, *_: Any, **__: Any) -> tuple[str, int, dict[str, str]]:
        return self.response, self.status, {}


@pytest.mark.parametrize(
    ("status", "error", "verdict"),
    [
        (401, {"type": "invalid_request_error"}, Verdict.NOT_SENT),
        (403, {"type": "invalid_request_error"}, Verdict.NOT_SENT),
        (429, {"type": "invalid_request_error", "code": "lock_timeout"}, Verdict.NOT_SENT),
        (400, {"type": "invalid_request_error", "code": "livemode_mismatch"}, Verdict.NOT_SENT),
        (400, {"type": "invalid_request_error", "param": "currency"}, Verdict.DECLINED),
        (404, {"type": "invalid_request_error", "code": "resource_missing"}, Verdict.DECLINED),
        (402, {"type": "card_error", "code": "card_declined"}, Verdict.DECLINED),
        (400, {"type": "idempotency_error"}, Verdict.UNKNOWN),
        (409, {"type": "idempotency_error", "code": "idempotency_key_in_use"}, Verdict.UNKNOWN),
        (409, {"type": "invalid_request_error"}, Verdict.UNKNOWN),
        (500, {"type": "api_error"}, Verdict.UNKNOWN),
        (503, {}, Verdict.UNKNOWN),
        (200, {}, Verdict.UNKNOWN),
        (302, {}, Verdict.UNKNOWN),
        (400, {}, Verdict.UNKNOWN),
        (402, {}, Verdict.UNKNOWN),
        (404, {}, Verdict.UNKNOWN),
    ],
)
def test_error_is_a_verdict(status: int, error: dict[str, Any], verdict: Verdict) -> None:
    assert classify_error(build_error(status, **error), CLAIM).verdict is verdict


def test_decline_has_its_reason_and_the_payment_intent() -> None:
    error = build_error(
        402,
        type="card_error",
        code="card_declined",
        decline_code="insufficient_funds",
        payment_intent={"id": "pi_7", "object": "payment_intent"},
    )
    declined = NetworkResponse(Verdict.DECLINED, "insufficient_funds", "pi_7")
    assert classify_error(error, CLAIM) == declined
    refund = CLAIM._replace(refund_id=ID, step=Step.REFUND)
    assert classify_error(error, refund).reference is None


def test_whatever_else_is_raised_is_in_doubt() -> None:
    for error in (ValueError(), TimeoutError(), stripe.APIConnectionError("x")):
        assert classify_error(error, CLAIM).verdict is Verdict.UNKNOWN
    assert classify_error(RequestNotSent("x"), CLAIM).verdict is Verdict.NOT_SENT


def test_description_of_an_error_has_no_message() -> None:
    error = build_error(401, type="invalid_request_error", message="Invalid API Key: sk_live_7")
    assert describe_error(error) == "AuthenticationError 401"


def test_only_a_missing_connection_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    client = StripeHttpClient(1)
    untrusted = ssl.SSLCertVerificationError("untrusted")
    for cause, is_sent in (
        (NewConnectionError(HTTPConnection("nowhere"), "refused"), False),
        (SSLError(untrusted), False),
        (SSLError("bad record"), True),
        (ProtocolError("reset"), True),
    ):

        def fail(*_: object, error: Exception = cause, **__: object) -> None:
            raise error

        monkeypatch.setattr(client._pool, "request", fail)
        with pytest.raises(stripe.APIConnectionError) as caught, time_limit(time.monotonic() + 60):
            client.request("get", "https://api.stripe.com", {})
        assert isinstance(caught.value, RequestNotSent) is not is_sent
    with pytest.raises(RequestNotSent), time_limit(time.monotonic()):
        client.request("get", "https://api.stripe.com", {})


def test_sandbox_declines_for_reasons_of_the_api() -> None:
    responses = (
        *sandbox.AUTHORIZATION_RESPONSES.values(),
        *sandbox.CAPTURE_RESPONSES.values(),
        *sandbox.REFUND_RESPONSES.values(),
    )
    assert {response.reason for response in responses} <= set(DECLINE_REASONS)
