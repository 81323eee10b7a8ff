"""The results as a table and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Final

from fault.faults import Fault
from fault.oracle import Oracle

HEADER: Final = ("fault", "times", "accepted", "recovery (max)", "bound", "", "")


@dataclass(frozen=True, slots=True)
class InjectionResult:
    started: float
    """Seconds since the run started."""
    ended: float
    """Seconds since the run started."""
    accepted_count: int
    """Payments accepted from the injection to the recovery."""
    recovery_seconds: float
    missed_bounds: Sequence[str]
    errors: Sequence[str]
    """Conditions that were never met: the fault did not happen, or the system did not recover."""
    remark: str


@dataclass
class FaultResults:
    fault: Fault
    skip_reason: str | None = None
    injections: list[InjectionResult] = field(default_factory=list)

    @property
    def errors(self) -> list[str]:
        return [error for injection in self.injections for error in injection.errors]

    def list_missed_bounds(self, patience: float) -> list[str]:
        """Describe each time bound that was missed; `patience` multiplies the bounds."""
        bound = self.fault.bound_seconds * patience
        recoveries = [injection.recovery_seconds for injection in self.injections]
        late = [f"recovery {seconds:.2f}" for seconds in recoveries if seconds > bound]
        return late + [bound for each in self.injections for bound in each.missed_bounds]


def format_table(results: Sequence[FaultResults], patience: float) -> str:
    rows = [HEADER, *(_format_cells(each, patience) for each in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths[:-1]))
    return "\n".join(lines)


def format_check_counts(oracle: Oracle) -> str:
    counts = sorted(oracle.check_counts.items())
    return f"checked: {', '.join(f'{invariant} {count:,}×' for invariant, count in counts)}"


def build_document(
    results: Sequence[FaultResults], oracle: Oracle, details: Mapping[str, object]
) -> dict[str, object]:
    return {
        **details,
        "checks": dict(oracle.check_counts),
        "violations": oracle.violations,
        "faults": [
            {
                "name": each.fault.name,
                "description": each.fault.description,
                "boundSeconds": each.fault.bound_seconds,
                "skipReason": each.skip_reason,
                "injections": [asdict(injection) for injection in each.injections],
            }
            for each in results
        ],
    }


def _format_cells(results: FaultResults, patience: float) -> tuple[str, ...]:
    fault, injections = results.fault, results.injections
    if results.skip_reason or not injections:
        reason = results.skip_reason or "not reached"
        return (fault.name, "0", "", "", f"{fault.bound_seconds:g} s", "skipped", reason)
    recoveries = [injection.recovery_seconds for injection in injections]
    missed = results.list_missed_bounds(patience)
    remarks = dict.fromkeys(each.remark for each in injections if each.remark)
    verdict = "FAILED" if results.errors else "MISSED" if missed else "met"
    return (
        fault.name,
        str(len(injections)),
        f"{sum(injection.accepted_count for injection in injections):,}",
        f"{median(recoveries):.2f} s ({max(recoveries):.2f})",
        f"{fault.bound_seconds * patience:g} s",
        verdict,
        "; ".join([fault.description, *results.errors, *missed, *remarks]),
    )
