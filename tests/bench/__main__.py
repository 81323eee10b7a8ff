"""`python tests/bench`: measure, print the table, verify the ledgers.

Exit status: 0 success; 1 a figure failed, a ledger is inconsistent or, with --strict, a target was
missed; 2 wrong usage, or wrk is not installed; 130 interrupted.
"""

import json
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import psycopg

from atomic_adapters.embedded import EmbeddedServerError
from bench import machine, report, wrk
from bench.figures import FIGURES
from bench.measurement import BenchError, FeatureMissing, Measurement
from bench.options import Options, parse_options
from bench.servers import BenchCluster

INTERRUPTED = 130

# A figure that fails in one of these ways does not stop the others. `wait_until` asserts.
FIGURE_ERRORS = (BenchError, AssertionError, OSError, psycopg.Error, subprocess.SubprocessError)


def main(arguments: Sequence[str]) -> int:
    options = parse_options(arguments, FIGURES)
    if any(FIGURES[name].drives_wrk for name in options.only) and not wrk.is_installed():
        print_progress(wrk.HOW_TO_INSTALL)
        return 2
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return run(options)
    except KeyboardInterrupt:
        print_progress("interrupted")
        return INTERRUPTED
    except EmbeddedServerError as error:
        print_progress(str(error))
        return 1


def run(options: Options) -> int:
    started = time.monotonic()
    measurements: list[Measurement] = []
    with BenchCluster(pgledger=options.pgledger) as cluster:
        facts = machine.describe_machine(cluster.get_postgres_version())
        for name in options.only:
            measurements += run_figure(name, cluster, options, started)
    is_consistent = not cluster.inconsistent_databases
    sys.stdout.write(f"\n{report.format_table(measurements)}\n\n{report.format_machine(facts)}\n")
    sys.stdout.write(f"wrk -t{wrk.THREADS}; {time.monotonic() - started:.0f} s in total\n")
    for name, text in cluster.verify_results.items():
        sys.stdout.write(f"atomic verify, {name}: {text}\n")
    if options.json:
        seconds = time.monotonic() - started
        document = report.build_document(
            measurements, facts, options, cluster.verify_results, seconds
        )
        options.json.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return report.get_exit_status(measurements, is_consistent=is_consistent, strict=options.strict)


def run_figure(
    name: str, cluster: BenchCluster, options: Options, started: float
) -> list[Measurement]:
    """Return the figure's measurements, and one for each error."""
    print_progress(f"{time.monotonic() - started:4.0f} s  {name}")
    measurements: list[Measurement] = []
    try:
        measurements += FIGURES[name].measure(cluster, options.sizes)
    except FeatureMissing as error:
        measurements.append(Measurement(figure=name, missing_feature=str(error)))
    except FIGURE_ERRORS as error:
        measurements.append(build_failure(name, error))
    try:
        cluster.close_systems()
    except FIGURE_ERRORS as error:
        measurements.append(build_failure(name, error))
    return measurements


def build_failure(name: str, error: Exception) -> Measurement:
    traceback.print_exception(error)
    return Measurement(figure=name, error=str(error) or type(error).__name__)


def print_progress(line: str) -> None:
    """Progress goes to stderr, results to stdout."""
    sys.stderr.write(line + "\n")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
