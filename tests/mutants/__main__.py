"""`python tests/mutants`: run the tests against each mutant and report which ones catch it.

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
    FAULT_CHECK,
    FAULT_SUITE,
    HANGS,
    LIKELY_SECONDS,
    Check,
    Runner,
)
from mutants.copies import create_copy, write_migration_checksums
from mutants.mutant import Mutant, StaleMutant
from mutants.options import Options, parse_options
from mutants.report import Verdict, format_table, summarize

INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    options = parse_options(arguments, MUTANTS, [check.name for check in CHECKS])
    # Not the current SIGINT handler: a background process ignores SIGINT, and tests inherit that.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    runner = Runner()
    started = time.monotonic()
    with ThreadPoolExecutor(options.jobs) as threads:
        try:
            futures = [
                threads.submit(run_mutant, MUTANTS[name], runner, options) for name in options.only
            ]
            verdicts = confirm_verdicts([future.result() for future in futures], runner)
        except KeyboardInterrupt:
            threads.shutdown(wait=False, cancel_futures=True)
            runner.stop()
            print_progress("interrupted")
            return INTERRUPTED
    seconds = time.monotonic() - started
    sys.stdout.write(f"\n{format_table(verdicts)}\n\n{summarize(verdicts, seconds)}\n")
    return 0 if all(verdict.is_caught for verdict in verdicts) else 1


def run_mutant(mutant: Mutant, runner: Runner, options: Options) -> Verdict:
    """Run the checks on a copy with the mutant, until one fails unless all are requested."""
    started = time.monotonic()
    caught_by: list[str] = []
    error = None
    with create_copy() as root:
        try:
            for edit in mutant.edits:
                edit.apply(root)
        except StaleMutant as stale:
            return Verdict(mutant, 0, error=str(stale))
        write_migration_checksums(root)
        for check in _select_checks(mutant, options):
            outcome = runner.run(check, root, mutant.faults)
            error = outcome.error
            caught_by += [outcome.failure] if outcome.failure else []
            if error or (caught_by and not options.all_checks):
                break
    verdict = Verdict(mutant, time.monotonic() - started, caught_by, error)
    print_progress(f"{verdict.seconds:4.0f} s  {mutant.name}: {verdict.describe()}")
    return verdict


def _select_checks(mutant: Mutant, options: Options) -> Sequence[Check]:
    if options.checks:
        return [check for check in CHECKS if check.name in options.checks]
    if options.all_checks:
        return CHECKS
    return (Check("likely", mutant.likely_tests, LIKELY_SECONDS), *CHECKS)


def confirm_verdicts(verdicts: Sequence[Verdict], runner: Runner) -> Sequence[Verdict]:
    """Run the tests that caught a mutant without one, and discard those that fail then too."""
    caught_by = dict.fromkeys(_get_test(each) for verdict in verdicts for each in verdict.caught_by)
    tests = [test for test in caught_by if test != str(FAULT_SUITE)]
    print_progress(f"running these {len(tests)} tests without a mutant")
    with create_copy() as root:
        failing = runner.list_failing_tests(root, tests, LIKELY_SECONDS + 10 * len(tests))
        if str(FAULT_SUITE) in caught_by:
            faults = dict.fromkeys(name for verdict in verdicts for name in verdict.mutant.faults)
            if runner.run(FAULT_CHECK, root, tuple(faults)).failure:
                failing.add(str(FAULT_SUITE))
    return [_discard_tests(verdict, failing) for verdict in verdicts]


def _discard_tests(verdict: Verdict, failing: Collection[str]) -> Verdict:
    """Return the verdict without these tests; if no others are left, it proves nothing."""
    kept = [failure for failure in verdict.caught_by if _get_test(failure) not in failing]
    if kept == list(verdict.caught_by):
        return verdict
    for failure in set(verdict.caught_by) - set(kept):
        print_progress(f"not counted, since it also fails without a mutant: {failure}")
    error = None if kept else f"{verdict.describe()} also fails without the mutant"
    return replace(verdict, caught_by=kept, error=verdict.error or error)


def _get_test(failure: str) -> str:
    """Return the test id, or the fault suite, that the description of a failure starts with."""
    if failure.startswith(f"{FAULT_SUITE} "):
        return str(FAULT_SUITE)
    return failure.split(HANGS)[0]


def print_progress(line: str) -> None:
    """Progress goes to stderr, results to stdout."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
