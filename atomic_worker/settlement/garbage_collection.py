"""The garbage collector of a process that settles."""

import gc
from typing import Final

THRESHOLDS: Final = (100_000, 50, 100)
"""A batch of a thousand payments makes tens of thousands of objects and drops them all by
reference counts; none is in a cycle. Looking through them as often as Python does by default took
about a tenth of the settling rate (ratio of alternating rounds in one process)."""


def tune_garbage_collection() -> None:
    """Look for cycles seldom, and never again at what the start has loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
