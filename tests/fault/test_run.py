"""A short run of `make faults`: as many of its faults as fit into half a minute."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

SECONDS: Final = 30

SEED: Final = 4

ONLY: Final = (
    "kill-claimed",
    "kill-posting",
    "api-kill-answering",
    "commit-reply-lost",
    "backend-kill",
    "postmaster-kill",
    "valkey-kill",
    "api-term",
    "crowd",
    "freeze-claimed",
)

PATIENCE: Final = 6
"""Other tests run beside this one; that nothing is lost has no such bound."""

TESTS: Final = Path(__file__).parents[1]


def test_nothing_is_lost_and_nothing_doubled(tmp_path: Path) -> None:
    told, drawn = tmp_path / "run.json", tmp_path / "run.svg"
    options = [f"--seconds={SECONDS}", f"--seed={SEED}", f"--only={','.join(ONLY)}"]
    files = [f"--patience={PATIENCE}", f"--json={told}", f"--picture={drawn}"]
    run = subprocess.run(
        [sys.executable, str(TESTS / "fault"), *options, *files],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads(told.read_text())
    injected = {fault["name"] for fault in found["faults"] if fault["injections"]}
    assert injected == set(ONLY), "each of these was to be injected within the time"
    # That it looked, and at something.
    assert found["checks"]["I1"] > 20
    assert found["checks"]["I5"] > 500
    assert found["checks"]["I7"] > 10
    assert "valkey-kill" in drawn.read_text()
