"""Valkey is killed, flushed, frozen, or never started. Payments are still accepted, and the sweeper
settles them: recovery is the slowest payment of the fault, from its 202 to its final status."""

import signal
from collections.abc import Iterable
from statistics import median
from typing import Final

from redis import Redis

from fault.cluster import DEFAULT_PROCESSES
from fault.faults.fault import Fault
from fault.http_client import Attempt
from fault.injection import Injection
from fault.servers import START_SECONDS
from processes import wait_until

SETTLEMENT_SECONDS: Final = 1.0

MAX_DELAY_SECONDS: Final = 0.25
"""How much longer than before a POST may take."""

DOWN_SECONDS: Final = 3.0

FLUSHES: Final = 5

BASELINE_SECONDS: Final = 5.0
"""Before the fault: the POSTs in this time are the baseline."""


def kill(injection: Injection) -> float:
    injection.cluster.servers.kill_valkey()
    injection.wait(DOWN_SECONDS)
    injection.mark_ended()
    injection.cluster.servers.start_valkey()
    return _measure(injection)


def freeze(injection: Injection) -> float:
    process = injection.cluster.servers.valkey.process
    process.send_signal(signal.SIGSTOP)
    try:
        injection.wait(DOWN_SECONDS)
    finally:
        process.send_signal(signal.SIGCONT)
    injection.mark_ended()
    return _measure(injection)


def flush(injection: Injection) -> float:
    with Redis.from_url(injection.cluster.servers.valkey.url) as redis:
        for _ in range(FLUSHES):
            redis.flushall()
            injection.wait(injection.random.uniform(0.05, 0.3))
    injection.mark_ended()
    return _measure(injection)


def start_without(injection: Injection) -> float:
    """Start all processes while Valkey is down. The fault starts once they have started."""
    cluster = injection.cluster
    cluster.servers.kill_valkey()
    offset = cluster.get_log_size()
    for name in DEFAULT_PROCESSES:
        cluster.kill(name)
    cluster.await_log_text("sweeper started", offset)
    killed = injection.started
    wait_until(
        lambda: "202" in {attempt.outcome for attempt in injection.list_attempts()},
        START_SECONDS,
        "the API accepts a payment",
    )
    injection.mark_started()
    injection.remark = (
        f"accepted {injection.started - killed:.1f} s after all processes were killed"
    )
    injection.wait(DOWN_SECONDS)
    injection.mark_ended()
    cluster.servers.start_valkey()
    return _measure(injection)


def _measure(injection: Injection) -> float:
    """Return the seconds of the slowest payment, and check that POSTs are as fast as before."""
    before = injection.load.request_log.list_started_since(injection.started - BASELINE_SECONDS)
    baseline = median(
        _list_post_seconds(each for each in before if each.started < injection.started) or [0.0]
    )
    during = _list_post_seconds(
        each for each in injection.list_attempts() if each.started < injection.ended
    )
    slowest = max(during, default=0.0)
    injection.check_time_bound("slowest POST", slowest, baseline + MAX_DELAY_SECONDS)
    return injection.measure_slowest_settlement()


def _list_post_seconds(attempts: Iterable[Attempt]) -> list[float]:
    return [each.seconds for each in attempts if each.method == "POST" and each.outcome == "202"]


FAULTS: Final = (
    Fault("valkey-kill", f"Valkey killed, {DOWN_SECONDS:.0f} s down", SETTLEMENT_SECONDS, kill),
    Fault("valkey-flush", f"FLUSHALL, {FLUSHES} times", SETTLEMENT_SECONDS, flush),
    Fault("valkey-freeze", f"Valkey frozen for {DOWN_SECONDS:.0f} s", SETTLEMENT_SECONDS, freeze),
    Fault(
        "valkey-absent", "all processes started without Valkey", SETTLEMENT_SECONDS, start_without
    ),
)
