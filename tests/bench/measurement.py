"""Measurements and their verdicts. Pure functions: no clock, no servers."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

T = TypeVar("T")

RATIO_UNIT: Final = "×"


class BenchError(Exception):
    """A figure could not be measured: a response was an error, or a row is missing. Such requests
    never count as throughput."""


class FeatureMissing(Exception):
    """This version does not have the feature to be measured. The message is the reason."""


class Verdict(StrEnum):
    MET = "met"
    MISSED = "missed"
    REPORTED = "reported"
    """There is no target."""
    ABSENT = "n/a"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Target:
    """A bound for the ratio if the unit is RATIO_UNIT, else for the value."""

    bound: float
    unit: str = RATIO_UNIT
    at_least: bool = True

    def is_met_by(self, number: float) -> bool:
        return number >= self.bound if self.at_least else number <= self.bound

    def __str__(self) -> str:
        space = "" if self.unit == RATIO_UNIT else " "
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}{space}{self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One row of the table. `values` and `references` belong to the same repeats, in order."""

    figure: str
    case: str = ""
    unit: str = ""
    values: Sequence[float] = ()
    references: Sequence[float] = ()
    target: Target | None = None
    remark: str = ""
    """Shown in the table's last column."""
    note: str = ""
    """One or two sentences below the table."""
    extra: Mapping[str, object] = field(default_factory=dict)
    """Further numbers for the JSON document."""
    is_target_met: bool | None = None
    """Whether the target is met, if the median does not decide that."""
    error: str = ""
    missing_feature: str = ""

    @property
    def value(self) -> float | None:
        return statistics.median(self.values) if self.values else None

    @property
    def reference(self) -> float | None:
        return statistics.median(self.references) if self.references else None

    @property
    def ratios(self) -> list[float]:
        """One per repeat: a slow moment of the machine affects both sides of a repeat."""
        if not self.references:
            return []
        return [
            value / reference for value, reference in zip(self.values, self.references, strict=True)
        ]

    @property
    def ratio(self) -> float | None:
        return statistics.median(self.ratios) if self.ratios else None

    @property
    def verdict(self) -> Verdict:
        if self.error:
            return Verdict.FAILED
        if self.missing_feature:
            return Verdict.ABSENT
        if self.target is None:
            return Verdict.REPORTED
        if self.is_target_met is not None:
            return Verdict.MET if self.is_target_met else Verdict.MISSED
        number = self.ratio if self.target.unit == RATIO_UNIT else self.value
        if number is None:
            return Verdict.FAILED
        return Verdict.MET if self.target.is_met_by(number) else Verdict.MISSED


def alternate(repeats: int, *sides: Callable[[], T], warm_up: bool = True) -> list[list[T]]:
    """Call the sides in turn (ABAB), after a warm-up of each; return the results of each side."""
    if warm_up:
        for side in sides:
            side()
    rounds = [[side() for side in sides] for _ in range(repeats)]
    return [list(results) for results in zip(*rounds, strict=True)]


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile, which is always one of the samples."""
    ordered = sorted(samples)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, min(len(ordered), int(rank)) - 1)]


MIN_SLACK: Final = 2_000
"""In payments: a worker's batch."""

SLACK_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True)
class BacklogGrowth:
    """Whether a backlog has grown: the median of the last third of its samples against the median
    of the first. Medians, since a worker claims and settles whole batches."""

    first: float
    last: float

    @classmethod
    def from_samples(cls, samples: Sequence[int]) -> "BacklogGrowth":
        third = len(samples) // 3
        if third == 0:
            raise BenchError(f"{len(samples)} samples of the backlog are too few")
        return cls(statistics.median(samples[:third]), statistics.median(samples[-third:]))

    @property
    def growth(self) -> float:
        return self.last - self.first

    @property
    def slack(self) -> float:
        """The growth that does not count."""
        return max(MIN_SLACK, SLACK_SHARE * self.first)

    @property
    def has_grown(self) -> bool:
        return self.growth > self.slack
