"""What processes report of themselves for operators, who read it with `atomic doctor`."""

from typing import Protocol


class ProcessReports(Protocol):
    """No payment depends on a report. It takes at most 0.25 s, and never raises."""

    def report_running(self, process: str) -> None:
        """A process of this name works. Forgotten after an hour."""
        ...

    def report_ledger_check(self, findings: int) -> None:
        """A verification of the ledger has ended with so many findings. Kept until the next."""
        ...


class NoProcessReports:
    """Of an application without processes to look for."""

    def report_running(self, process: str) -> None:
        """Does nothing."""

    def report_ledger_check(self, findings: int) -> None:
        """Does nothing."""
