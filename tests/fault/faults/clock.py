"""The clock of Atomic's processes jumps; PostgreSQL's does not."""

import signal
from pathlib import Path
from typing import Final

from fault.cluster import USUAL, Rig
from fault.fault_schedule import Scene
from fault.faults.fault import Fault
from processes import eventually

LIBRARIES: Final = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
)
"""Where Debian's package libfaketime has it."""

JUMPS: Final = ("+3600", "-86400", "+0")
"""Seconds: an hour on, a day back, right again."""

NOTICED_SECONDS: Final = 1
"""How often the library looks at its file."""

STARTED_AGAIN: Final = 5.0


def jump(scene: Scene) -> None:
    """All processes run under a false clock, which jumps while they work."""
    rig, file = scene.rig, scene.rig.folder / "clock"
    file.write_text("+0\n")
    _restart(scene, LD_PRELOAD=_library() or "", **_false_clock(file))
    for seconds in JUMPS:
        file.write_text(f"{seconds}\n")
        scene.wait(NOTICED_SECONDS + 1)
    _restart(scene)
    eventually(rig.is_healthy, 30, "the API is back")
    scene.is_over()


def _restart(scene: Scene, **environ: str) -> None:
    rig = scene.rig
    logged = rig.words_so_far()
    with rig.unkept(*USUAL):
        for name in USUAL:
            rig.signal(name, signal.SIGTERM)
        for name in USUAL:
            rig.system.running[name].wait(20)
            rig.spawn(name, **environ)
    for name in ("worker", "sweeper"):
        rig.await_words(f"{name} started", logged)


def _false_clock(file: Path) -> dict[str, str]:
    return {
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": str(NOTICED_SECONDS),
        # What is waited for is waited for as long as before.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def _library() -> str | None:
    return next((path for path in LIBRARIES if Path(path).exists()), None)


def _absent(_: Rig) -> str | None:
    return None if _library() else "libfaketime is not installed (Debian: libfaketime)"


FAULTS: Final = (
    Fault("clock-jump", "the clock an hour on, a day back", STARTED_AGAIN, jump, _absent),
)
