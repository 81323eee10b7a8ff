"""What a hostile client does that no single row of abuse.md names."""

from typing import BinaryIO, cast

import pytest
from structlog.testing import capture_logs
from web.door import ACCOUNTS, BATCH, PAYMENTS, Caller, Web, error_code


class Torn:
    """A body whose sender is gone before it is read."""

    def __init__(self, error: OSError) -> None:
        self.error = error

    def read(self, size: int = -1) -> bytes:
        raise self.error

    readline = readinto = read


@pytest.mark.parametrize(
    "error", [ConnectionResetError(), BrokenPipeError(), OSError("EHOSTUNREACH")]
)
@pytest.mark.parametrize("path", [PAYMENTS, BATCH, ACCOUNTS])
@pytest.mark.parametrize("length", ["50", ""])
def test_a_reset_in_the_midst_of_a_body_is_no_bug_of_ours(
    web: Web, merchant: Caller, path: str, error: OSError, length: str
) -> None:
    with capture_logs() as logs:
        response = merchant.client.post(
            path,
            headers=merchant.authorization | {"Content-Type": "application/json"},
            environ_overrides={
                "CONTENT_LENGTH": length,
                "wsgi.input_terminated": True,
                "wsgi.input": cast(BinaryIO, Torn(error)),
            },
        )
    assert response.status_code == 400
    assert error_code(response) == "malformed_request"
    assert [line["event"] for line in logs] == ["request"]
    assert web.effects == (0, 0, 0)
