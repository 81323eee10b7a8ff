"""`python tests/fault`: inject faults, print the table of results, audit the ledger.

Exit status: 0 no invariant was violated and every time bound was met; 1 otherwise; 2 wrong usage;
130 interrupted.
"""

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from atomic_adapters.embedded import EmbeddedServerError
from fault import report
from fault.cluster import Cluster
from fault.faults import FAULTS
from fault.options import Options, parse_options
from fault.run import Run

INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    options = parse_options(arguments, FAULTS)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with Cluster() as cluster:
            run = Run(cluster, options, print_progress)
            run.execute()
    except KeyboardInterrupt:
        print_progress("interrupted")
        return INTERRUPTED
    except EmbeddedServerError as error:
        print_progress(str(error))
        return 1
    return print_results(run, options)


def print_results(run: Run, options: Options) -> int:
    """Print and write the results; return the exit status."""
    results, oracle = list(run.results.values()), run.oracle
    sys.stdout.write(f"\n{report.format_table(results, options.patience)}\n\n")
    sys.stdout.write(f"{run.summarize()}\n{report.format_check_counts(oracle)}\n")
    if options.json:
        details = {"seed": options.seed, "summary": run.summarize()}
        document = report.build_document(results, oracle, details)
        options.json.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    if options.picture:
        # Imported only when needed: it takes a second.
        from fault.chart import draw

        draw(run, options.picture)
    if oracle.violations:
        sys.stdout.write(f"\n{len(oracle.violations)} VIOLATIONS\n{oracle.format_violations()}\n")
    return 0 if run.has_passed() else 1


def print_progress(line: str) -> None:
    """Progress goes to stderr, results to stdout."""
    sys.stderr.write(line + "\n")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
