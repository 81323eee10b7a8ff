"""One JSON format for the lines of all loggers."""

import json
import subprocess
import sys

import pytest

ENVIRON = {"DATABASE_URL": "postgresql:///unused", "ATOMIC_ENV": "production"}

PROGRAM = """
import logging, structlog
from atomic_adapters.logs import configure_logging
from atomic_adapters.settings import Settings
configure_logging(Settings.from_environ({environ!r}))
log = structlog.get_logger("atomic.ours")
theirs = logging.getLogger("gunicorn.error")
structlog.contextvars.bind_contextvars(request_id="r-1")
{code}
"""


def lines(code: str, **variables: str) -> list[dict[str, object]]:
    """What a process of its own writes to stderr: a logger keeps its first configuration."""
    program = PROGRAM.format(environ=ENVIRON | variables, code=code)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ran.stdout == b""
    return [json.loads(line) for line in ran.stderr.splitlines()]


def test_lines_of_all_loggers_have_one_format() -> None:
    ours, theirs = lines("log.info('hello', number=1); theirs.info('hello %s', 'from gunicorn')")
    assert ours.keys() - {"number"} == theirs.keys()
    assert (ours["event"], ours["level"], ours["logger"]) == ("hello", "info", "atomic.ours")
    assert (theirs["event"], theirs["logger"]) == ("hello from gunicorn", "gunicorn.error")
    assert (ours["request_id"], ours["number"]) == ("r-1", 1)
    for line in (ours, theirs):
        assert str(line["timestamp"]).endswith("Z")


def test_exception_is_logged_with_its_traceback() -> None:
    code = "try: 1 / 0\nexcept ZeroDivisionError as error: log.error('failed', exc_info=error)"
    for line in lines(f"{code}; theirs.exception('failed')"):
        assert str(line["exception"]).startswith("Traceback")
        assert str(line["exception"]).endswith("ZeroDivisionError: division by zero")


@pytest.mark.parametrize(
    ("level", "expected_lines"), [("debug", 8), ("info", 6), ("warning", 4), ("error", 2)]
)
def test_level_applies_to_all_loggers(level: str, expected_lines: int) -> None:
    code = "\n".join(
        f"log.{name}('x'); theirs.{name}('x')" for name in ("debug", "info", "warning", "error")
    )
    assert len(lines(code, LOG_LEVEL=level)) == expected_lines


def test_urls_of_webhooks_are_not_logged() -> None:
    code = "logging.getLogger('urllib3.connectionpool').error('POST /hook?token=secret')"
    assert lines(f"import logging; {code}", LOG_LEVEL="debug") == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (r"'\ud800'", "\ud800"),
        ("2 ** 80", 2**80),
        ("object", "<class 'object'>"),
        ("__import__('uuid').UUID(int=1)", "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_unserializable_values_are_logged(value: str, expected: object) -> None:
    assert lines(f"log.info('hello', value={value})")[0]["value"] == expected


def test_text_format_describes_a_request_first() -> None:
    request = "method='POST', route='/api/v1/payments', status=202, duration_ms=21.4"
    code = f"log.info('request', {request}, payment_id='p-1'); theirs.warning('stop')"
    program = PROGRAM.format(environ=ENVIRON | {"LOG_FORMAT": "text"}, code=code)
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    ours, other = (line.split(" ", 1)[1] for line in ran.stderr.splitlines())
    assert ours == "[info] POST /payments 202 21 ms payment_id=p-1 request_id=r-1"
    assert other == "[warning] stop [gunicorn.error] request_id=r-1"
