"""Payments and refunds that have not ended, as operators watch them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, NamedTuple

MAX_OPEN_COUNTED: Final = 100_000
"""Items of a kind and card network that are counted: some hundredths of a second, of an index that
has open items only."""

MAX_HOLDS_COUNTED: Final = 10_000
"""Holds of an age that are counted."""

HOLD_AGES: Final = (
    ("under_1h", timedelta(0), timedelta(hours=1)),
    ("under_1d", timedelta(hours=1), timedelta(days=1)),
    ("under_3d", timedelta(days=1), timedelta(days=3)),
    ("under_7d", timedelta(days=3), timedelta(days=7)),
    ("over_7d", timedelta(days=7), None),
)
"""Name, least age, and the age that it is below. Card networks end a hold after seven days."""


class OpenItems(NamedTuple):
    """Of one card network, claimed or not. Each is counted up to MAX_OPEN_COUNTED."""

    network: str
    payments: int
    refunds: int


class OpenWork(NamedTuple):
    items: Sequence[OpenItems]
    holds: Sequence[int]
    """In the order of HOLD_AGES, each counted up to MAX_HOLDS_COUNTED."""
