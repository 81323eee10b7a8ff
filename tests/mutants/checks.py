"""The checks that must catch a mutant, fast ones first."""

import re
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from mutants.copies import build_environ, get_python

EXCLUDED_TESTS: Final = (
    # They inspect sources and query plans instead of behaviour: any edit could make them fail.
    "tests/architecture",
    "tests/integration/test_plans.py",
    "tests/unit/test_mutants.py",
)

FAULT_SUITE: Final = Path("tests/fault")
FAULT_OPTIONS: Final = ("--seconds", "20", "--seed", "1", "--patience", "1.8")
"""Time bounds are wider, since mutants may run concurrently; but a recovery that takes a lease of
two seconds instead of one second must be caught."""

_FAILED_TEST: Final = re.compile(r"^(tests/.+?::.+) (FAILED|ERROR) +\[ *\d+%\]", re.MULTILINE)
_FAILED_SUMMARY: Final = re.compile(r"^(?:FAILED|ERROR) (tests/.+?::.+?)(?: - .*)?$", re.MULTILINE)
"""What a thread prints while a test ends separates its name from its outcome."""
_STARTED_TEST: Final = re.compile(r"^(tests/.+?::.+?) *$", re.MULTILINE)

HANGS: Final = " (hangs:"

ALONE_SECONDS: Final = 120.0
"""What a test that hung may take alone: several times what the slowest takes on a busy machine."""

PASSED, FAILED, NOTHING_TO_RUN = 0, 1, 5
"""Exit statuses of pytest. With any other one it could not run the tests."""


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    targets: tuple[str, ...]
    seconds: float
    """The time-out: several times what it takes without a mutant on a busy machine."""


LIKELY_SECONDS: Final = 240.0

CHECKS: Final = (
    Check("unit", ("tests/unit", "tests/property"), 180),
    Check("contract", ("tests/contract",), 180),
    Check("integration", ("tests/integration",), 300),
    Check("web", ("tests/web",), 240),
    Check("e2e", ("tests/e2e",), 480),
    Check("fault", (str(FAULT_SUITE),), 180),
)
FAULT_CHECK: Final = CHECKS[-1]


REPEATS: Final = 2
"""A failed test must fail again in one of so many repeats: otherwise the machine caused it, not
the mutant."""

