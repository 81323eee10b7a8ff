"""Valkey dies, forgets, freezes, or was never there. Payments are taken as before, and settled
by the sweeper: recovery is how long the slowest payment of the fault took from 202 to its end."""

import signal
from collections.abc import Iterable
from statistics import median
from typing import Final

from redis import Redis

from fault.fault_schedule import Scene
from fault.faults.fault import Fault
from fault.http_client import Attempt
from processes import eventually

SETTLED: Final = 1.0

ANSWERED: Final = 0.25
"""Seconds that a POST may take longer than usual."""

AWAY_SECONDS: Final = 3.0

FLUSHES: Final = 5

USUAL_SECONDS: Final = 5.0
"""Before the fault: what a POST usually takes is taken from there."""


def kill(scene: Scene) -> float:
    scene.rig.servers.kill_valkey()
    scene.wait(AWAY_SECONDS)
    scene.is_over()
    scene.rig.servers.start_valkey()
    return _judged(scene)


def freeze(scene: Scene) -> float:
    process = scene.rig.servers.valkey.process
    process.send_signal(signal.SIGSTOP)
    try:
        scene.wait(AWAY_SECONDS)
    finally:
        process.send_signal(signal.SIGCONT)
    scene.is_over()
    return _judged(scene)


def flush(scene: Scene) -> float:
    with Redis.from_url(scene.rig.servers.valkey.url) as redis:
        for _ in range(FLUSHES):
            redis.flushall()
            scene.wait(scene.dice.uniform(0.05, 0.3))
    scene.is_over()
    return _judged(scene)


def absent(scene: Scene) -> float:
    """API and settlers start while Valkey is not there; what counts begins when they have."""
    rig = scene.rig
    rig.servers.kill_valkey()
    logged = rig.words_so_far()
    for name in ("api", "worker", "sweeper"):
        rig.kill(name)
    rig.await_words("sweeper started", logged)
    killed = scene.begun
    eventually(lambda: "202" in {each.outcome for each in scene.attempts()}, 30, "the API accepts")
    scene.begins()
    scene.remark = f"accepted {scene.begun - killed:.1f} s after everything was killed"
    scene.wait(AWAY_SECONDS)
    scene.is_over()
    rig.servers.start_valkey()
    return _judged(scene)


def _judged(scene: Scene) -> float:
    """How long the slowest payment took; and whether POSTs were answered as fast as before."""
    before = scene.load.journal.since(scene.begun - USUAL_SECONDS)
    usual = median(_posts(each for each in before if each.begun < scene.begun) or [0.0])
    during = _posts(each for each in scene.attempts() if each.begun < scene.over)
    scene.bound("slowest POST", max(during, default=0.0), usual + ANSWERED)
    return scene.slowest_settled()


def _posts(attempts: Iterable[Attempt]) -> list[float]:
    return [each.seconds for each in attempts if each.method == "POST" and each.outcome == "202"]


FAULTS: Final = (
    Fault("valkey-kill", f"Valkey killed, {AWAY_SECONDS:.0f} s away", SETTLED, kill),
    Fault("valkey-flush", f"FLUSHALL, {FLUSHES} times", SETTLED, flush),
    Fault("valkey-freeze", f"Valkey frozen for {AWAY_SECONDS:.0f} s", SETTLED, freeze),
    Fault("valkey-absent", "all processes started without Valkey", SETTLED, absent),
)
