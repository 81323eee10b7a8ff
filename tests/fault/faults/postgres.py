"""PostgreSQL loses connections, processes, itself, its disk, or the reply to a COMMIT."""

import os
import shutil
import signal
from functools import partial
from typing import Final

import psutil

from fault.cluster import Rig
from fault.fault_schedule import Scene
from fault.faults.fault import Fault
from fault.proxy import LOSE_REPLY
from processes import eventually

OURS: Final = "FROM pg_stat_activity WHERE application_name = 'atomic'"

DOWN_SECONDS: Final = 10
SHORTLY_DOWN_SECONDS: Final = 1

FROZEN_SECONDS: Final = 3

REPLIES_LOST: Final = 5

SPARE_BYTES: Final = 262_144
"""Left when the disk is filled: it becomes full at work, not at once."""

FULL_SECONDS: Final = 3


def cut(scene: Scene) -> None:
    """Every connection of Atomic's processes."""
    scene.remark = f"{scene.ask(f'SELECT count(pg_terminate_backend(pid)) {OURS}')} connections"
    scene.is_over()


def kill_backend(scene: Scene) -> None:
    """The postmaster then ends all the others, and recovers."""
    pid = scene.ask(f"SELECT pid {OURS} ORDER BY state = 'active' DESC, random() LIMIT 1")
    os.kill(pid, signal.SIGKILL)
    scene.is_over()


def kill_postmaster(scene: Scene) -> None:
    scene.rig.servers.stop_postgres(signal.SIGKILL)
    scene.is_over()
    scene.rig.servers.start_postgres()


def outage(how: signal.Signals, seconds: float, scene: Scene) -> None:
    scene.rig.servers.stop_postgres(how)
    scene.wait(seconds)
    scene.rig.servers.start_postgres()
    scene.is_over()
    seen = {attempt.outcome for attempt in scene.attempts() if attempt.begun > scene.begun + 0.5}
    scene.remark = f"answers: {', '.join(sorted(seen))}"
    if seconds >= DOWN_SECONDS:
        scene.book.check("503 while down", holds="503" in seen, what=f"only {seen}")


def freeze(scene: Scene) -> None:
    """Not gone, not answering: every process of the server."""
    postmaster = scene.rig.servers.postgres.process.pid
    frozen = [postmaster]
    os.kill(postmaster, signal.SIGSTOP)
    try:
        for child in psutil.Process(postmaster).children():
            os.kill(child.pid, signal.SIGSTOP)
            frozen.append(child.pid)
        scene.wait(FROZEN_SECONDS)
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    scene.is_over()


def lose_replies(scene: Scene) -> None:
    for _ in range(REPLIES_LOST):
        scene.at(LOSE_REPLY, "once")
    scene.is_over()


def fill_disk(scene: Scene) -> None:
    """The server may even stop itself when it cannot write its log; then whoever watches over
    it starts it again, once there is room."""
    rig = scene.rig
    rig.servers.volume.fill(SPARE_BYTES)

    def is_full() -> bool:
        return shutil.disk_usage(rig.servers.volume.folder).free < 8_192

    try:
        eventually(is_full, 30, "the disk is full")
        scene.wait(FULL_SECONDS)
    finally:
        rig.servers.volume.free()
    if rig.servers.postgres.process.poll() is not None:
        scene.remark = "the server had stopped"
        rig.servers.postgres.stop()
        rig.servers.start_postgres()
    scene.is_over()
    seen = {attempt.outcome for attempt in scene.attempts()}
    scene.book.check("503 while full", holds="503" in seen, what=f"only {seen}")


def _cannot_fill(rig: Rig) -> str | None:
    return rig.servers.volume.reason


FAULTS: Final = (
    Fault("connections-cut", "pg_terminate_backend for all", 0.5, cut),
    Fault("backend-kill", "a backend killed", 2.0, kill_backend),
    Fault("postmaster-kill", "the postmaster killed", 5.0, kill_postmaster),
    Fault(
        "postgres-immediate",
        f"immediate shutdown, {SHORTLY_DOWN_SECONDS} s away",
        2.0,
        partial(outage, signal.SIGQUIT, SHORTLY_DOWN_SECONDS),
    ),
    Fault(
        "postgres-down",
        f"PostgreSQL away for {DOWN_SECONDS} s",
        2.0,
        partial(outage, signal.SIGINT, DOWN_SECONDS),
    ),
    Fault("postgres-freeze", f"PostgreSQL frozen for {FROZEN_SECONDS} s", 1.0, freeze),
    Fault("commit-reply-lost", f"{REPLIES_LOST} replies to COMMIT lost", 0.5, lose_replies),
    Fault("disk-full", "the disk full under PostgreSQL", 5.0, fill_disk, _cannot_fill),
)
