"""One run: load, faults one after the other, and the last audit."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

import psycopg

from fault.auditor import Auditor, last_audit
from fault.cluster import Rig
from fault.fault_schedule import ALL_ENDED, RECOVERY_SECONDS, Scene
from fault.faults import FAULTS
from fault.load import Load
from fault.options import Options
from fault.oracle import Book
from fault.recovery_timer import Watch
from fault.report import Injection, Row
from processes import PAUSE, eventually

WARM_UP_SECONDS: Final = 1.0

QUIET_SECONDS: Final = (0.2, 0.8)
"""Between two faults: at random, so that each strikes at another moment."""

SETTLED_SECONDS: Final = 30
"""For all that is left at the end; the longest back-off is six seconds."""


@dataclass
class Run:
    rig: Rig
    options: Options
    tell: Callable[[str], None]
    rows: dict[str, Row] = field(init=False)
    book: Book = field(default_factory=Book)
    load: Load = field(init=False)
    watch: Watch = field(init=False)
    recorded: int = 0
    verified: str = ""
    seconds: float = 0.0
    _dice: random.Random = field(init=False)
    _count: int = 0

    def __post_init__(self) -> None:
        shops, keepers = self.rig.shops, self.rig.keepers
        base_url, seed = self.rig.system.base_url, self.options.seed
        self.load = Load(base_url, shops, keepers, self.book, seed)
        self.watch = Watch(self.rig.servers.connect, self.book)
        self.rows = {
            name: Row(FAULTS[name], FAULTS[name].absent(self.rig)) for name in self.options.only
        }
        self._dice = random.Random(f"{self.options.seed}-faults")

    def go(self) -> None:
        auditor = Auditor(self.rig.servers.connect, self.book)
        with ExitStack() as running:
            # Whatever one of them raises when it stops, the others are stopped too.
            for part in (auditor, self.watch, self.load):
                part.start()
                running.callback(part.stop)
            self._break_things()
        self._check_at_last()
        self.seconds = time.monotonic() - self.book.begun

    def _break_things(self) -> None:
        PAUSE.wait(WARM_UP_SECONDS)
        for name in self._schedule():
            if time.monotonic() - self.book.begun > self.options.seconds:
                break
            self._inject(self.rows[name])
            eventually(self.rig.is_itself_again, RECOVERY_SECONDS, f"all is well after {name}")
            PAUSE.wait(self._dice.uniform(*QUIET_SECONDS))

    def _schedule(self) -> Iterator[str]:
        """Every fault once in an order by the dice, and again."""
        names = [name for name, row in self.rows.items() if row.absent is None]
        while names:
            yield from self._dice.sample(names, len(names))

    def _inject(self, row: Row) -> None:
        self._count += 1
        dice = random.Random(f"{self.options.seed}-{self._count}")
        patience = self.options.patience
        scene = Scene(self.rig, self.load, self.book, dice, self._count, patience)
        before, begun = self.book.count_accepted, time.monotonic()
        try:
            measured = row.fault.inject(scene)
            recovery = scene.recovery() if measured is None else measured
        except (AssertionError, psycopg.Error, OSError) as error:
            # What was waited for never came: told with the fault, and the run goes on.
            scene.missed.append(f"{type(error).__name__}: {error}")
            recovery = RECOVERY_SECONDS
        since = self.book.begun
        accepted = self.book.count_accepted - before
        over = max(scene.over, begun)
        row.injections.append(
            Injection(begun - since, over - since, accepted, recovery, scene.missed, scene.remark)
        )
        more = f"  {scene.remark}" if scene.remark else ""
        self.tell(
            f"{begun - since:6.1f} s  {row.fault.name:20} recovered in {recovery:5.2f} s{more}"
        )
        for what in scene.missed:
            self.tell(f"          {what}")

    def _check_at_last(self) -> None:
        with self.rig.servers.connect() as connection:

            def is_settled() -> bool:
                return connection.execute(ALL_ENDED).fetchone() == (True,)

            try:
                eventually(is_settled, SETTLED_SECONDS, "everything is settled")
            except AssertionError as late:
                self.book.violated("I4", str(late))
            self.recorded = last_audit(connection, self.book)
        verified = self.rig.system.atomic("verify", within=120)
        self.verified = verified.stdout.strip()
        self.book.check("atomic verify", holds=verified.returncode == 0, what=self.verified)

    @property
    def injections(self) -> int:
        return sum(len(row.injections) for row in self.rows.values())

    def summary(self) -> str:
        return (
            f"{self.injections} faults in {self.seconds:.0f} s;"
            f" {self.recorded:,} payments recorded, {self.book.count_accepted:,} acknowledged;"
            f" {len(self.load.journal.attempts):,} requests;"
            f" {len(self.book.violations)} violations\n"
            f"again with: --seed {self.options.seed}\natomic verify: {self.verified}"
        )
