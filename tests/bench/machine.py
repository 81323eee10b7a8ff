"""Describes the machine and the commit that are measured."""

import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil

ROOT: Final = Path(__file__).parents[2]


def describe_machine(postgres: str) -> Mapping[str, object]:
    """The values can be written as JSON."""
    return {
        "cpu": _read_cpu_model(),
        "cores": os.cpu_count(),
        "memoryGiB": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "postgresql": postgres,
        "commit": get_commit(),
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }


def get_commit() -> str:
    """Return the short commit id, marked as dirty if there are uncommitted changes."""
    short = _run_git("rev-parse", "--short=12", "HEAD")
    if not short:
        return "unknown"
    return f"{short} dirty" if _run_git("status", "--porcelain") else short


def _run_git(*arguments: str) -> str:
    try:
        result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""


def _read_cpu_model() -> str:
    """Return the model's name where /proc/cpuinfo has it, else the architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
