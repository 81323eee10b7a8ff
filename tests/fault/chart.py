"""Draws a run: payments accepted and settled over time, and the faults on the time axis."""

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from fault.run import Run

SIZE_INCHES: Final = (15, 10)

COLOURS: Final = {
    "accepted": "#1f6feb",
    "settled": "#2da44e",
    "fault": "#cf222e",
    "recovery": "#bf8700",
}

MIN_BAR_SECONDS: Final = 0.2
"""The shortest bar that is visible in a run of ten minutes."""


def draw(run: Run, file: Path) -> None:
    """Write the chart as PNG or SVG, by the file's suffix."""
    # SVG text stays text, and the same run gives the same bytes.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "atomic", "font.size": 8.5})
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1))
    _draw_payments(run, above)
    _draw_faults(run, below)
    figure.suptitle(
        f"{run.recorded_count:,} payments, {run.injection_count} faults,"
        f" {len(run.oracle.violations)} violations (seed {run.options.seed})"
    )
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def _draw_payments(run: Run, axes: Any) -> None:
    samples = run.sampler.samples
    times = [sample.at for sample in samples]
    axes.plot(
        times,
        [sample.accepted_count for sample in samples],
        color=COLOURS["accepted"],
        label="accepted (202)",
    )
    # NaN leaves a gap where PostgreSQL was unreachable.
    settled = [
        float("nan") if sample.settled_count is None else sample.settled_count for sample in samples
    ]
    axes.plot(times, settled, color=COLOURS["settled"], label="settled", linestyle="--")
    axes.set_ylabel("payments")
    axes.legend(loc="upper left")
    axes.grid(alpha=0.3)
    for results in run.results.values():
        for injection in results.injections:
            axes.axvspan(
                injection.started,
                max(injection.ended, injection.started + 0.1),
                color=COLOURS["fault"],
                alpha=0.15,
            )


def _draw_faults(run: Run, axes: Any) -> None:
    injected = [results for results in run.results.values() if results.injections]
    for row, results in enumerate(injected):
        faults = [
            (each.started, max(each.ended - each.started, MIN_BAR_SECONDS))
            for each in results.injections
        ]
        axes.broken_barh(faults, (row - 0.4, 0.8), color=COLOURS["fault"])
        recoveries = [(each.ended, each.recovery_seconds) for each in results.injections]
        axes.broken_barh(recoveries, (row - 0.4, 0.8), color=COLOURS["recovery"], alpha=0.6)
    axes.set_yticks(range(len(injected)), [results.fault.name for results in injected])
    axes.invert_yaxis()
    axes.set_xlabel("seconds (red: fault; yellow: recovery, until all payments are settled)")
    axes.grid(axis="x", alpha=0.3)
