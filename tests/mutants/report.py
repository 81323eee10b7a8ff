"""The verdicts as a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from mutants.mutant import Mutant


@dataclass(frozen=True, slots=True)
class Verdict:
    mutant: Mutant
    seconds: float
    caught_by: Sequence[str] = ()
    """The failures that caught the mutant."""
    error: str | None = None
    """Why the mutant proves nothing."""

    @property
    def is_caught(self) -> bool:
        return bool(self.caught_by) and self.error is None

    def describe(self) -> str:
        if self.error is not None:
            return f"PROVES NOTHING: {self.error}"
        return "; ".join(self.caught_by) or "SURVIVED"


def format_table(verdicts: Sequence[Verdict]) -> str:
    rows = [
        ("mutant", "broken guarantee", "caught by", "s"),
        *(
            (
                verdict.mutant.name,
                verdict.mutant.guarantee,
                verdict.describe(),
                f"{verdict.seconds:.0f}",
            )
            for verdict in verdicts
        ),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(
        f"{name:<{widths[0]}}  {guarantee:<{widths[1]}}  {seconds:>4}  {description}"
        for name, guarantee, description, seconds in rows
    )


def summarize(verdicts: Sequence[Verdict], seconds: float) -> str:
    caught_count = sum(verdict.is_caught for verdict in verdicts)
    return f"{caught_count} of {len(verdicts)} mutants caught, in {seconds:.0f} s"
