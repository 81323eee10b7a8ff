"""What was measured, and what that means. Pure: no clock, no servers."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

T = TypeVar("T")

TIMES: Final = "×"


class BenchError(Exception):
    """A figure that could not be measured as promised: an error among the answers, a row that
    is not there. Never counted as throughput."""


class NotThere(Exception):
    """What should be measured does not exist in this version. The message says how that showed."""


class Verdict(StrEnum):
    MET = "met"
    MISSED = "missed"
    REPORTED = "reported"
    """There is no target."""
    ABSENT = "n/a"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Target:
    """A bound for the ratio where the unit is TIMES, else for the value itself."""

    bound: float
    unit: str = TIMES
    at_least: bool = True

    def met_by(self, number: float) -> bool:
        return number >= self.bound if self.at_least else number <= self.bound

    def __str__(self) -> str:
        space = "" if self.unit == TIMES else " "
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}{space}{self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table. `values` and `references` are of the same repeats, in order."""

    figure: str
    case: str = ""
    unit: str = ""
    values: Sequence[float] = ()
    references: Sequence[float] = ()
    target: Target | None = None
    remark: str = ""
    """Shown in the table's last column."""
    note: str = ""
    """A sentence or two, shown beneath the table."""
    extra: Mapping[str, object] = field(default_factory=dict)
    """More numbers, for the JSON only."""
    judged: bool | None = None
    """Whether the target is met, where a median cannot tell."""
    fault: str = ""
    absent: str = ""

    @property
    def value(self) -> float | None:
        return statistics.median(self.values) if self.values else None

    @property
    def reference(self) -> float | None:
        return statistics.median(self.references) if self.references else None

    @property
    def ratios(self) -> list[float]:
        """One per repeat: a slow moment of the machine hits both of its sides."""
        if not self.references:
            return []
        return [ours / other for ours, other in zip(self.values, self.references, strict=True)]

    @property
    def ratio(self) -> float | None:
        return statistics.median(self.ratios) if self.ratios else None

    @property
    def verdict(self) -> Verdict:
        if self.fault:
            return Verdict.FAILED
        if self.absent:
            return Verdict.ABSENT
        if self.target is None:
            return Verdict.REPORTED
        if self.judged is not None:
            return Verdict.MET if self.judged else Verdict.MISSED
        number = self.ratio if self.target.unit == TIMES else self.value
        if number is None:
            return Verdict.FAILED
        return Verdict.MET if self.target.met_by(number) else Verdict.MISSED


def alternate(repeats: int, *sides: Callable[[], T], warm_up: bool = True) -> list[list[T]]:
    """ABAB: what each side gave, in order, after a warm-up of each that does not count."""
    if warm_up:
        for side in sides:
            side()
    rounds = [[side() for side in sides] for _ in range(repeats)]
    return [list(of_one_side) for of_one_side in zip(*rounds, strict=True)]


def percentile(samples: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: a value that was really seen."""
    ordered = sorted(samples)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, min(len(ordered), int(rank)) - 1)]


LEAST_SLACK: Final = 2_000
"""Payments: a worker's batch."""

SLACK_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Backlog:
    """Whether a backlog grew, by its samples: the median of the last third of them against that
    of the first. Medians, since a settler takes and finishes a whole batch at a time."""

    first: float
    last: float

    @classmethod
    def of(cls, samples: Sequence[int]) -> "Backlog":
        third = len(samples) // 3
        if third == 0:
            raise BenchError(f"{len(samples)} samples of the backlog are too few to tell")
        return cls(statistics.median(samples[:third]), statistics.median(samples[-third:]))

    @property
    def growth(self) -> float:
        return self.last - self.first

    @property
    def slack(self) -> float:
        """Up to here it is no growth."""
        return max(LEAST_SLACK, SLACK_SHARE * self.first)

    @property
    def grew(self) -> bool:
        return self.growth > self.slack
