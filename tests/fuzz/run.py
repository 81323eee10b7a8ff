"""schemathesis against a system that runs: requests made up from its own OpenAPI document."""

import json
import os
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from processes import Client, System

HERE = Path(__file__).parent
LIMIT_SECONDS = 1_800


@dataclass(frozen=True)
class Run:
    passed: bool
    requests: int
    """Those that the API says it answered."""
    statuses: dict[int, int]
    output: str


def run(system: System, key: str, *arguments: str, scratch: Path) -> Run:
    """`arguments` are schemathesis' own. What it leaves behind, it leaves in `scratch`."""
    before = len(_answered(system))
    environ = {
        **os.environ,
        "ATOMIC_FUZZ_KEY": key,
        "ATOMIC_FUZZ_TOKEN": _session(system),
        "SCHEMATHESIS_HOOKS": "hooks",
        "PYTHONPATH": str(HERE),
        "PYTHONWARNINGS": "default",
    }
    config = ["--config-file", str(HERE / "schemathesis.toml")]
    asked = [f"{system.base_url}/api/v1/openapi.json", "--checks", "all", "--no-color", *arguments]
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", *config, "run", *asked],
        env=environ,
        cwd=scratch,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    statuses = _answered(system)[before:]
    counted = {status: statuses.count(status) for status in sorted(set(statuses))}
    return Run(done.returncode == 0, len(statuses), counted, done.stdout + done.stderr)


def _session(system: System) -> str:
    """The token of a merchant of its own."""
    email = f"{secrets.token_hex(8)}@fuzz.example"
    login = {"email": email, "password": secrets.token_hex(16)}
    anybody = Client(system.base_url, "nobody")
    assert anybody.request("POST", "/merchants/register", login).status == 201
    return anybody.request("POST", "/merchants/login", login).data["token"]


def _answered(system: System) -> list[int]:
    """The status of every request in the API's log."""
    lines = (line for line in system.read_log().splitlines() if '"event":"request"' in line)
    return [json.loads(line)["status"] for line in lines]
