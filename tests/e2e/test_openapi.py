"""schemathesis holds the real system to its own OpenAPI document. `make schemathesis` does the
same with thousands of requests."""

from pathlib import Path

import pytest

from fuzz.run import run
from processes import System


@pytest.mark.parametrize(
    ("least", "arguments"),
    [
        # Each constraint of the document at its edges and beyond. Payments have so many that they
        # are left to the long run, with their lists of a thousand.
        (100, ["--phases", "coverage", "--exclude-path-regex", "payments(/batch)?$"]),
        (200, ["--phases", "examples,fuzzing,stateful", "--max-examples", "8"]),
    ],
    ids=["edges", "made up"],
)
def test_the_system_keeps_to_its_document(
    system: System, account: dict[str, str], scratch: Path, least: int, arguments: list[str]
) -> None:
    done = run(system, account["apiKey"], *arguments, scratch=scratch)
    assert done.passed, done.output
    assert done.requests >= least, done.output
    assert {200, 201, 400, 401, 404} <= done.statuses.keys()
    assert max(done.statuses) < 500
    assert system.is_ledger_clean()


def test_a_broken_promise_is_found(system: System, account: dict[str, str], scratch: Path) -> None:
    """With an unknown key, requests that the document says succeed are answered 401."""
    arguments = ("--phases", "examples", "--include-name", "POST /payments")
    done = run(system, account["apiKey"] + "x", *arguments, scratch=scratch)
    assert not done.passed
    assert done.statuses.keys() >= {401}
    assert "POST /payments" in done.output
