"""What gunicorn could not read, and what is said of it. (Over sockets: tests/e2e.)"""

import pytest
from gunicorn.http import errors as faults
from structlog.testing import capture_logs

from atomic_core.domain.errors import AtomicError
from atomic_web.errors import RequestTimeout
from atomic_web.server.malformed_requests import render_error_response
from raw_http import Answer, answers_in

SECRET = "sk_test_" + "7" * 48


def refused(error: BaseException) -> Answer:
    (answer,) = answers_in(render_error_response(error, "192.0.2.1", [("X-Frame-Options", "DENY")]))
    return answer


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (faults.InvalidRequestLine(SECRET), 400, "malformed_request"),
        (faults.InvalidRequestMethod(SECRET), 400, "malformed_request"),
        (faults.InvalidHTTPVersion(SECRET), 400, "malformed_request"),
        (faults.InvalidHeader(SECRET), 400, "malformed_request"),
        (faults.InvalidHeaderName(SECRET), 400, "malformed_request"),
        (faults.ObsoleteFolding(SECRET), 400, "malformed_request"),
        (faults.UnsupportedTransferCoding(SECRET), 400, "malformed_request"),
        (faults.ExpectationFailed(SECRET), 400, "malformed_request"),
        (faults.InvalidChunkSize(SECRET.encode()), 400, "malformed_request"),
        (RequestTimeout(), 408, "request_timeout"),
        (faults.LimitRequestLine(5_000, 4_094), 414, "uri_too_long"),
        (faults.LimitRequestHeaders(SECRET), 431, "headers_too_large"),
    ],
)
def test_a_fault_of_the_clients_is_refused_and_not_repeated(
    error: Exception, status: int, code: str
) -> None:
    with capture_logs() as logs:
        answer = refused(error)
    assert (answer.status, answer.code) == (status, code)
    assert answer.header("Connection") == "close"
    assert answer.header("X-Frame-Options") == "DENY"
    assert logs == [
        {
            "event": "malformed_request",
            "log_level": "info",
            "request_id": answer.header("X-Request-Id"),
            "address": "192.0.2.1",
            "status": status,
            "fault": type(error).__name__,
        }
    ]
    assert SECRET.encode() not in answer.body


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(SECRET),
        StopIteration(),
        faults.ConfigurationProblem(SECRET),
        getattr(faults, "InvalidResponseHeader")(SECRET),  # noqa: B009 - newer than its types
        AtomicError(SECRET),
    ],
)
def test_a_fault_of_ours_is_told_to_the_log_alone(error: Exception) -> None:
    with capture_logs() as logs:
        answer = refused(error)
    assert (answer.status, answer.code) == (500, "internal_error")
    assert SECRET.encode() not in answer.body
    assert [line["exc_info"] for line in logs] == [error]
