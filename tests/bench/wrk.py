"""Sends HTTP load with wrk. One failed request makes the figure fail."""

import json
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bench.measurement import BenchError

HOW_TO_INSTALL: Final = (
    "wrk drives the load and is not installed. Debian, Ubuntu: apt-get install wrk; "
    "macOS: brew install wrk; source: https://github.com/wg/wrk"
)

THREADS: Final = 1
"""One thread sends more than two cores can answer; more threads would only take CPU time."""

SCRIPT: Final = Path(__file__).with_name("wrk.lua")

TIMEOUT_SECONDS: Final = 10
"""For each response. The default of two seconds is too short for a batch on a slow disk."""

GRACE_SECONDS: Final = 30.0
"""For wrk to stop after its time."""

KEY: Final = "@KEY@"
"""wrk.lua replaces this in a request by a new Idempotency-Key."""

ERROR_KINDS: Final = ("refused", "broken", "timeouts")

PREFIX_BYTES: Final = 6
KEY_LENGTH: Final = 2 * PREFIX_BYTES + len("01-0000000001")


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    api_key: str
    body: str = ""
    has_key: bool = False
    """Whether it is sent with a new Idempotency-Key each time."""

    def format_request(self, host: str) -> str:
        """Return the HTTP request, with KEY in place of each Idempotency-Key."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {host}"]
        lines.append(f"Authorization: Bearer {self.api_key}")
        if self.body:
            length = len(self.body.encode()) + self.body.count(KEY) * (KEY_LENGTH - len(KEY))
            lines += ["Content-Type: application/json", f"Content-Length: {length}"]
        if self.has_key:
            lines.append(f"Idempotency-Key: {KEY}")
        return "\r\n".join([*lines, "", self.body])


@dataclass(frozen=True, slots=True)
class Load:
    """The result of one run of wrk."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def is_installed() -> bool:
    return shutil.which("wrk") is not None


def drive(
    base_url: str,
    requests: Sequence[Request],
    connections: int,
    seconds: int,
    meanwhile: Callable[[], object] = lambda: None,
    every: float = 0.5,
) -> Load:
    """Send the requests in turn over the connections, and call `meanwhile` every `every` seconds.
    Raises BenchError unless every response is a 2xx."""
    host = urlsplit(base_url).netloc
    with _write_requests([request.format_request(host) for request in requests]) as file:
        command = ["wrk", f"-t{THREADS}", f"-c{connections}", f"-d{seconds}s"]
        command += ["--timeout", f"{TIMEOUT_SECONDS}s", "-s", str(SCRIPT), base_url]
        command += ["--", str(file), secrets.token_hex(PREFIX_BYTES)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            output = _await_output(process, meanwhile, every, seconds + GRACE_SECONDS)
        finally:
            process.kill()
            process.wait()
    return parse_load(output)


def parse_load(output: str) -> Load:
    """Parse the output of wrk.lua. Raises BenchError if a response was missing or not a 2xx."""
    lines = [line for line in output.splitlines() if line.startswith('{"requests"')]
    if not lines:
        raise BenchError(f"wrk failed: {output.strip()}")
    result = json.loads(lines[-1])
    errors = [f"{result[kind]} {kind}" for kind in ERROR_KINDS if result[kind]]
    if errors or not result["requests"]:
        raise BenchError(f"of {result['requests']} requests: {', '.join(errors) or 'none'}")
    return Load(
        result["requests"],
        result["microseconds"] / 1e6,
        result["p50_us"] / 1e3,
        result["p99_us"] / 1e3,
    )


def _await_output(
    process: subprocess.Popen[str], meanwhile: Callable[[], object], every: float, within: float
) -> str:
    waited = 0.0
    while True:
        try:
            return process.communicate(timeout=every)[0]
        except subprocess.TimeoutExpired as error:
            waited += every
            if waited > within:
                raise BenchError(f"wrk did not stop within {within:.0f} s") from error
            meanwhile()


@contextmanager
def _write_requests(texts: Sequence[str]) -> Iterator[Path]:
    with tempfile.NamedTemporaryFile(prefix="atomic-bench-") as file:
        file.write("\0".join(texts).encode())
        file.flush()
        yield Path(file.name)