MAX_FLAKES: Final = 3
"""After so many tests that failed only once, the check counts as passed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    failure: str | None = None
    """The first test that failed repeatedly or hangs."""
    error: str | None = None
    """Why no test could run: the mutant breaks too much to prove anything."""


@dataclass(slots=True)
class Runner:
    """Runs checks in copies, and can stop all of its processes."""

    _running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: bool = False

    def run(self, check: Check, root: Path, faults: Sequence[str] = ()) -> Outcome:
        """Run a check in a copy. `faults` selects the faults of the fault suite, none means all. If
        the copy has no fault suite, its check passes."""
        if check is FAULT_CHECK:
            return self._run_fault_suite(check, root, faults)
        flaky_tests: list[str] = []
        while len(flaky_tests) < MAX_FLAKES:
            outcome = self._find_failure(check, root, flaky_tests)
            test = outcome.failure
            if test is not None and HANGS in test:
                return self._confirm_hang(check, root, outcome)
            if test is None or self._is_reproducible(root, test):
                return outcome
            flaky_tests.append(test)
        return Outcome()

    def _confirm_hang(self, check: Check, root: Path, outcome: Outcome) -> Outcome:
        """A check may also be slow because the machine is busy. Then its last test passes alone,
        and nothing is proved."""
        test = str(outcome.failure).split(HANGS)[0]
        if self.list_failing_tests(root, [test], min(check.seconds, ALONE_SECONDS)):
            return outcome
        return Outcome(
            error=f"the check {check.name} took over {check.seconds:.0f} s; {test} passes alone"
        )

    def _find_failure(self, check: Check, root: Path, flaky_tests: Sequence[str]) -> Outcome:
        options = ["--exitfirst", *(f"--deselect={test}" for test in flaky_tests)]
        status, output = self._run_pytest(root, check.targets, check.seconds, *options)
        if status is None:
            started = _STARTED_TEST.findall(output)
            test = started[-1] if started else check.name
            return Outcome(failure=f"{test}{HANGS} {check.seconds:.0f} s)")
        if status in (PASSED, NOTHING_TO_RUN):
            return Outcome()
        failed = find_failed_tests(output)
        if status != FAILED or not failed:
            return Outcome(error=f"pytest exited with {status}: …{output[-400:]}")
        return Outcome(failure=failed[0])

    def _is_reproducible(self, root: Path, test: str) -> bool:
        return any(self.list_failing_tests(root, [test], LIKELY_SECONDS) for _ in range(REPEATS))

    def list_failing_tests(self, root: Path, tests: Sequence[str], seconds: float) -> set[str]:
        """Return the tests that fail or hang in this copy."""
        if not tests:
            return set()
        status, output = self._run_pytest(root, tests, seconds)
        if status == PASSED:
            return set()
        return set(find_failed_tests(output)) if status == FAILED else set(tests)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for process in self._running:
                _kill(process)

    def _run_pytest(
        self, root: Path, targets: Sequence[str], seconds: float, *options: str
    ) -> tuple[int | None, str]:
        ignored = [f"--ignore={path}" for path in EXCLUDED_TESTS]
        command = ["-m", "pytest", "-vv", "-p", "no:cacheprovider", "--tb=short", *options]
        return self._run_python(root, [*command, *ignored, *targets], seconds)

    def _run_fault_suite(self, check: Check, root: Path, faults: Sequence[str]) -> Outcome:
        if not (root / FAULT_SUITE / "__main__.py").exists():
            return Outcome()
        options = [*FAULT_OPTIONS, *(("--only", ",".join(faults)) if faults else ())]
        first = self._run_fault_suite_once(check, root, options)
        # Like a test, it must fail repeatedly.
        if first.failure and self._run_fault_suite_once(check, root, options).failure:
            return first
        return Outcome()

    def _run_fault_suite_once(self, check: Check, root: Path, options: Sequence[str]) -> Outcome:
        status, output = self._run_python(root, [str(FAULT_SUITE), *options], check.seconds)
        if status == 0:
            return Outcome()
        how = "hangs" if status is None else f"exited with {status}"
        return Outcome(failure=f"{FAULT_SUITE} {' '.join(options)} ({how}: {_select_line(output)})")

    def _run_python(
        self, root: Path, arguments: Sequence[str], seconds: float
    ) -> tuple[int | None, str]:
        """Return the exit status, None after the time-out, and the output."""
        log = root / "tmp" / "check.log"
        with log.open("wb") as file, self._lock:
            if self._stopped:
                raise KeyboardInterrupt
            process = subprocess.Popen(
                [get_python(root), *arguments],
                cwd=root,
                env=build_environ(root),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                # Ctrl-C is handled by stop().
                start_new_session=True,
            )
            self._running.add(process)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _kill(process)
            process.wait()
            with self._lock:
                self._running.discard(process)
        return status, log.read_text(errors="replace")


def find_failed_tests(output: str) -> list[str]:
    """The tests that pytest's output names as failed, in their order."""
    verbose = [test for test, _ in _FAILED_TEST.findall(output)]
    return verbose or _FAILED_SUMMARY.findall(output)


def _select_line(output: str) -> str:
    """Select the first violation from the fault suite's output, else the first failed or late
    fault."""
    lines = output.strip().splitlines() or ["no output"]
    for index, line in enumerate(lines[:-1]):
        if line.endswith("VIOLATIONS"):
            return lines[index + 1].strip()
    failed = (line for line in lines if "  FAILED  " in line or "  MISSED  " in line)
    return next(failed, lines[-1])


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a running process and all its descendants, in whatever session."""
    if process.poll() is not None:
        return
    with suppress(psutil.NoSuchProcess):
        tree = psutil.Process(process.pid)
        for each in [*tree.children(recursive=True), tree]:
            with suppress(psutil.NoSuchProcess):
                each.kill()
