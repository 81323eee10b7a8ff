"""A run as a picture: payments accepted and settled over time, and what was broken when."""

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

SHORTEST_SECONDS: Final = 0.2
"""That can be seen in a run of ten minutes."""


def draw(run: Run, file: Path) -> None:
    """Write the picture; the ending says whether as PNG or as SVG."""
    # Text stays text, and the same run gives the same bytes.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "atomic", "font.size": 8.5})
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1))
    _draw_payments(run, above)
    _draw_faults(run, below)
    figure.suptitle(
        f"{run.recorded:,} payments, {run.injections} faults, {len(run.book.violations)} violations"
        f" (seed {run.options.seed})"
    )
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def _draw_payments(run: Run, axes: Any) -> None:
    samples = run.watch.samples
    times = [sample.at for sample in samples]
    axes.plot(
        times,
        [sample.accepted for sample in samples],
        color=COLOURS["accepted"],
        label="accepted (202)",
    )
    # Gaps where PostgreSQL could not be asked.
    settled = [float("nan") if each.settled is None else each.settled for each in samples]
    axes.plot(times, settled, color=COLOURS["settled"], label="settled", linestyle="--")
    axes.set_ylabel("payments")
    axes.legend(loc="upper left")
    axes.grid(alpha=0.3)
    for row in run.rows.values():
        for each in row.injections:
            axes.axvspan(
                each.begun, max(each.over, each.begun + 0.1), color=COLOURS["fault"], alpha=0.15
            )


def _draw_faults(run: Run, axes: Any) -> None:
    rows = [row for row in run.rows.values() if row.injections]
    for place, row in enumerate(rows):
        spans = [
            (each.begun, max(each.over - each.begun, SHORTEST_SECONDS)) for each in row.injections
        ]
        axes.broken_barh(spans, (place - 0.4, 0.8), color=COLOURS["fault"])
        back = [(each.over, each.recovery) for each in row.injections]
        axes.broken_barh(back, (place - 0.4, 0.8), color=COLOURS["recovery"], alpha=0.6)
    axes.set_yticks(range(len(rows)), [row.fault.name for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("seconds (red: broken; yellow: until all was settled again)")
    axes.grid(axis="x", alpha=0.3)
