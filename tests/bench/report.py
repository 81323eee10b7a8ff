"""The measurements as a table and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final

from bench.measurement import Measurement, Verdict
from bench.options import Options

HEADER: Final = ("figure", "case", "measured", "reference", "ratio (min-max)", "target", "", "")


def format_table(measurements: Sequence[Measurement]) -> str:
    """Format the measurements in columns, and each note once below them."""
    rows = [HEADER, *(_format_cells(measurement) for measurement in measurements)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths[:-1]))
    notes = dict.fromkeys(measurement.note for measurement in measurements if measurement.note)
    return "\n".join([*lines, *(("", *notes) if notes else ())])


def format_machine(facts: Mapping[str, object]) -> str:
    return (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['memoryGiB']} GiB, {facts['system']};"
        f" Python {facts['python']}, PostgreSQL {facts['postgresql']} (fsync and"
        f" synchronous_commit on);\ncommit {facts['commit']}, {facts['date']}"
    )


def build_document(
    measurements: Sequence[Measurement],
    facts: Mapping[str, object],
    options: Options,
    verify_results: Mapping[str, str],
    seconds: float,
) -> dict[str, object]:
    """Return everything that was measured, as JSON values."""
    paths = {"json": options.json, "pgledger": options.pgledger}
    chosen_options = {
        **asdict(options),
        **{name: str(path) if path else None for name, path in paths.items()},
    }
    return {
        "machine": dict(facts),
        "options": chosen_options,
        "seconds": round(seconds, 1),
        "verified": dict(verify_results),
        "figures": [_build_entry(measurement) for measurement in measurements],
    }


def get_exit_status(
    measurements: Sequence[Measurement], *, is_consistent: bool, strict: bool
) -> int:
    verdicts = {measurement.verdict for measurement in measurements}
    if not is_consistent or Verdict.FAILED in verdicts:
        return 1
    return 1 if strict and Verdict.MISSED in verdicts else 0


def format_number(value: float) -> str:
    """Format with at least three digits: 12,345 and 123 and 1.23."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _format_cells(measurement: Measurement) -> tuple[str, ...]:
    ratios = measurement.ratios
    spread = f"{measurement.ratio:.2f}× ({min(ratios):.2f}-{max(ratios):.2f})" if ratios else ""
    verdict = measurement.verdict
    return (
        measurement.figure,
        measurement.case,
        ""
        if measurement.value is None
        else f"{format_number(measurement.value)} {measurement.unit}".strip(),
        "" if measurement.reference is None else format_number(measurement.reference),
        spread,
        str(measurement.target or ""),
        f"{verdict} ({measurement.missing_feature})" if verdict is Verdict.ABSENT else str(verdict),
        measurement.error.partition("\n")[0] or measurement.remark,
    )


def _build_entry(measurement: Measurement) -> dict[str, object]:
    ratios = measurement.ratios
    return {
        "figure": measurement.figure,
        "case": measurement.case,
        "unit": measurement.unit,
        "median": measurement.value,
        "values": list(measurement.values),
        "referenceMedian": measurement.reference,
        "references": list(measurement.references),
        "ratio": measurement.ratio,
        "ratioMin": min(ratios) if ratios else None,
        "ratioMax": max(ratios) if ratios else None,
        "ratios": ratios,
        "target": str(measurement.target) if measurement.target else None,
        "verdict": str(measurement.verdict),
        "remark": measurement.remark,
        "note": measurement.note,
        "error": measurement.error or measurement.missing_feature or None,
        **measurement.extra,
    }
