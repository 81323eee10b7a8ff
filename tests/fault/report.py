"""One table for people, and the same as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Final

from fault.faults import Fault
from fault.oracle import Book

HEAD: Final = ("fault", "times", "accepted", "recovery (max)", "bound", "", "")


@dataclass(frozen=True, slots=True)
class Injection:
    """What one injection did."""

    begun: float
    """Seconds since the run began."""
    over: float
    accepted: int
    """Payments, from the injection to the recovery."""
    recovery: float
    """Seconds."""
    missed: Sequence[str]
    remark: str


@dataclass
class Row:
    fault: Fault
    absent: str | None = None
    injections: list[Injection] = field(default_factory=list)

    def missed(self, patience: float) -> list[str]:
        """The bounds that were not held."""
        bound = self.fault.bound * patience
        late = [each.recovery for each in self.injections if each.recovery > bound]
        told = [f"recovery {seconds:.2f}" for seconds in late]
        return told + [what for each in self.injections for what in each.missed]


def table(rows: Sequence[Row], patience: float) -> str:
    """The faults in columns."""
    cells = [HEAD, *(_cells(row, patience) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
    shown = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    shown.insert(1, "  ".join("-" * width for width in widths[:-1]))
    return "\n".join(shown)


def invariants(book: Book) -> str:
    checked = ", ".join(f"{rule} {count:,}×" for rule, count in sorted(book.checks.items()))
    return f"checked: {checked}"


def document(rows: Sequence[Row], book: Book, more: Mapping[str, object]) -> dict[str, object]:
    return {
        **more,
        "checks": dict(book.checks),
        "violations": book.violations,
        "faults": [
            {
                "name": row.fault.name,
                "what": row.fault.what,
                "bound": row.fault.bound,
                "absent": row.absent,
                "injections": [asdict(each) for each in row.injections],
            }
            for row in rows
        ],
    }


def _cells(row: Row, patience: float) -> tuple[str, ...]:
    fault, done = row.fault, row.injections
    if row.absent or not done:
        why = row.absent or "not reached"
        return (fault.name, "0", "", "", f"{fault.bound:g} s", "skipped", why)
    recoveries = [each.recovery for each in done]
    missed = row.missed(patience)
    return (
        fault.name,
        str(len(done)),
        f"{sum(each.accepted for each in done):,}",
        f"{median(recoveries):.2f} s ({max(recoveries):.2f})",
        f"{fault.bound * patience:g} s",
        "MISSED" if missed else "held",
        "; ".join([fault.what, *missed, *dict.fromkeys(e.remark for e in done if e.remark)]),
    )
