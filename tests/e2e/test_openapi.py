"""schemathesis checks the real system against its own OpenAPI document. `make schemathesis` does so
with thousands of requests, random seeds, and each constraint at its boundaries."""

from pathlib import Path

from fuzz.run import run
from processes import System

SEED = ("--seed", "22")
"""The same requests in every run, so that a test does not depend on luck."""


def test_system_conforms_to_its_openapi_document(
    system: System,
    account: dict[str, str],
    scratch: Path,
) -> None:
    arguments = ("--phases", "examples,fuzzing", "--max-examples", "3")
    result = run(system, account["apiKey"], *SEED, *arguments, scratch=scratch)
    assert result.passed, result.output
    assert result.requests >= 100, result.output
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
