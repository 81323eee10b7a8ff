"""Failpoints: wrappers around the ports of a running process, which kill, freeze or delay it before
or after a chosen call. The product contains no code for this.

A failpoint is named `port.method.before` or `port.method.after`. A commit is named after the last
repository call of its unit of work: `payments.settle.commit.before`.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from atomic_adapters.networks.time_limit import TimeLimitedCardNetwork
from atomic_adapters.settings import Settings
from atomic_adapters.wiring import build_application_on, build_ports
from atomic_core.application import Application, Ports
from atomic_core.domain.card_networks import DEFAULT_NETWORK
from atomic_core.ports.unit_of_work import UnitOfWorkFactory
from fault.failpoint_flags import FailpointFlags
from fault.network_books import LossyCardNetwork

KILL: Final = "kill"
"""SIGKILL to this process."""

KILL_ALL: Final = "kill all"
"""SIGKILL to the process group: gunicorn's master and its workers."""

FREEZE: Final = "freeze"
"""SIGSTOP; the fault sends SIGCONT."""

WRAPPED_PORTS: Final = ("payment_store", "job_queue")


def delay(seconds: float) -> str:
    return f"delay {seconds}"


def build_application_with_failpoints(settings: Settings) -> Application:
    """Build the application of the `atomic` command, with failpoints."""
    network = LossyCardNetwork(FailpointFlags.from_environ())
    ports = replace(build_ports(settings), card_networks={DEFAULT_NETWORK: network})
    ports = wrap_ports(ports, settings.network_timeout)
    return build_application_on(ports, settings)


def wrap_ports(ports: Ports, network_timeout: timedelta) -> Ports:
    failpoints = Failpoints(FailpointFlags.from_environ())
    wrapped: dict[str, Any] = {
        name: FailpointProxy(getattr(ports, name), name, failpoints) for name in WRAPPED_PORTS
    }
    # The time-out is outside of the failpoints, so that a delayed call is given up.
    network: Any = FailpointProxy(ports.card_networks[DEFAULT_NETWORK], "card_network", failpoints)
    wrapped["card_networks"] = {DEFAULT_NETWORK: TimeLimitedCardNetwork(network, network_timeout)}
    return replace(ports, begin=failpoints.wrap_begin(ports.begin), **wrapped)


@dataclass(frozen=True, slots=True)
class Failpoints:
    flags: FailpointFlags

    def reach(self, failpoint: str) -> None:
        """Execute the action armed for this failpoint, if any."""
        match (self.flags.take(failpoint) or "").split():
            case ["kill"]:
                os.kill(os.getpid(), signal.SIGKILL)
            case ["kill", "all"]:
                os.killpg(os.getpgid(0), signal.SIGKILL)
            case ["freeze"]:
                os.kill(os.getpid(), signal.SIGSTOP)
            case ["delay", seconds]:
                # The fault is a call that takes this long.
                time.sleep(float(seconds))

    def wrap_call(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def call_with_failpoints(*arguments: Any, **named: Any) -> Any:
            self.reach(f"{name}.before")
            result = call(*arguments, **named)
            self.reach(f"{name}.after")
            return result

        return call_with_failpoints

    def wrap_begin(self, begin: UnitOfWorkFactory) -> Callable[[], AbstractContextManager[Any]]:
        @contextmanager
        def begin_with_failpoints() -> Iterator[Any]:
            with begin() as work:
                yield FailpointUnitOfWork(work, self)

        return begin_with_failpoints


class FailpointProxy:
    """Wraps any object and each call of its methods."""

    def __init__(self, inner: Any, name: str, failpoints: Failpoints) -> None:
        self._inner = inner
        self._name = name
        self._failpoints = failpoints

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        if not callable(attribute):
            return attribute
        return self._failpoints.wrap_call(f"{self._name}.{name}", attribute)


class FailpointUnitOfWork:
    """Remembers the last repository call, which names the failpoints of the commit."""

    def __init__(self, inner: Any, failpoints: Failpoints) -> None:
        self._inner = inner
        self._failpoints = failpoints
        self._last_call = "none"

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        if callable(attribute):
            return attribute
        return FailpointRepository(attribute, name, self._failpoints, self)

    def record_call(self, call: str) -> None:
        self._last_call = call

    def commit(self) -> None:
        self._failpoints.wrap_call(f"{self._last_call}.commit", self._inner.commit)()


class FailpointRepository(FailpointProxy):
    def __init__(
        self, inner: Any, name: str, failpoints: Failpoints, work: FailpointUnitOfWork
    ) -> None:
        super().__init__(inner, name, failpoints)
        self._work = work

    def __getattr__(self, name: str) -> Any:
        self._work.record_call(f"{self._name}.{name}")
        return super().__getattr__(name)
