"""The clock of Atomic's processes jumps; PostgreSQL's does not."""

import signal
from pathlib import Path
from typing import Final

from fault.cluster import DEFAULT_PROCESSES, Cluster
from fault.faults.fault import Fault
from fault.injection import STOP_SECONDS, Injection
from fault.servers import START_SECONDS
from processes import wait_until

LIBRARIES: Final = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
)
"""The paths in Debian's package libfaketime."""

JUMPS: Final = ("+3600", "-86400", "+0")
"""Seconds: an hour forward, a day back, then correct again."""

CACHE_SECONDS: Final = 1
"""How often the library reads its file."""

RESTART_SECONDS: Final = 5.0


def jump(injection: Injection) -> None:
    """Run all processes under a fake clock that jumps."""
    cluster, file = injection.cluster, injection.cluster.folder / "clock"
    file.write_text("+0\n")
    _restart(injection, LD_PRELOAD=_find_library() or "", **_build_clock_environ(file))
    for seconds in JUMPS:
        file.write_text(f"{seconds}\n")
        injection.wait(CACHE_SECONDS + 1)
    _restart(injection)
    wait_until(cluster.is_ready, START_SECONDS, "the API is ready")
    injection.mark_ended()


def _restart(injection: Injection, **environ: str) -> None:
    cluster = injection.cluster
    offset = cluster.get_log_size()
    with cluster.suspend_restarts(*DEFAULT_PROCESSES):
        for name in DEFAULT_PROCESSES:
            cluster.signal(name, signal.SIGTERM)
        for name in DEFAULT_PROCESSES:
            cluster.system.running[name].wait(STOP_SECONDS)
            cluster.spawn(name, **environ)
    for name in ("worker", "sweeper"):
        cluster.await_log_text(f"{name} started", offset)


def _build_clock_environ(file: Path) -> dict[str, str]:
    return {
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": str(CACHE_SECONDS),
        # Time-outs keep their length.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def _find_library() -> str | None:
    return next((path for path in LIBRARIES if Path(path).exists()), None)


def _get_skip_reason(_: Cluster) -> str | None:
    return None if _find_library() else "libfaketime is not installed (Debian: libfaketime)"


FAULTS: Final = (
    Fault(
        "clock-jump",
        "the clock an hour forward, a day back",
        RESTART_SECONDS,
        jump,
        _get_skip_reason,
    ),
)
