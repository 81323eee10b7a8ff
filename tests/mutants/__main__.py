"""`python tests/mutants`: break the code, one way at a time, and see the tests notice.

Exit status: 0 every mutant was caught; 1 one survived or proves nothing; 2 wrong usage; 130
interrupted.
"""

import signal
import sys
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mutants.catalogue import MUTANTS
from mutants.checks import (
    CHECKS,
    FAULT_SUITE,
    FAULTS,
    LIKELY_SECONDS,
    STANDS_STILL,
    Check,
    Runner,
)
from mutants.copies import copied, record_migrations
from mutants.mutant import Mutant, StaleMutant
from mutants.options import Options, parse
from mutants.report import Verdict, summary, table

INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments, MUTANTS, [check.name for check in CHECKS])
    # Not what SIGINT is now: it is ignored in the background, and tests would inherit that.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    runner = Runner()
    begun = time.monotonic()
    with ThreadPoolExecutor(options.jobs) as threads:
        try:
            trials = [
                threads.submit(try_out, MUTANTS[name], runner, options) for name in options.only
            ]
            verdicts = control([trial.result() for trial in trials], runner)
        except KeyboardInterrupt:
            threads.shutdown(wait=False, cancel_futures=True)
            runner.stop()
            tell("interrupted")
            return INTERRUPTED
    sys.stdout.write(f"\n{table(verdicts)}\n\n{summary(verdicts, time.monotonic() - begun)}\n")
    return 1 if any(verdict.survived for verdict in verdicts) else 0


def try_out(mutant: Mutant, runner: Runner, options: Options) -> Verdict:
    """Run the checks on a copy with the mutant in it until one fails, or all of them."""
    begun = time.monotonic()
    caught: list[str] = []
    broken = None
    with copied() as root:
        try:
            for edit in mutant.edits:
                edit.apply(root)
        except StaleMutant as stale:
            return Verdict(mutant, 0, broken=str(stale))
        record_migrations(root)
        for check in _checks(mutant, options):
            outcome = runner.run(check, root, mutant.faults)
            broken = outcome.broken
            caught += [outcome.caught] if outcome.caught else []
            if broken or (caught and not options.all_checks):
                break
    verdict = Verdict(mutant, time.monotonic() - begun, caught, broken)
    tell(f"{verdict.seconds:4.0f} s  {mutant.name}: {verdict.words}")
    return verdict


def _checks(mutant: Mutant, options: Options) -> Sequence[Check]:
    if options.checks:
        return [check for check in CHECKS if check.name in options.checks]
    if options.all_checks:
        return CHECKS
    return (Check("likely", mutant.likely, LIKELY_SECONDS), *CHECKS)


def control(verdicts: Sequence[Verdict], runner: Runner) -> Sequence[Verdict]:
    """The tests that caught a mutant must pass without one, or they prove nothing."""
    caught = dict.fromkeys(_test_of(words) for verdict in verdicts for words in verdict.caught_by)
    tests = [test for test in caught if test != str(FAULT_SUITE)]
    tell(f"the same {len(tests)} tests without a mutant")
    with copied() as root:
        failing = runner.failing(root, tests, LIKELY_SECONDS + 10 * len(tests))
        if str(FAULT_SUITE) in caught:
            faults = dict.fromkeys(name for verdict in verdicts for name in verdict.mutant.faults)
            if runner.run(FAULTS, root, tuple(faults)).caught:
                failing.add(str(FAULT_SUITE))
    return [_without(verdict, failing) for verdict in verdicts]


def _without(verdict: Verdict, failing: Collection[str]) -> Verdict:
    """The verdict without those tests; one that has no others left proves nothing."""
    left = [words for words in verdict.caught_by if _test_of(words) not in failing]
    if left == list(verdict.caught_by):
        return verdict
    for words in set(verdict.caught_by) - set(left):
        tell(f"fails without a mutant too, and is not counted: {words}")
    broken = None if left else f"{verdict.words} fails without it too"
    return replace(verdict, caught_by=left, broken=verdict.broken or broken)


def _test_of(words: str) -> str:
    """The test that these words are about, or the fault suite."""
    if words.startswith(f"{FAULT_SUITE} "):
        return str(FAULT_SUITE)
    return words.split(STANDS_STILL)[0]


def tell(words: str) -> None:
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
