"""The checks that must notice a mutant, fast ones first."""

import re
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from mutants.copies import environment_of, python_of

SILENT: Final = (
    # They read the source and the plans, not what the code does: any edit might disturb them.
    "tests/architecture",
    "tests/integration/test_plans.py",
    "tests/unit/test_mutants.py",
)

FAULT_SUITE: Final = Path("tests/fault")
FAULT_OPTIONS: Final = ("--seconds", "20", "--seed", "1", "--patience", "1.8")
"""Patient, since mutants may be tried two at a time; but a second that becomes a lease of two is
to be noticed."""

_ENDED: Final = re.compile(r"^(tests/.+?::.+) (FAILED|ERROR) +\[ *\d+%\]", re.MULTILINE)
_BEGUN: Final = re.compile(r"^(tests/.+?::.+?) *$", re.MULTILINE)

STANDS_STILL: Final = " (stands still:"

PASSED, FAILED, NOTHING_TO_RUN = 0, 1, 5
"""pytest's own numbers. All others mean that it could not even try."""


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    targets: tuple[str, ...]
    seconds: float
    """Several times what it takes without a mutant, on a machine that is doing other things."""


LIKELY_SECONDS: Final = 240.0

CHECKS: Final = (
    Check("unit", ("tests/unit", "tests/property"), 180),
    Check("contract", ("tests/contract",), 180),
    Check("integration", ("tests/integration",), 300),
    Check("web", ("tests/web",), 240),
    Check("e2e", ("tests/e2e",), 480),
    Check("fault", (str(FAULT_SUITE),), 180),
)
FAULTS: Final = CHECKS[-1]


REPEATS: Final = 2
"""A test that failed must fail again, at least once in so many more tries: else it was the
machine that failed it, not the mutant."""

MAX_FLAKES: Final = 3
"""Tests per check that failed once only, before the check is taken for passed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    caught: str | None = None
    """The first test that failed, and failed again, or in which everything stood still."""
    broken: str | None = None
    """Why no test could be run at all: then the mutant breaks too much to prove anything."""


@dataclass(slots=True)
class Runner:
    """Runs checks, and can end all that it runs."""

    _running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: bool = False

    def run(self, check: Check, root: Path, faults: Sequence[str] = ()) -> Outcome:
        """Run a check in a copy. One that a copy does not have passes. `faults` are those of the
        fault suite to inject; without any it throws its dice."""
        if check is FAULTS:
            return self._fault_suite(check, root, faults)
        flaky: list[str] = []
        while len(flaky) < MAX_FLAKES:
            outcome = self._first_failure(check, root, flaky)
            test = outcome.caught
            if test is None or STANDS_STILL in test or self._fails_again(root, test):
                return outcome
            flaky.append(test)
        return Outcome()

    def _first_failure(self, check: Check, root: Path, flaky: Sequence[str]) -> Outcome:
        options = ["--exitfirst", *(f"--deselect={test}" for test in flaky)]
        code, words = self._pytest(root, check.targets, check.seconds, *options)
        if code is None:
            begun = _BEGUN.findall(words)
            where = begun[-1] if begun else check.name
            return Outcome(caught=f"{where}{STANDS_STILL} {check.seconds:.0f} s)")
        if code in (PASSED, NOTHING_TO_RUN):
            return Outcome()
        ended = _ENDED.search(words)
        if code != FAILED or ended is None:
            return Outcome(broken=f"pytest ended with {code}: …{words[-400:]}")
        return Outcome(caught=ended[1])

    def _fails_again(self, root: Path, test: str) -> bool:
        return any(self.failing(root, [test], LIKELY_SECONDS) for _ in range(REPEATS))

    def failing(self, root: Path, tests: Sequence[str], seconds: float) -> set[str]:
        """Those of the tests that fail in this copy, or never come to their end."""
        if not tests:
            return set()
        code, words = self._pytest(root, tests, seconds)
        if code == PASSED:
            return set()
        failed = {test for test, _ in _ENDED.findall(words)}
        return failed if code == FAILED else set(tests)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for process in self._running:
                _kill(process)

    def _pytest(
        self, root: Path, targets: Sequence[str], seconds: float, *options: str
    ) -> tuple[int | None, str]:
        ignored = [f"--ignore={path}" for path in SILENT]
        command = ["-m", "pytest", "-vv", "-p", "no:cacheprovider", "--tb=short", *options]
        return self._python(root, [*command, *ignored, *targets], seconds)

    def _fault_suite(self, check: Check, root: Path, faults: Sequence[str]) -> Outcome:
        if not (root / FAULT_SUITE / "__main__.py").exists():
            return Outcome()
        options = [*FAULT_OPTIONS, *(("--only", ",".join(faults)) if faults else ())]
        first = self._faults_once(check, root, options)
        # Like a test, it must fail again.
        if first.caught and self._faults_once(check, root, options).caught:
            return first
        return Outcome()

    def _faults_once(self, check: Check, root: Path, options: Sequence[str]) -> Outcome:
        code, words = self._python(root, [str(FAULT_SUITE), *options], check.seconds)
        if code == 0:
            return Outcome()
        how = "stands still" if code is None else f"ended with {code}"
        return Outcome(caught=f"{FAULT_SUITE} {' '.join(options)} ({how}: {_decisive(words)})")

    def _python(
        self, root: Path, arguments: Sequence[str], seconds: float
    ) -> tuple[int | None, str]:
        """The exit status, None after the time-out, and all that was said."""
        log = root / "tmp" / "check.log"
        with log.open("wb") as output, self._lock:
            if self._stopped:
                raise KeyboardInterrupt
            process = subprocess.Popen(
                [python_of(root), *arguments],
                cwd=root,
                env=environment_of(root),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # A Ctrl-C is for us to pass on.
                start_new_session=True,
            )
            self._running.add(process)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _kill(process)
            process.wait()
            with self._lock:
                self._running.discard(process)
        return code, log.read_text(errors="replace")


def _decisive(words: str) -> str:
    """Of all that the fault suite said: the first violation, else the first bound it missed."""
    lines = words.strip().splitlines() or ["without a word"]
    for place, line in enumerate(lines[:-1]):
        if line.endswith("VIOLATIONS"):
            return lines[place + 1].strip()
    return next((line for line in lines if "  MISSED  " in line), lines[-1])


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill it, unless it has ended, and all that it started, in whatever session."""
    if process.poll() is not None:
        return
    with suppress(psutil.NoSuchProcess):
        tree = psutil.Process(process.pid)
        for each in [*tree.children(recursive=True), tree]:
            with suppress(psutil.NoSuchProcess):
                each.kill()
