"""A short run of `make faults`: the hard faults of each process, once. Tests of SIGTERM are in
tests/e2e."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

SEED: Final = 4

ONLY: Final = (
    "worker-kill-after-claim",
    "worker-freeze-after-claim",
    "api-kill-before-reply",
    "commit-reply-lost",
    "postmaster-kill",
    "valkey-kill",
)

CALM: Final = 4
"""The load is a quarter of that of `make faults`: most of it is settled and delivered between the
faults, and proves nothing more."""

TESTS: Final = Path(__file__).parents[1]

TIMEOUT_SECONDS: Final = 600
"""Only stops a run that hangs: it takes 25 s alone, more beside other tests."""


def test_no_payment_is_lost_or_duplicated_under_faults(tmp_path: Path) -> None:
    json_file, chart_file = tmp_path / "run.json", tmp_path / "run.svg"
    options = ["--rounds=1", f"--seed={SEED}", f"--only={','.join(ONLY)}", "--ignore-time-bounds"]
    options.append(f"--calm={CALM}")
    files = [f"--json={json_file}", f"--picture={chart_file}"]
    run = subprocess.run(
        [sys.executable, str(TESTS / "fault"), *options, *files],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    results = json.loads(json_file.read_text())
    assert {fault["name"] for fault in results["faults"] if fault["injections"]} == set(ONLY)
    # The audits ran, and the load was large enough for them to prove something.
    assert results["checks"]["I1"] > 5
    assert results["checks"]["I5"] > 500
    assert results["checks"]["I7"] > 10
    assert "valkey-kill" in chart_file.read_text()
