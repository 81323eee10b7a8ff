"""The load: all generators, each in its own thread and with its own random numbers, derived from
the seed, so that the same seed gives the same requests."""

import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from fault.hold_generator import HoldGenerator
from fault.http_client import RecordingClient, RequestLog
from fault.ledger_generator import LedgerGenerator
from fault.oracle import Merchant, Oracle
from fault.payment_generator import BatchGenerator, PaymentGenerator

PAYMENT_GENERATORS: Final = 3


@dataclass
class Load:
    base_url: str
    merchants: Sequence[Merchant]
    hold_merchants: Sequence[Merchant]
    """The merchants that hold, capture and refund."""
    ledger_merchants: Sequence[Merchant]
    """The merchant that posts ledger transactions."""
    oracle: Oracle
    seed: int
    calm: float = 1
    """Multiplies the generators' pauses."""
    request_log: RequestLog = field(default_factory=RequestLog)
    _stop_requested: threading.Event = field(default_factory=threading.Event)
    _stack: ExitStack = field(default_factory=ExitStack)
    _futures: list[Any] = field(default_factory=list)

    def create_client(self) -> RecordingClient:
        return RecordingClient(self.base_url, self.oracle, self.request_log)

    def start(self) -> None:
        generators = [
            *(self._create(PaymentGenerator, f"p{number}") for number in range(PAYMENT_GENERATORS)),
            self._create(BatchGenerator, "b"),
            self._create(HoldGenerator, "h"),
            self._create(LedgerGenerator, "l"),
        ]
        threads = self._stack.enter_context(ThreadPoolExecutor(len(generators), "load"))
        self._futures = [
            threads.submit(generator.run, self._stop_requested) for generator in generators
        ]

    def stop(self) -> None:
        """Wait until each generator has completed its request. Raises a generator's error."""
        self._stop_requested.set()
        self._stack.close()
        for future in self._futures:
            future.result()

    def _create(self, kind: type[PaymentGenerator], name: str) -> PaymentGenerator:
        merchants = {
            HoldGenerator: self.hold_merchants,
            LedgerGenerator: self.ledger_merchants,
        }.get(kind, self.merchants)
        generator = kind(
            name, self.create_client(), merchants, random.Random(f"{self.seed}-{name}")
        )
        generator.pause_seconds *= self.calm
        return generator
