"""Failpoints: the ports of a running process in wrappers that stall or die before or after a
chosen call. The product knows nothing of it; its ports are the seams.

A place is `port.call.before` or `port.call.after`; a commit is named after the last call of a
repository in its unit of work: `payments.claim.commit.before`.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from atomic_adapters.settings import Settings
from atomic_adapters.wiring import production_over, production_ports
from atomic_core.application import Application, Ports
from atomic_core.ports.unit_of_work import Begin
from fault.flags import Flags

KILL: Final = "kill"
"""This process, with signal 9."""

KILL_ALL: Final = "kill all"
"""Its whole session: gunicorn's master with its workers."""

FREEZE: Final = "freeze"
"""SIGSTOP; whoever gave the order sends SIGCONT."""


def stall(seconds: float) -> str:
    return f"stall {seconds}"


def watched_production(settings: Settings) -> Application:
    """What `atomic` builds, with failpoints."""
    return production_over(watched(production_ports(settings)), settings)


def watched(ports: Ports) -> Ports:
    points = Failpoints(Flags.of_environment())
    wrapped: dict[str, Any] = {
        name: Watched(getattr(ports, name), name, points) for name in ("desk", "queue", "network")
    }
    return replace(ports, begin=points.watched_begin(ports.begin), **wrapped)


@dataclass(frozen=True, slots=True)
class Failpoints:
    flags: Flags

    def reach(self, place: str) -> None:
        """Carry out the order for this place, if there is one."""
        match (self.flags.take(place) or "").split():
            case ["kill"]:
                os.kill(os.getpid(), signal.SIGKILL)
            case ["kill", "all"]:
                os.killpg(os.getpgid(0), signal.SIGKILL)
            case ["freeze"]:
                os.kill(os.getpid(), signal.SIGSTOP)
            case ["stall", seconds]:
                # What is asked for is a call that takes this long.
                time.sleep(float(seconds))

    def around(self, place: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def passing(*arguments: Any, **named: Any) -> Any:
            self.reach(f"{place}.before")
            result = call(*arguments, **named)
            self.reach(f"{place}.after")
            return result

        return passing

    def watched_begin(self, begin: Begin) -> Callable[[], AbstractContextManager[Any]]:
        @contextmanager
        def beginning() -> Iterator[Any]:
            with begin() as work:
                yield WatchedWork(work, self)

        return beginning


class Watched:
    """Any object, its calls with failpoints around them."""

    def __init__(self, inner: Any, name: str, points: Failpoints) -> None:
        self._inner = inner
        self._name = name
        self._points = points

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._points.around(f"{self._name}.{name}", found) if callable(found) else found


class WatchedWork:
    """A unit of work that knows what was last done in it."""

    def __init__(self, inner: Any, points: Failpoints) -> None:
        self._inner = inner
        self._points = points
        self._last = "nothing"

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return found if callable(found) else WatchedRepository(found, name, self._points, self)

    def did(self, call: str) -> None:
        self._last = call

    def commit(self) -> None:
        self._points.around(f"{self._last}.commit", self._inner.commit)()


class WatchedRepository(Watched):
    def __init__(self, inner: Any, name: str, points: Failpoints, work: WatchedWork) -> None:
        super().__init__(inner, name, points)
        self._work = work

    def __getattr__(self, name: str) -> Any:
        self._work.did(f"{self._name}.{name}")
        return super().__getattr__(name)
