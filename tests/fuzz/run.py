"""Runs schemathesis, which generates requests from the OpenAPI document of a running system."""

import json
import os
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from processes import Client, System

FOLDER = Path(__file__).parent
TIMEOUT_SECONDS = 1_800


@dataclass(frozen=True)
class Run:
    passed: bool
    requests: int
    """The requests in the API's log."""
    statuses: dict[int, int]
    """How often each status was answered."""
    output: str


def run(system: System, key: str, *arguments: str, scratch: Path) -> Run:
    """Run schemathesis with these arguments, in the directory `scratch`."""
    count_before = len(_list_statuses(system))
    environ = {
        **os.environ,
        "ATOMIC_FUZZ_KEY": key,
        "ATOMIC_FUZZ_TOKEN": _create_session(system),
        "SCHEMATHESIS_HOOKS": "hooks",
        "PYTHONPATH": str(FOLDER),
        "PYTHONWARNINGS": "default",
    }
    config = ["--config-file", str(FOLDER / "schemathesis.toml")]
    command = [
        f"{system.base_url}/api/v1/openapi.json",
        "--checks",
        "all",
        "--no-color",
        *arguments,
    ]
    completed = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", *config, "run", *command],
        env=environ,
        cwd=scratch,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    statuses = _list_statuses(system)[count_before:]
    counts = {status: statuses.count(status) for status in sorted(set(statuses))}
    return Run(
        completed.returncode == 0, len(statuses), counts, completed.stdout + completed.stderr
    )


def _create_session(system: System) -> str:
    """Register a merchant and return its session token."""
    email = f"{secrets.token_hex(8)}@fuzz.example"
    credentials = {"email": email, "password": secrets.token_hex(16)}
    anonymous = Client(system.base_url, "no-key")
    assert anonymous.request("POST", "/merchants/register", credentials).status == 201
    return anonymous.request("POST", "/merchants/login", credentials).data["token"]


def _list_statuses(system: System) -> list[int]:
    """Return the status of each request in the API's log."""
    lines = (line for line in system.read_log_lines() if '"event":"request"' in line)
    return [json.loads(line)["status"] for line in lines]
