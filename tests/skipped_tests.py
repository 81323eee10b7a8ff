"""Says at the end of a run which tests were skipped and why, or forbids skips."""

import os
from collections import Counter
from collections.abc import Generator

import pytest

REQUIRE_ALL_TESTS = "REQUIRE_ALL_TESTS"
"""Set by .ci/run: a skipped test fails."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get(REQUIRE_ALL_TESTS) and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{get_skip_reason(report)} ({REQUIRE_ALL_TESTS} is set)"
    return report


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = Counter(map(get_skip_reason, terminalreporter.stats.get("skipped", [])))
    for reason, count in reasons.most_common():
        terminalreporter.write_line(
            f"Skipped {count} {'test' if count == 1 else 'tests'}: {reason}", yellow=True
        )


def get_skip_reason(report: pytest.TestReport) -> str:
    """The reason of a skipped test, with how to get what it needs if the test says so."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(report.longrepr)
