"""schemathesis checks the real system against its own OpenAPI document. `make schemathesis` does so
with thousands of requests and random seeds."""

from pathlib import Path

import pytest

from fuzz.run import run
from processes import System

SEED = ("--seed", "22")
"""The same requests in every run, so that a test does not depend on luck."""


@pytest.mark.parametrize(
    ("min_requests", "arguments"),
    [
        # Each constraint of the document at its boundaries. Payments and the parameters of lists
        # have the most, merchants' password hashes take long, and endpoints of webhooks have
        # lists of types: these are left to the long run.
        (
            100,
            [
                *("--phases", "coverage", "--exclude-method", "GET"),
                *("--exclude-path-regex", "payments(/batch)?$|merchants|webhook"),
            ],
        ),
        (100, ["--phases", "examples,fuzzing", "--max-examples", "3"]),
    ],
    ids=["boundaries", "generated"],
)
def test_system_conforms_to_its_openapi_document(
    system: System,
    account: dict[str, str],
    scratch: Path,
    min_requests: int,
    arguments: list[str],
) -> None:
    result = run(system, account["apiKey"], *SEED, *arguments, scratch=scratch)
    assert result.passed, result.output
    assert result.requests >= min_requests, result.output
    assert {200, 201, 400, 404} <= result.statuses.keys()
    assert max(result.statuses) < 500
    assert system.is_ledger_clean()


def test_deviation_from_the_document_is_found(
    system: System, account: dict[str, str], scratch: Path
) -> None:
    """With an unknown key, requests that the document says succeed are answered 401."""
    arguments = ("--phases", "examples", "--include-name", "POST /payments")
    result = run(system, account["apiKey"] + "x", *SEED, *arguments, scratch=scratch)
    assert not result.passed
    assert result.statuses.keys() >= {401}
    assert "POST /payments" in result.output
