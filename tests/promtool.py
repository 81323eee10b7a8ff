"""Prometheus' own checks of metrics and alerts."""

import shutil
import subprocess
from pathlib import Path

import pytest

PROGRAM = shutil.which("promtool")


def run_promtool(*arguments: str | Path, stdin: bytes = b"") -> tuple[int, str]:
    """Exit status and output. Skips the test where promtool is missing."""
    if PROGRAM is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    process = subprocess.run([PROGRAM, *arguments], input=stdin, capture_output=True, timeout=120)
    return process.returncode, (process.stdout + process.stderr).decode()
