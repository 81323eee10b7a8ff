"""What the figures were measured on."""

import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil

ROOT: Final = Path(__file__).parents[2]


def describe(postgres: str) -> Mapping[str, object]:
    """Plain facts, fit for JSON."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memoryGiB": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "postgresql": postgres,
        "commit": commit(),
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }


def commit() -> str:
    """The commit, with a mark if what was measured is not quite what it holds."""
    short = _git("rev-parse", "--short=12", "HEAD")
    if not short:
        return "unknown"
    return f"{short} dirty" if _git("status", "--porcelain") else short


def _git(*arguments: str) -> str:
    try:
        told = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return ""
    return told.stdout.strip() if told.returncode == 0 else ""


def _cpu() -> str:
    """The model's name, where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
