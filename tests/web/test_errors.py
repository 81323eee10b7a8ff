from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.contextvars import get_contextvars
from structlog.testing import capture_logs

from atomic_core.domain import errors as core_errors
from atomic_core.domain.errors import AtomicError, StorageRefused, StorageUnavailable
from atomic_core.use_cases.idempotency import Answer
from atomic_web import errors as web_errors
from atomic_web.errors import STATUS
from web.web_client import ORDER, PAYMENTS, Caller, Web, error_code

NETWORK_ONLY = {"processing_error"}
"""Codes that never reach this door: the settler handles them."""


def failing(error: Exception):
    def fail(*_arguments: object) -> None:
        raise error

    return fail


def codes_of(module: object) -> set[str]:
    classes = [value for value in vars(module).values() if isinstance(value, type)]
    return {cls.code for cls in classes if issubclass(cls, AtomicError)}


def test_every_code_has_its_status_and_no_status_is_left_over() -> None:
    uttered = codes_of(core_errors) | codes_of(web_errors)
    assert uttered - NETWORK_ONLY == set(STATUS)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("secret detail"),
        KeyError("secret detail"),
        RecursionError("secret detail"),
        StorageRefused("payments_pkey secret detail"),
        AtomicError("secret detail"),
    ],
)
def test_a_bug_is_500_and_tells_nothing_but_the_log(
    web: Web, merchant: Caller, error: Exception
) -> None:
    caller = web.with_use_cases({"payments.create": failing(error)}).seen_by(merchant)
    with capture_logs() as logs:
        response = caller.pay()

    assert response.status_code == 500
    assert error_code(response) == "internal_error"
    assert b"secret" not in response.data
    assert type(error).__name__.encode() not in response.data
    assert "details" not in response.get_json()["error"]
    told = [line for line in logs if line["event"] == "unexpected_error"]
    assert [line["exc_info"] for line in told] == [error]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("use_case", ["api_keys.recognize", "payments.create"])
def test_an_unreachable_store_is_503_with_a_time_to_come_back(
    web: Web, merchant: Caller, use_case: str
) -> None:
    door = web.configured().with_use_cases({use_case: failing(StorageUnavailable())})
    response = door.seen_by(merchant).pay()
    assert response.status_code == 503
    assert error_code(response) == "service_unavailable"
    assert response.headers["Retry-After"] == "1"
    assert "RateLimit" in response.headers


def test_a_declared_route_is_needed_to_pass_the_gate(web: Web) -> None:
    web.app.add_url_rule("/undeclared", "undeclared", lambda: "in")
    response = web.client.get("/undeclared")
    assert response.status_code == 500
    assert error_code(response) == "internal_error"


def test_a_request_is_one_line_without_secrets(web: Web, merchant: Caller) -> None:
    with capture_logs() as logs:
        response = merchant.pay(key="sesame")

    assert len(logs) == 1
    line = logs[0]
    assert line["event"] == "request"
    assert (line["method"], line["route"], line["status"]) == ("POST", PAYMENTS, 202)
    assert line["payment_id"] == response.get_json()["data"]["id"]
    assert 0 <= line["duration_ms"] < 5_000
    assert not any(secret in str(line) for secret in (merchant.key, "sesame", ORDER["source"]))


def test_a_replay_and_a_read_name_their_payment_too(merchant: Caller) -> None:
    id = merchant.pay(key="k").get_json()["data"]["id"]
    with capture_logs() as logs:
        merchant.pay(key="k")
        merchant.get(f"{PAYMENTS}/{id}")
    assert [line["payment_id"] for line in logs] == [id, id]
    assert logs[1]["route"] == f"{PAYMENTS}/<id>"


def test_what_is_bound_to_a_request_is_gone_after_it(
    web: Web, merchant: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, object]] = []
    create = web.application.payments.create

    def look(*arguments: Any) -> Answer:
        seen.append(dict(get_contextvars()))
        return create(*arguments)

    web.with_use_cases({"payments.create": look}).seen_by(merchant).post(
        PAYMENTS, ORDER, X_Request_Id="r-1"
    )
    assert seen == [{"request_id": "r-1", "merchant_id": str(merchant.merchant_id)}]
    assert get_contextvars() == {}


def test_metrics_know_routes_not_paths(web: Web, merchant: Caller) -> None:
    merchant.get(f"{PAYMENTS}/needle-in-path")
    web.client.get("/needle-in-nowhere")
    web.client.open(PAYMENTS, method="NEEDLE")

    labels = [
        (sample.labels.get("route", ""), sample.labels.get("method", ""))
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if metric.name.startswith("atomic_http")
    ]
    assert (f"{PAYMENTS}/<id>", "GET") in labels
    assert ("unmatched", "GET") in labels
    assert ("unmatched", "OTHER") in labels
    assert not any("needle" in (route + method).lower() for route, method in labels)
