"""One run: start the load, inject faults one after another, audit the ledger at the end."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import psycopg

from fault.auditor import Auditor, check_network_truth, run_final_audit
from fault.cluster import Cluster
from fault.faults import FAULTS
from fault.injection import ALL_SETTLED, RECOVERY_SECONDS, Injection
from fault.load import Load
from fault.network_books import BOOKS_FILE, NetworkBooks
from fault.options import Options
from fault.oracle import Oracle
from fault.progress_sampler import ProgressSampler
from fault.report import FaultResults, InjectionResult
from processes import PAUSE, wait_until

WARM_UP_SECONDS: Final = 1.0

PAUSE_SECONDS: Final = (0.2, 0.8)
"""Between two faults, at random, so that faults hit different moments."""

SETTLED_SECONDS: Final = 120
"""Until all payments are settled at the end. Only stops a run that hangs: a payment whose
requests are lost again and again is retried after a minute at most."""


@dataclass
class Run:
    cluster: Cluster
    options: Options
    print_progress: Callable[[str], None]
    results: dict[str, FaultResults] = field(init=False)
    oracle: Oracle = field(default_factory=Oracle)
    load: Load = field(init=False)
    sampler: ProgressSampler = field(init=False)
    recorded_count: int = 0
    verify_output: str = ""
    seconds: float = 0.0
    _random: random.Random = field(init=False)
    _injection_count: int = 0

    def __post_init__(self) -> None:
        self.load = Load(
            self.cluster.system.base_url,
            self.cluster.merchants,
            self.cluster.hold_merchants,
            self.cluster.ledger_merchants,
            self.oracle,
            self.options.seed,
            self.options.calm,
        )
        self.sampler = ProgressSampler(self.cluster.servers.connect, self.oracle)
        self.results = {
            name: FaultResults(FAULTS[name], FAULTS[name].get_skip_reason(self.cluster))
            for name in self.options.only
        }
        self._random = random.Random(f"{self.options.seed}-faults")

    def execute(self) -> None:
        auditor = Auditor(self.cluster.servers.connect, self.oracle)
        with ExitStack() as running:
            # If one of them raises when it stops, the others are stopped too.
            for task in (auditor, self.sampler, self.load):
                task.start()
                running.callback(task.stop)
            self._inject_faults()
        self._audit_at_the_end()
        self.seconds = time.monotonic() - self.oracle.started

    def _inject_faults(self) -> None:
        PAUSE.wait(WARM_UP_SECONDS)
        for name in self._schedule_faults():
            elapsed = time.monotonic() - self.oracle.started
            if self.options.rounds is None and elapsed > self.options.seconds:
                break
            self._inject(self.results[name])
            wait_until(self.cluster.is_recovered, RECOVERY_SECONDS, f"recovery after {name}")
            PAUSE.wait(self._random.uniform(*PAUSE_SECONDS))

    def _schedule_faults(self) -> Iterator[str]:
        """Yield every fault once in random order, then again in another, and so on."""
        names = [name for name, results in self.results.items() if results.skip_reason is None]
        rounds = count() if self.options.rounds is None else range(self.options.rounds)
        for _ in rounds if names else ():
            yield from self._random.sample(names, len(names))

    def _inject(self, results: FaultResults) -> None:
        self._injection_count += 1
        injection = Injection(
            self.cluster,
            self.load,
            self.oracle,
            random.Random(f"{self.options.seed}-{self._injection_count}"),
            self._injection_count,
            self.options.patience,
        )
        accepted_before, started = self.oracle.accepted_count, time.monotonic()
        errors: list[str] = []
        try:
            measured = results.fault.inject(injection)
            recovery_seconds = injection.measure_recovery() if measured is None else measured
        except (AssertionError, psycopg.Error, OSError) as error:
            # A condition was never met. The run continues and reports it with the fault.
            errors.append(f"{type(error).__name__}: {error}")
            recovery_seconds = RECOVERY_SECONDS
        result = InjectionResult(
            started=started - self.oracle.started,
            ended=max(injection.ended, started) - self.oracle.started,
            accepted_count=self.oracle.accepted_count - accepted_before,
            recovery_seconds=recovery_seconds,
            missed_bounds=injection.missed_bounds,
            errors=errors,
            remark=injection.remark,
        )
        results.injections.append(result)
        self._print_result(results.fault.name, result)

    def _print_result(self, name: str, result: InjectionResult) -> None:
        remark = f"  {result.remark}" if result.remark else ""
        self.print_progress(
            f"{result.started:6.1f} s  {name:27} recovered in {result.recovery_seconds:5.2f} s"
            f"{remark}"
        )
        for line in (*result.errors, *result.missed_bounds):
            self.print_progress(f"          {line}")

    def _audit_at_the_end(self) -> None:
        with self.cluster.servers.connect() as connection:

            def is_settled() -> bool:
                return connection.execute(ALL_SETTLED).fetchone() == (True,)

            try:
                wait_until(is_settled, SETTLED_SECONDS, "all payments and refunds are settled")
            except AssertionError as error:
                self.oracle.add_violation("I4", str(error))
            self.recorded_count = run_final_audit(connection, self.oracle)
            self.cluster.receiver.check_deliveries(connection, self.oracle)
            books = NetworkBooks(self.cluster.flags.folder / BOOKS_FILE)
            check_network_truth(connection, books, self.oracle)
        verified = self.cluster.system.atomic("verify", within=300)
        self.verify_output = verified.stdout.strip()
        self.oracle.check(
            "atomic verify", holds=verified.returncode == 0, details=self.verify_output
        )

    @property
    def injection_count(self) -> int:
        return sum(len(results.injections) for results in self.results.values())

    def has_passed(self) -> bool:
        """Whether no invariant was violated, every fault worked and every time bound was met."""
        if self.oracle.violations or any(results.errors for results in self.results.values()):
            return False
        return self.options.ignores_time_bounds or not any(
            results.list_missed_bounds(self.options.patience) for results in self.results.values()
        )

    def summarize(self) -> str:
        return (
            f"{self.injection_count} faults in {self.seconds:.0f} s;"
            f" {self.recorded_count:,} payments recorded,"
            f" {self.oracle.accepted_count:,} acknowledged;"
            f" {len(self.load.request_log.attempts):,} requests;"
            f" {len(self.oracle.violations)} violations\n"
            f"repeat with: --seed {self.options.seed}\natomic verify: {self.verify_output}"
        )
