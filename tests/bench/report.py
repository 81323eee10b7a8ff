"""One table for people, and the same as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final

from bench.measurement import Line, Verdict
from bench.options import Options

HEAD: Final = ("figure", "case", "measured", "reference", "ratio (min-max)", "target", "", "")


def table(lines: Sequence[Line]) -> str:
    """The lines in columns, and their notes beneath, each once."""
    rows = [HEAD, *(_row(line) for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    shown = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    shown.insert(1, "  ".join("-" * width for width in widths[:-1]))
    notes = dict.fromkeys(line.note for line in lines if line.note)
    return "\n".join([*shown, *(("", *notes) if notes else ())])


def machine(facts: Mapping[str, object]) -> str:
    return (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['memoryGiB']} GiB, {facts['system']};"
        f" Python {facts['python']}, PostgreSQL {facts['postgresql']} (fsync and"
        f" synchronous_commit on);\ncommit {facts['commit']}, {facts['date']}"
    )


def document(
    lines: Sequence[Line],
    facts: Mapping[str, object],
    options: Options,
    verified: Mapping[str, str],
    seconds: float,
) -> dict[str, object]:
    """All that is known, fit for JSON."""
    chosen = {**asdict(options), "json": str(options.json) if options.json else None}
    return {
        "machine": dict(facts),
        "options": chosen,
        "seconds": round(seconds, 1),
        "verified": dict(verified),
        "figures": [_entry(line) for line in lines],
    }


def exit_status(lines: Sequence[Line], *, clean: bool, strict: bool) -> int:
    verdicts = {line.verdict for line in lines}
    if not clean or Verdict.FAILED in verdicts:
        return 1
    return 1 if strict and Verdict.MISSED in verdicts else 0


def number(value: float) -> str:
    """Three digits at least: 12,345 and 123 and 1.23."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _row(line: Line) -> tuple[str, ...]:
    ratios = line.ratios
    spread = f"{line.ratio:.2f}× ({min(ratios):.2f}-{max(ratios):.2f})" if ratios else ""
    verdict = line.verdict
    return (
        line.figure,
        line.case,
        "" if line.value is None else f"{number(line.value)} {line.unit}".strip(),
        "" if line.reference is None else number(line.reference),
        spread,
        str(line.target or ""),
        f"{verdict} ({line.absent})" if verdict is Verdict.ABSENT else str(verdict),
        line.fault.partition("\n")[0] or line.remark,
    )


def _entry(line: Line) -> dict[str, object]:
    ratios = line.ratios
    return {
        "figure": line.figure,
        "case": line.case,
        "unit": line.unit,
        "median": line.value,
        "values": list(line.values),
        "referenceMedian": line.reference,
        "references": list(line.references),
        "ratio": line.ratio,
        "ratioMin": min(ratios) if ratios else None,
        "ratioMax": max(ratios) if ratios else None,
        "ratios": ratios,
        "target": str(line.target) if line.target else None,
        "verdict": str(line.verdict),
        "remark": line.remark,
        "note": line.note,
        "fault": line.fault or line.absent or None,
        **line.extra,
    }
