"""The pure functions of the benchmark: parsing, verdicts and reports."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench import machine, report
from bench.figures import FIGURES
from bench.figures.accept import check_recorded
from bench.measurement import (
    BacklogGrowth,
    BenchError,
    Measurement,
    Target,
    Verdict,
    alternate,
    percentile,
)
from bench.options import FULL, QUICK, parse_options
from bench.wrk import KEY, KEY_LENGTH, Request, parse_load

MEASUREMENT = Measurement(
    figure="accept",
    unit="req/s",
    values=[90, 300, 110],
    references=[100, 200, 100],
    target=Target(1.0),
    note="A note.",
)
FAILED = Measurement(figure="read", error="of 7 requests: 1 refused\nand more")
ABSENT = Measurement(figure="bulk", missing_feature="404")
FACTS = {
    "cpu": "A CPU",
    "cores": 2,
    "memoryGiB": 4.0,
    "system": "Linux",
    "python": "3",
    "postgresql": "18",
    "commit": "abc dirty",
    "date": "2026-11-22T00:00:00Z",
}


def build_wrk_output(**changed: int) -> str:
    result = {
        "requests": 3_000,
        "microseconds": 2_000_000,
        "refused": 0,
        "broken": 0,
        "timeouts": 0,
        "p50_us": 1_500,
        "p99_us": 20_000,
    }
    return f"Running 2s test\n{json.dumps(result | changed)}\n"


def test_wrk_output_is_parsed() -> None:
    load = parse_load(build_wrk_output())
    assert (load.rate, load.p50_ms, load.p99_ms) == (1_500, 1.5, 20)


@pytest.mark.parametrize("kind", ["refused", "broken", "timeouts"])
def test_single_error_raises(kind: str) -> None:
    with pytest.raises(BenchError, match=f"1 {kind}"):
        parse_load(build_wrk_output(**{kind: 1}))


def test_missing_result_and_zero_requests_raise() -> None:
    with pytest.raises(BenchError, match="unable to connect"):
        parse_load("unable to connect")
    with pytest.raises(BenchError, match="none"):
        parse_load(build_wrk_output(requests=0))


def test_accepted_payment_without_row_raises() -> None:
    check_recorded(accepted=10, recorded=12)
    with pytest.raises(BenchError, match="11 payments were accepted, 10"):
        check_recorded(accepted=11, recorded=10)


def test_content_length_counts_generated_keys() -> None:
    body = json.dumps({"payments": [{"idempotencyKey": KEY}, {"idempotencyKey": KEY}], "ä": "ä"})
    request = Request("POST", "/x", "sk", body, has_key=True)
    head, content = request.format_request("h:1").split("\r\n\r\n")
    sent = content.replace(KEY, "k" * KEY_LENGTH).encode()
    assert f"Content-Length: {len(sent)}" in head.split("\r\n")
    assert f"Idempotency-Key: {KEY}" in head.split("\r\n")


def test_get_has_neither_body_nor_key() -> None:
    text = Request("GET", "/x", "sk").format_request("h:1")
    assert text == "GET /x HTTP/1.1\r\nHost: h:1\r\nAuthorization: Bearer sk\r\n\r\n"


def test_ratio_is_median_of_ratios() -> None:
    assert MEASUREMENT.ratios == [0.9, 1.5, 1.1]
    assert MEASUREMENT.ratio == 1.1
    assert (MEASUREMENT.value, MEASUREMENT.reference) == (110, 100)


def test_sides_of_different_lengths_raise() -> None:
    with pytest.raises(ValueError, match="zip"):
        _ = replace(MEASUREMENT, references=[1]).ratios


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        (Target(1.1), Verdict.MET),
        (Target(1.11), Verdict.MISSED),
        (Target(1.1, at_least=False), Verdict.MET),
        (Target(1.09, at_least=False), Verdict.MISSED),
        # With its own unit, the target applies to the value instead of the ratio.
        (Target(110, "ms", at_least=False), Verdict.MET),
        (Target(109, "ms", at_least=False), Verdict.MISSED),
        (None, Verdict.REPORTED),
    ],
)
def test_verdict_follows_target(target: Target | None, verdict: Verdict) -> None:
    assert replace(MEASUREMENT, target=target).verdict is verdict


def test_measurement_without_values_fails() -> None:
    assert replace(MEASUREMENT, values=(), references=()).verdict is Verdict.FAILED
    assert FAILED.verdict is Verdict.FAILED
    assert ABSENT.verdict is Verdict.ABSENT


def test_sides_alternate_after_warm_up() -> None:
    calls: list[str] = []

    def side(name: str) -> int:
        calls.append(name)
        return len(calls)

    assert alternate(2, lambda: side("a"), lambda: side("b")) == [[3, 5], [4, 6]]
    assert calls == ["a", "b"] * 3


def test_percentile_is_one_of_the_samples() -> None:
    samples = [float(n) for n in range(200, 0, -1)]
    assert (percentile(samples, 50), percentile(samples, 99), percentile(samples, 100)) == (
        100,
        198,
        200,
    )
    assert percentile([7.0], 50) == 7


@pytest.mark.parametrize(
    ("first", "last", "has_grown"),
    [(0, 2_000, False), (0, 2_001, True), (50_000, 55_000, False), (50_000, 55_001, True)],
)
def test_backlog_has_grown_beyond_a_batch_and_a_tenth(
    first: int, last: int, has_grown: bool
) -> None:
    assert BacklogGrowth.from_samples([first, 9, last]).has_grown is has_grown


def test_oscillating_backlog_has_not_grown() -> None:
    assert BacklogGrowth.from_samples([0, 9000, 0, 9000, 0, 9000, 9000, 0, 0]).growth == 0
    with pytest.raises(BenchError, match="2 samples"):
        BacklogGrowth.from_samples([1, 2])


def test_explicit_verdict_overrides_median() -> None:
    measurement = replace(MEASUREMENT, target=Target(0.5), is_target_met=False)
    assert measurement.verdict is Verdict.MISSED
    assert replace(measurement, is_target_met=True).verdict is Verdict.MET


def test_table_shows_ratio_spread_verdict_and_first_line_of_error() -> None:
    table = report.format_table([MEASUREMENT, MEASUREMENT, FAILED, ABSENT])
    assert "1.10× (0.90-1.50)" in table
    assert "≥ 1×" in table
    assert "FAILED" in table
    assert "1 refused" in table
    assert "and more" not in table
    assert "n/a (404)" in table
    assert table.count("A note.") == 1


def test_document_is_json_with_every_value() -> None:
    options = parse_options(["--quick", "--json", "x.json", "--only", "accept"], FIGURES)
    document = report.build_document(
        [MEASUREMENT, FAILED], FACTS, options, {"accept": "clean"}, 1.26
    )
    read = json.loads(json.dumps(document))
    assert read["figures"][0]["values"] == [90, 300, 110]
    assert (read["figures"][0]["ratioMin"], read["figures"][0]["ratioMax"]) == (0.9, 1.5)
    assert read["figures"][1]["error"] == FAILED.error
    assert read["options"]["only"] == ["accept"]
    assert read["options"]["sizes"]["repeats"] == QUICK.repeats
    assert (read["machine"], read["seconds"]) == (FACTS, 1.3)


@pytest.mark.parametrize(
    ("measurement", "is_consistent", "strict", "status"),
    [
        (MEASUREMENT, True, True, 0),
        (MEASUREMENT, False, False, 1),
        (FAILED, True, False, 1),
        (ABSENT, True, True, 0),
        (replace(MEASUREMENT, target=Target(9)), True, False, 0),
        (replace(MEASUREMENT, target=Target(9)), True, True, 1),
    ],
)
def test_exit_status_follows_verdicts(
    measurement: Measurement, is_consistent: bool, strict: bool, status: int
) -> None:
    assert (
        report.get_exit_status([measurement], is_consistent=is_consistent, strict=strict) == status
    )


def test_options_have_defaults_and_ignore_duplicates() -> None:
    assert parse_options([], FIGURES).only == tuple(FIGURES)
    assert parse_options([], FIGURES).sizes == FULL
    chosen = parse_options(["--only", "read, settle,read", "--repeats", "7"], FIGURES)
    assert (chosen.only, chosen.sizes.repeats) == (("read", "settle"), 7)


@pytest.mark.parametrize("arguments", [["--only", "speed"], ["--only", ""], ["--repeats", "0"]])
def test_invalid_options_exit_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        parse_options(arguments, FIGURES)
    assert exit_info.value.code == 2
    assert capsys.readouterr().err


def test_machine_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {"rev-parse": "abc", "status": " M file"}
    monkeypatch.setattr(machine, "_run_git", lambda *arguments: outputs[arguments[0]])
    assert machine.get_commit() == "abc dirty"
    assert FACTS.keys() == machine.describe_machine("18.6").keys()
    outputs["status"] = ""
    assert machine.get_commit() == "abc"


def test_reference_settles_payment_in_seven_statements() -> None:
    script = (Path(__file__).parents[1] / "bench" / "pgbench.sql").read_text()
    statements = script.partition("BEGIN;")[2].partition("COMMIT;")[0].strip().splitlines()
    assert len(statements) == 7
