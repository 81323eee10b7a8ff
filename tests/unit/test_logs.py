"""One JSON format for the lines of all loggers."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator

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


# Runs each program that it reads in a process of its own: starting one by fork is much cheaper than
# importing everything again.
FORKING = """
import json, os, sys, tempfile
import atomic_adapters.logs, atomic_adapters.settings
for line in sys.stdin:
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        if (pid := os.fork()) == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            status = 1
            try:
                exec(json.loads(line), {})
                status = 0
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode())
    print(json.dumps([status, *texts]), flush=True)
"""

Lines = list[dict[str, object]]


@pytest.fixture(scope="module")
def forking() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", FORKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process


@pytest.fixture
def lines(forking: subprocess.Popen[str]) -> Callable[..., Lines]:
    def run(code: str, **variables: str) -> Lines:
        """What a process of its own writes to stderr: a logger keeps its first configuration."""
        assert forking.stdin
        assert forking.stdout
        program = PROGRAM.format(environ=ENVIRON | variables, code=code)
        forking.stdin.write(f"{json.dumps(program)}\n")
        forking.stdin.flush()
        status, output, errors = json.loads(forking.stdout.readline())
        assert (status, output) == (0, "")
        return [json.loads(line) for line in errors.splitlines()]

    return run


def test_lines_of_all_loggers_have_one_format(lines: Callable[..., Lines]) -> None:
    ours, theirs = lines("log.info('hello', number=1); theirs.info('hello %s', 'from gunicorn')")
    assert ours.keys() - {"number"} == theirs.keys()
    assert (ours["event"], ours["level"], ours["logger"]) == ("hello", "info", "atomic.ours")
    assert (theirs["event"], theirs["logger"]) == ("hello from gunicorn", "gunicorn.error")
    assert (ours["request_id"], ours["number"]) == ("r-1", 1)
    for line in (ours, theirs):
        assert str(line["timestamp"]).endswith("Z")


def test_exception_is_logged_with_its_traceback(lines: Callable[..., Lines]) -> None:
    code = "try: 1 / 0\nexcept ZeroDivisionError as error: log.error('failed', exc_info=error)"
    for line in lines(f"{code}; theirs.exception('failed')"):
        assert str(line["exception"]).startswith("Traceback")
        assert str(line["exception"]).endswith("ZeroDivisionError: division by zero")


@pytest.mark.parametrize(
    ("level", "expected_lines"), [("debug", 8), ("info", 6), ("warning", 4), ("error", 2)]
)
def test_level_applies_to_all_loggers(
    lines: Callable[..., Lines], level: str, expected_lines: int
) -> None:
    code = "\n".join(
        f"log.{name}('x'); theirs.{name}('x')" for name in ("debug", "info", "warning", "error")
    )
    assert len(lines(code, LOG_LEVEL=level)) == expected_lines


def test_urls_of_webhooks_are_not_logged(lines: Callable[..., Lines]) -> None:
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
def test_unserializable_values_are_logged(
    lines: Callable[..., Lines], value: str, expected: object
) -> None:
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
