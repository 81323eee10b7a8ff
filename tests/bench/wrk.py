"""Driving HTTP with wrk. An error among the answers is an error of the figure."""

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
"""One thread of wrk sends more than two cores can answer; more would only take those cores."""

SCRIPT: Final = Path(__file__).with_name("wrk.lua")

PATIENCE_SECONDS: Final = 10
"""Before an answer counts as lost; wrk's own two would be met by a batch on a slow disk."""

GRACE_SECONDS: Final = 30.0


KEY: Final = "@KEY@"
"""Where a request says this, wrk.lua puts an Idempotency-Key that was never used."""

PREFIX_BYTES: Final = 6
KEY_LENGTH: Final = 2 * PREFIX_BYTES + len("01-0000000001")


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    api_key: str
    body: str = ""
    keyed: bool = False
    """With an Idempotency-Key of its own each time it is sent."""

    def text(self, host: str) -> str:
        """As it goes over the wire, but for the keys."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {host}"]
        lines.append(f"Authorization: Bearer {self.api_key}")
        if self.body:
            length = len(self.body.encode()) + self.body.count(KEY) * (KEY_LENGTH - len(KEY))
            lines += ["Content-Type: application/json", f"Content-Length: {length}"]
        if self.keyed:
            lines.append(f"Idempotency-Key: {KEY}")
        return "\r\n".join([*lines, "", self.body])


@dataclass(frozen=True, slots=True)
class Load:
    """What a stretch of load came to."""

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
    """Send the requests in turn over so many connections; every `every` seconds call
    `meanwhile`. Raises BenchError unless every answer was a 2xx."""
    host = urlsplit(base_url).netloc
    with _written([each.text(host) for each in requests]) as file:
        command = ["wrk", f"-t{THREADS}", f"-c{connections}", f"-d{seconds}s"]
        command += ["--timeout", f"{PATIENCE_SECONDS}s", "-s", str(SCRIPT), base_url]
        command += ["--", str(file), secrets.token_hex(PREFIX_BYTES)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            told = _listen(process, meanwhile, every, seconds + GRACE_SECONDS)
        finally:
            process.kill()
            process.wait()
    return load_of(told)


def load_of(told: str) -> Load:
    """What wrk.lua said. Raises BenchError if any answer was missing or not a 2xx."""
    lines = [line for line in told.splitlines() if line.startswith('{"requests"')]
    if not lines:
        raise BenchError(f"wrk said: {told.strip()}")
    found = json.loads(lines[-1])
    faults = [f"{found[kind]} {kind}" for kind in ("refused", "broken", "timeouts") if found[kind]]
    if faults or not found["requests"]:
        raise BenchError(f"of {found['requests']} requests: {', '.join(faults) or 'none'}")
    return Load(
        found["requests"],
        found["microseconds"] / 1e6,
        found["p50_us"] / 1e3,
        found["p99_us"] / 1e3,
    )


def _listen(
    process: subprocess.Popen[str], meanwhile: Callable[[], object], every: float, within: float
) -> str:
    spent = 0.0
    while True:
        try:
            return process.communicate(timeout=every)[0]
        except subprocess.TimeoutExpired as late:
            spent += every
            if spent > within:
                raise BenchError(f"wrk did not end within {within:.0f} s") from late
            meanwhile()


@contextmanager
def _written(texts: Sequence[str]) -> Iterator[Path]:
    with tempfile.NamedTemporaryFile(prefix="atomic-bench-") as file:
        file.write("\0".join(texts).encode())
        file.flush()
        yield Path(file.name)
