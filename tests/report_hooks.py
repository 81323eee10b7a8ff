"""pytest hooks: list skipped tests and their reasons at the end of a run, or forbid skips; keep the
output of a failed test short enough that its assertion stays on the screen."""

import os
from collections import Counter
from collections.abc import Generator
from typing import Final

import pytest

REQUIRE_ALL_TESTS: Final = "REQUIRE_ALL_TESTS"
"""An environment variable that .ci/run sets: a skipped test fails."""

MAX_CAPTURED_LINES: Final = 6
"""Per section of captured output. pytest prints it below the assertion."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get(REQUIRE_ALL_TESTS) and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{get_skip_reason(report)} ({REQUIRE_ALL_TESTS} is set)"
    if report.failed:
        report.sections = [(title, keep_last_lines(text)) for title, text in report.sections]
    return report


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = Counter(map(get_skip_reason, terminalreporter.stats.get("skipped", [])))
    for reason, count in reasons.most_common():
        terminalreporter.write_line(
            f"Skipped {count} {'test' if count == 1 else 'tests'}: {reason}", yellow=True
        )


def get_skip_reason(report: pytest.TestReport) -> str:
    """The reason of a skipped test. It names what to install, if the test does."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(report.longrepr)


def keep_last_lines(text: str) -> str:
    lines = text.splitlines()
    omitted = len(lines) - MAX_CAPTURED_LINES
    if omitted <= 0:
        return text
    return "\n".join(
        [f"({omitted} lines omitted; run the test with -s to see them)", *lines[omitted:]]
    )
