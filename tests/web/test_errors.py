from typing import Any
from uuid import UUID

import pytest
from prometheus_client import REGISTRY
from structlog.contextvars import get_contextvars
from structlog.testing import capture_logs

from atomic_core.domain import errors as core_errors
from atomic_core.domain.errors import AtomicError, StorageRefused, StorageUnavailable
from atomic_core.use_cases.idempotency import IdempotentResult
from atomic_web import errors as web_errors
from atomic_web.app import create_app
from atomic_web.errors import STATUS
from web.web_client import PAYMENT_BODY, PAYMENTS, MerchantClient, WebApp, error_code


def failing(error: Exception):
    def fail(*_arguments: object) -> None:
        raise error

    return fail


def get_types(module: object) -> set[str]:
    classes = [value for value in vars(module).values() if isinstance(value, type)]
    return {cls.type for cls in classes if issubclass(cls, AtomicError)}


def test_every_error_type_has_a_status_and_every_status_a_type() -> None:
    assert get_types(core_errors) | get_types(web_errors) == set(STATUS)


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
def test_unexpected_error_returns_500_and_is_described_in_the_log_only(
    web: WebApp, merchant: MerchantClient, error: Exception
) -> None:
    caller = web.with_use_cases({"payments.create": failing(error)}).connect(merchant)
    with capture_logs() as logs:
        response = caller.pay()

    assert response.status_code == 500
    assert error_code(response) == "internal_error"
    assert b"secret" not in response.data
    assert type(error).__name__.encode() not in response.data
    assert "details" not in response.get_json()["error"]
    lines = [line for line in logs if line["event"] == "unexpected_error"]
    assert [line["exc_info"] for line in lines] == [error]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("use_case", ["api_keys.identify", "payments.create"])
def test_unavailable_storage_returns_503_with_retry_after(
    web: WebApp, merchant: MerchantClient, use_case: str
) -> None:
    configured_web = web.with_settings().with_use_cases({use_case: failing(StorageUnavailable())})
    response = configured_web.connect(merchant).pay()
    assert response.status_code == 503
    assert error_code(response) == "service_unavailable"
    assert response.headers["Retry-After"] == "1"
    assert "RateLimit" in response.headers


def test_route_without_an_access_policy_returns_500(web: WebApp) -> None:
    app = create_app(web.application, web.settings)
    app.add_url_rule("/undeclared", "undeclared", lambda: "in")
    response = app.test_client().get("/undeclared")
    assert response.status_code == 500
    assert error_code(response) == "internal_error"


def test_request_logs_one_line_without_secrets(web: WebApp, merchant: MerchantClient) -> None:
    with capture_logs() as logs:
        response = merchant.pay(key="sesame")

    assert len(logs) == 1
    line = logs[0]
    assert line["event"] == "request"
    assert (line["method"], line["route"], line["status"]) == ("POST", PAYMENTS, 202)
    assert line["payment_id"] == response.get_json()["data"]["id"]
    assert 0 <= line["duration_ms"] < 5_000
    assert not any(
        secret in str(line) for secret in (merchant.key, "sesame", PAYMENT_BODY["source"])
    )


def test_replay_and_read_log_their_payment_id(merchant: MerchantClient) -> None:
    id = merchant.pay(key="k").get_json()["data"]["id"]
    with capture_logs() as logs:
        merchant.pay(key="k")
        merchant.get(f"{PAYMENTS}/{id}")
    assert [line["payment_id"] for line in logs] == [id, id]
    assert logs[1]["route"] == f"{PAYMENTS}/<id>"


def test_log_context_is_cleared_after_the_request(
    web: WebApp, merchant: MerchantClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, object]] = []
    create = web.application.payments.create

    def capture_log_context(*arguments: Any) -> IdempotentResult:
        seen.append(dict(get_contextvars()))
        return create(*arguments)

    web.with_use_cases({"payments.create": capture_log_context}).connect(merchant).post(
        PAYMENTS, PAYMENT_BODY, X_Request_Id="r-1"
    )
    assert UUID(str(seen[0].pop("server_request_id")))
    assert seen == [{"request_id": "r-1", "merchant_id": str(merchant.merchant_id)}]
    assert get_contextvars() == {}


def test_metric_labels_contain_routes_and_no_paths(web: WebApp, merchant: MerchantClient) -> None:
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
