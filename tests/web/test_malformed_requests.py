"""Responses to requests that gunicorn cannot parse. (Over sockets: tests/e2e.)"""

import pytest
from gunicorn.http import errors as gunicorn_errors
from structlog.testing import capture_logs

from atomic_core.domain.errors import AtomicError
from atomic_core.ports.rate_limiter import RateLimit, RateState
from atomic_web.errors import RequestTimeout
from atomic_web.server.malformed_requests import render_error_response
from raw_http import RawResponse, parse_responses

SECRET = "sk_test_" + "7" * 48


def respond_to(error: BaseException) -> RawResponse:
    (response,) = parse_responses(
        render_error_response(error, "192.0.2.1", [("X-Frame-Options", "DENY")])
    )
    return response


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (gunicorn_errors.InvalidRequestLine(SECRET), 400, "malformed_request"),
        (gunicorn_errors.InvalidRequestMethod(SECRET), 400, "malformed_request"),
        (gunicorn_errors.InvalidHTTPVersion(SECRET), 400, "malformed_request"),
        (gunicorn_errors.InvalidHeader(SECRET), 400, "malformed_request"),
        (gunicorn_errors.InvalidHeaderName(SECRET), 400, "malformed_request"),
        (gunicorn_errors.ObsoleteFolding(SECRET), 400, "malformed_request"),
        (gunicorn_errors.UnsupportedTransferCoding(SECRET), 400, "malformed_request"),
        (gunicorn_errors.ExpectationFailed(SECRET), 400, "malformed_request"),
        (gunicorn_errors.InvalidChunkSize(SECRET.encode()), 400, "malformed_request"),
        (RequestTimeout(), 408, "request_timeout"),
        (gunicorn_errors.LimitRequestLine(5_000, 4_094), 414, "uri_too_long"),
        (gunicorn_errors.LimitRequestHeaders(SECRET), 431, "headers_too_large"),
    ],
)
def test_client_error_is_answered_without_quoting_the_request(
    error: Exception, status: int, code: str
) -> None:
    with capture_logs() as logs:
        response = respond_to(error)
    assert (response.status, response.code) == (status, code)
    assert response.header("Connection") == "close"
    assert response.header("X-Frame-Options") == "DENY"
    assert logs == [
        {
            "event": "malformed_request",
            "log_level": "info",
            "request_id": response.header("X-Request-Id"),
            "address": "192.0.2.1",
            "status": status,
            "error": type(error).__name__,
        }
    ]
    assert SECRET.encode() not in response.body


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(SECRET),
        StopIteration(),
        gunicorn_errors.ConfigurationProblem(SECRET),
        getattr(gunicorn_errors, "InvalidResponseHeader")(SECRET),  # noqa: B009 - missing in its type stubs
        AtomicError(SECRET),
    ],
)
def test_server_error_is_described_in_the_log_only(error: Exception) -> None:
    with capture_logs() as logs:
        response = respond_to(error)
    assert (response.status, response.code) == (500, "internal_error")
    assert SECRET.encode() not in response.body
    assert [line["exc_info"] for line in logs] == [error]


@pytest.mark.parametrize(("remaining", "exceeded", "status"), [(0, False, 400), (0, True, 429)])
def test_malformed_request_counts_against_the_limits_of_its_address(
    remaining: int, exceeded: bool, status: int
) -> None:
    addresses: list[str | None] = []

    def count_request(address: str | None) -> list[RateState]:
        addresses.append(address)
        return [RateState(RateLimit("global", 100, 900, "192.0.2.1"), remaining, 617, exceeded)]

    error = gunicorn_errors.InvalidHeader(SECRET)
    raw = render_error_response(error, "192.0.2.1", [], count_request)
    (response,) = parse_responses(raw)
    assert addresses == ["192.0.2.1"]
    assert response.status == status
    assert response.header("RateLimit-Policy") == '"global";q=100;w=900'
    assert response.header("RateLimit") == '"global";r=0;t=617'
    assert ("Retry-After" in response.names) == exceeded
    if exceeded:
        assert response.code == "rate_limited"
        assert response.header("Retry-After") == "617"


def test_server_error_is_not_counted_against_the_client() -> None:
    def count_request(_address: str | None) -> list[RateState]:
        raise AssertionError

    assert b" 500 " in render_error_response(RuntimeError(), "192.0.2.1", [], count_request)
