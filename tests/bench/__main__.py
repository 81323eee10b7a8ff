"""`python tests/bench`: measure, print the table, check the books.

Exit status: 0 measured; 1 a figure failed, the books did not agree or, with --strict, a target was
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
from bench.measurement import BenchError, Line, NotThere
from bench.options import Options, parse
from bench.servers import Ground

INTERRUPTED = 130

# What can go wrong in a figure without being wrong in the others: `eventually` asserts.
FAULTS = (BenchError, AssertionError, OSError, psycopg.Error, subprocess.SubprocessError)


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments, FIGURES)
    if any(FIGURES[name].drives_wrk for name in options.only) and not wrk.is_installed():
        tell(wrk.HOW_TO_INSTALL)
        return 2
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return run(options)
    except KeyboardInterrupt:
        tell("interrupted")
        return INTERRUPTED
    except EmbeddedServerError as error:
        tell(str(error))
        return 1


def run(options: Options) -> int:
    begun = time.monotonic()
    lines: list[Line] = []
    with Ground() as ground:
        facts = machine.describe(ground.version())
        for name in options.only:
            lines += measured(name, ground, options, begun)
    clean = not ground.unclean
    sys.stdout.write(f"\n{report.table(lines)}\n\n{report.machine(facts)}\n")
    sys.stdout.write(f"wrk -t{wrk.THREADS}; {time.monotonic() - begun:.0f} s in all\n")
    for name, words in ground.verified.items():
        sys.stdout.write(f"atomic verify, {name}: {words}\n")
    if options.json:
        seconds = time.monotonic() - begun
        answer = report.document(lines, facts, options, ground.verified, seconds)
        options.json.write_text(json.dumps(answer, indent=1, ensure_ascii=False) + "\n")
    return report.exit_status(lines, clean=clean, strict=options.strict)


def measured(name: str, ground: Ground, options: Options, begun: float) -> list[Line]:
    """The figure's lines, and one more for whatever went wrong."""
    tell(f"{time.monotonic() - begun:4.0f} s  {name}")
    lines: list[Line] = []
    try:
        lines += FIGURES[name].measure(ground, options.sizes)
    except NotThere as absent:
        lines.append(Line(figure=name, absent=str(absent)))
    except FAULTS as error:
        lines.append(failed(name, error))
    try:
        ground.close_subjects()
    except FAULTS as error:
        lines.append(failed(name, error))
    return lines


def failed(name: str, error: Exception) -> Line:
    traceback.print_exception(error)
    return Line(figure=name, fault=str(error) or type(error).__name__)


def tell(line: str) -> None:
    """Progress goes to stderr: stdout is the table's."""
    sys.stderr.write(line + "\n")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
