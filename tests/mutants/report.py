"""What is printed."""

from collections.abc import Sequence
from dataclasses import dataclass

from mutants.mutant import Mutant


@dataclass(frozen=True, slots=True)
class Verdict:
    mutant: Mutant
    seconds: float
    caught_by: Sequence[str] = ()
    broken: str | None = None
    """Why it proves nothing."""

    @property
    def survived(self) -> bool:
        return not self.caught_by or self.broken is not None

    @property
    def words(self) -> str:
        if self.broken is not None:
            return f"PROVES NOTHING: {self.broken}"
        return "; ".join(self.caught_by) or "SURVIVED"


def table(verdicts: Sequence[Verdict]) -> str:
    rows = [
        ("mutant", "breaks", "caught by", "s"),
        *(
            (verdict.mutant.name, verdict.mutant.breaks, verdict.words, f"{verdict.seconds:.0f}")
            for verdict in verdicts
        ),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(
        f"{name:<{widths[0]}}  {breaks:<{widths[1]}}  {seconds:>4}  {caught}"
        for name, breaks, caught, seconds in rows
    )


def summary(verdicts: Sequence[Verdict], seconds: float) -> str:
    caught = sum(not verdict.survived for verdict in verdicts)
    return f"{caught} of {len(verdicts)} mutants caught, in {seconds:.0f} s"
