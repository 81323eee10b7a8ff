"""The load: all callers, each with dice of its own, thrown from the seed, so that the same seed
asks for the same things."""

import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from fault.http_client import Caller, Journal
from fault.load_generator import Batcher, Payer
from fault.oracle import Book, Shop
from fault.process_control import Keeper

PAYERS: Final = 3


@dataclass
class Load:
    """All callers, each in a thread of its own."""

    base_url: str
    shops: Sequence[Shop]
    keepers: Sequence[Shop]
    """Those that hold, capture and give back."""
    book: Book
    seed: int
    journal: Journal = field(default_factory=Journal)
    _over: threading.Event = field(default_factory=threading.Event)
    _stack: ExitStack = field(default_factory=ExitStack)
    _runs: list[Any] = field(default_factory=list)

    def caller(self) -> Caller:
        return Caller(self.base_url, self.book, self.journal)

    def start(self) -> None:
        payers = [self._payer(Payer, f"p{number}") for number in range(PAYERS)]
        payers.append(self._payer(Batcher, "b"))
        payers.append(self._payer(Keeper, "h"))
        threads = self._stack.enter_context(ThreadPoolExecutor(len(payers), "load"))
        self._runs = [threads.submit(payer.run, self._over) for payer in payers]

    def stop(self) -> None:
        """Let everybody finish what they are at. Raises what went wrong in a caller."""
        self._over.set()
        self._stack.close()
        for run in self._runs:
            run.result()

    def _payer(self, kind: type[Payer], name: str) -> Payer:
        shops = self.keepers if kind is Keeper else self.shops
        return kind(name, self.caller(), shops, random.Random(f"{self.seed}-{name}"))
