"""Memory and CPU time of a system's processes."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

import psutil

from bench.servers import BenchCluster, SystemUnderTest
from processes import System

MEGABYTE: Final = 1e6


def measure_memory_mb(cluster: BenchCluster, system: SystemUnderTest) -> Mapping[str, float]:
    """Return megabytes by kind of process. Shared pages are counted once."""
    return {
        "atomic": sum(
            map(_get_memory_mb, _list_process_trees(_list_pids(system.api, system.workers)))
        ),
        "postgresql": sum(map(_get_memory_mb, _list_process_trees([cluster.postgres.process.pid]))),
        "valkey": sum(map(_get_memory_mb, _list_process_trees([cluster.valkey.process.pid]))),
    }


def measure_cpu_seconds(cluster: BenchCluster, system: SystemUnderTest) -> Mapping[str, float]:
    """Return CPU seconds since the processes started. Those of PostgreSQL sessions that have ended
    are missing."""
    return {
        "workers": sum(map(_get_cpu_seconds, _list_process_trees(_list_pids(system.workers)))),
        "PostgreSQL": sum(
            map(_get_cpu_seconds, _list_process_trees([cluster.postgres.process.pid]))
        ),
    }


def _list_pids(*systems: System) -> list[int]:
    return [process.pid for system in systems for process in system.running.values()]


def _list_process_trees(pids: Iterable[int]) -> list[psutil.Process]:
    processes: list[psutil.Process] = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(pid)
            processes += [parent, *parent.children(recursive=True)]
    return processes


def _get_memory_mb(process: psutil.Process) -> float:
    """Return the proportional set size on Linux, elsewhere the memory that is not shared."""
    try:
        memory = process.memory_full_info()
    except psutil.NoSuchProcess:
        return 0.0
    return getattr(memory, "pss", memory.uss) / MEGABYTE


def _get_cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system
