"""What the processes of a system take of the machine: memory, and time on its cores."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

import psutil

from bench.servers import Ground, Subject
from processes import System

MEGABYTE: Final = 1e6


def memory_mb(ground: Ground, subject: Subject) -> Mapping[str, float]:
    """Megabytes by kind of process. What processes share is counted once, in parts."""
    return {
        "atomic": sum(map(_proportional, _families(_pids(subject.api, subject.settlers)))),
        "postgresql": sum(map(_proportional, _families([ground.postgres.process.pid]))),
        "valkey": sum(map(_proportional, _families([ground.valkey.process.pid]))),
    }


def cpu_seconds(ground: Ground, subject: Subject) -> Mapping[str, float]:
    """Seconds on a core since the processes began. PostgreSQL's are exact as long as nobody
    disconnects."""
    return {
        "workers": sum(map(_cpu, _families(_pids(subject.settlers)))),
        "PostgreSQL": sum(map(_cpu, _families([ground.postgres.process.pid]))),
    }


def _pids(*systems: System) -> list[int]:
    return [process.pid for system in systems for process in system.running.values()]


def _families(pids: Iterable[int]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(pid)
            found += [parent, *parent.children(recursive=True)]
    return found


def _proportional(process: psutil.Process) -> float:
    """Linux divides shared pages among those who share them; elsewhere they are left out."""
    try:
        seen = process.memory_full_info()
    except psutil.NoSuchProcess:
        return 0.0
    return getattr(seen, "pss", seen.uss) / MEGABYTE


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system
