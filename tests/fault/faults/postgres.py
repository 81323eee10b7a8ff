"""PostgreSQL loses connections or processes, stops, freezes, fills its disk, or a reply is lost."""

import os
import shutil
import signal
from contextlib import suppress
from functools import partial
from typing import Final

import psutil

from fault.cluster import Cluster
from fault.faults.fault import Fault
from fault.injection import Injection
from fault.proxy import DROP_REPLY
from processes import wait_until

FROM_ATOMIC_SESSIONS: Final = "FROM pg_stat_activity WHERE application_name = 'atomic'"

DOWN_SECONDS: Final = 10
SHORT_DOWN_SECONDS: Final = 1

FROZEN_SECONDS: Final = 3

LOST_REPLIES: Final = 5

SPARE_BYTES: Final = 262_144
"""Left free: the load fills the rest, so that the disk becomes full during a write."""

FULL_SECONDS: Final = 3


def terminate_connections(injection: Injection) -> None:
    """Terminate every session of Atomic's processes."""
    query = f"SELECT count(pg_terminate_backend(pid)) {FROM_ATOMIC_SESSIONS}"
    injection.remark = f"{injection.query_value(query)} connections"
    injection.mark_ended()


def kill_backend(injection: Injection) -> None:
    """Kill one backend. The postmaster then ends all others and recovers."""
    pid = injection.query_value(
        f"SELECT pid {FROM_ATOMIC_SESSIONS} ORDER BY state = 'active' DESC, random() LIMIT 1"
    )
    os.kill(pid, signal.SIGKILL)
    injection.mark_ended()


def kill_postmaster(injection: Injection) -> None:
    injection.cluster.servers.stop_postgres(signal.SIGKILL)
    injection.mark_ended()
    injection.cluster.servers.start_postgres()


def stop(number: signal.Signals, seconds: float, injection: Injection) -> None:
    injection.cluster.servers.stop_postgres(number)
    injection.wait(seconds)
    injection.cluster.servers.start_postgres()
    injection.mark_ended()
    outcomes = {
        attempt.outcome
        for attempt in injection.list_attempts()
        if attempt.started > injection.started + 0.5
    }
    injection.remark = f"responses: {', '.join(sorted(outcomes))}"
    if seconds >= DOWN_SECONDS:
        injection.oracle.check(
            "503-while-down", holds="503" in outcomes, details=f"responses: {outcomes}"
        )


def freeze(injection: Injection) -> None:
    """Stop every process of the server with SIGSTOP: it is connected and does not respond."""
    postmaster = injection.cluster.servers.postgres.process.pid
    frozen = [postmaster]
    os.kill(postmaster, signal.SIGSTOP)
    try:
        for child in psutil.Process(postmaster).children():
            frozen.append(child.pid)
            _signal_unless_ended(child.pid, signal.SIGSTOP)
        injection.wait(FROZEN_SECONDS)
    finally:
        # All of them: one that stays frozen keeps the shared memory, and no server can start.
        for pid in frozen:
            _signal_unless_ended(pid, signal.SIGCONT)
    injection.mark_ended()


def _signal_unless_ended(pid: int, number: signal.Signals) -> None:
    """A backend may end at any moment, such as a parallel worker."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def drop_replies(injection: Injection) -> None:
    for _ in range(LOST_REPLIES):
        injection.trigger(DROP_REPLY, "once")
    injection.mark_ended()


def fill_disk(injection: Injection) -> None:
    """Fill the disk. PostgreSQL may stop when it cannot write its log: it is then started again,
    as a supervisor would do, once there is space."""
    servers = injection.cluster.servers
    servers.disk.fill(SPARE_BYTES)

    def is_full() -> bool:
        return shutil.disk_usage(servers.disk.folder).free < 8_192

    try:
        wait_until(is_full, 60, "the disk is full")
        injection.wait(FULL_SECONDS)
    finally:
        servers.disk.restore_size()
    if servers.postgres.process.poll() is not None:
        injection.remark = "PostgreSQL had stopped"
        servers.postgres.stop()
        servers.start_postgres()
    injection.mark_ended()
    outcomes = {attempt.outcome for attempt in injection.list_attempts()}
    injection.oracle.check(
        "503-while-full", holds="503" in outcomes, details=f"responses: {outcomes}"
    )


def _get_skip_reason(cluster: Cluster) -> str | None:
    return cluster.servers.disk.unavailable_reason


FAULTS: Final = (
    Fault("connections-cut", "pg_terminate_backend for all", 0.5, terminate_connections),
    Fault("backend-kill", "a backend killed", 2.0, kill_backend),
    Fault("postmaster-kill", "the postmaster killed", 5.0, kill_postmaster),
    Fault(
        "postgres-immediate",
        f"immediate shutdown, {SHORT_DOWN_SECONDS} s down",
        2.0,
        partial(stop, signal.SIGQUIT, SHORT_DOWN_SECONDS),
    ),
    Fault(
        "postgres-down",
        f"PostgreSQL down for {DOWN_SECONDS} s",
        2.0,
        partial(stop, signal.SIGINT, DOWN_SECONDS),
    ),
    Fault("postgres-freeze", f"PostgreSQL frozen for {FROZEN_SECONDS} s", 1.0, freeze),
    Fault("commit-reply-lost", f"{LOST_REPLIES} replies to COMMIT lost", 0.5, drop_replies),
    Fault("disk-full", "the disk full under PostgreSQL", 5.0, fill_disk, _get_skip_reason),
)
