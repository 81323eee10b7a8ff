"""`python tests/fault`: break Atomic, print the table, check the books.

Exit status: 0 nothing was lost or doubled and every bound was held; 1 otherwise; 2 wrong usage;
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
from fault.cluster import Rig
from fault.faults import FAULTS
from fault.options import Options, parse
from fault.run import Run

INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments, FAULTS)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with Rig() as rig:
            run = Run(rig, options, tell)
            run.go()
    except KeyboardInterrupt:
        tell("interrupted")
        return INTERRUPTED
    except EmbeddedServerError as error:
        tell(str(error))
        return 1
    return told(run, options)


def told(run: Run, options: Options) -> int:
    """Print what was found; the exit status."""
    rows, book = list(run.rows.values()), run.book
    sys.stdout.write(f"\n{report.table(rows, options.patience)}\n\n{run.summary()}\n")
    sys.stdout.write(f"{report.invariants(book)}\n")
    if options.json:
        more = {"seed": options.seed, "summary": run.summary()}
        answer = report.document(rows, book, more)
        options.json.write_text(json.dumps(answer, indent=1, ensure_ascii=False) + "\n")
    if options.picture:
        # Imported only when asked for: it takes a second.
        from fault.chart import draw

        draw(run, options.picture)
    if book.violations:
        sys.stdout.write(f"\n{len(book.violations)} VIOLATIONS\n{book.told()}\n")
    missed = any(row.missed(options.patience) for row in rows)
    return 1 if book.violations or missed else 0


def tell(line: str) -> None:
    """Progress goes to stderr: stdout is the table's."""
    sys.stderr.write(line + "\n")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
