"""What of the bench is pure: whether it would tell."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench import machine, report
from bench.figures import FIGURES
from bench.figures.accept import check_kept
from bench.measurement import (
    Backlog,
    BenchError,
    Line,
    Target,
    Verdict,
    alternate,
    percentile,
)
from bench.options import FULL, QUICK, parse
from bench.wrk import KEY, KEY_LENGTH, Request, load_of

LINE = Line(
    figure="accept",
    unit="req/s",
    values=[90, 300, 110],
    references=[100, 200, 100],
    target=Target(1.0),
    note="A note.",
)
FAILED = Line(figure="read", fault="of 7 requests: 1 refused\nand more")
ABSENT = Line(figure="bulk", absent="404")
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


def wrk_said(**changed: int) -> str:
    found = {
        "requests": 3_000,
        "microseconds": 2_000_000,
        "refused": 0,
        "broken": 0,
        "timeouts": 0,
        "p50_us": 1_500,
        "p99_us": 20_000,
    }
    return f"Running 2s test\n{json.dumps(found | changed)}\n"


def test_what_wrk_said_is_read() -> None:
    load = load_of(wrk_said())
    assert (load.rate, load.p50_ms, load.p99_ms) == (1_500, 1.5, 20)


@pytest.mark.parametrize("kind", ["refused", "broken", "timeouts"])
def test_a_single_error_is_no_throughput(kind: str) -> None:
    with pytest.raises(BenchError, match=f"1 {kind}"):
        load_of(wrk_said(**{kind: 1}))


def test_neither_silence_nor_no_request_is_throughput() -> None:
    with pytest.raises(BenchError, match="unable to connect"):
        load_of("unable to connect")
    with pytest.raises(BenchError, match="none"):
        load_of(wrk_said(requests=0))


def test_a_202_without_a_row_is_no_throughput() -> None:
    check_kept(answered=10, kept=12)
    with pytest.raises(BenchError, match="11 payments were answered 202, 10"):
        check_kept(answered=11, kept=10)


def test_the_length_of_a_request_counts_the_keys_that_will_stand_in_it() -> None:
    body = json.dumps({"payments": [{"idempotencyKey": KEY}, {"idempotencyKey": KEY}], "ä": "ä"})
    head, sent = Request("POST", "/x", "sk", body, keyed=True).text("h:1").split("\r\n\r\n")
    arrived = sent.replace(KEY, "k" * KEY_LENGTH).encode()
    assert f"Content-Length: {len(arrived)}" in head.split("\r\n")
    assert f"Idempotency-Key: {KEY}" in head.split("\r\n")


def test_a_get_has_neither_body_nor_key() -> None:
    text = Request("GET", "/x", "sk").text("h:1")
    assert text == "GET /x HTTP/1.1\r\nHost: h:1\r\nAuthorization: Bearer sk\r\n\r\n"


def test_the_ratio_is_the_median_of_the_ratios_not_the_ratio_of_the_medians() -> None:
    assert LINE.ratios == [0.9, 1.5, 1.1]
    assert LINE.ratio == 1.1
    assert (LINE.value, LINE.reference) == (110, 100)


def test_sides_of_different_lengths_are_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        _ = replace(LINE, references=[1]).ratios


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        (Target(1.1), Verdict.MET),
        (Target(1.11), Verdict.MISSED),
        (Target(1.1, at_least=False), Verdict.MET),
        (Target(1.09, at_least=False), Verdict.MISSED),
        # In a unit of its own: the value is judged, not the ratio.
        (Target(110, "ms", at_least=False), Verdict.MET),
        (Target(109, "ms", at_least=False), Verdict.MISSED),
        (None, Verdict.REPORTED),
    ],
)
def test_a_line_is_judged_by_its_target(target: Target | None, verdict: Verdict) -> None:
    assert replace(LINE, target=target).verdict is verdict


def test_what_has_no_number_does_not_meet_its_target() -> None:
    assert replace(LINE, values=(), references=()).verdict is Verdict.FAILED
    assert FAILED.verdict is Verdict.FAILED
    assert ABSENT.verdict is Verdict.ABSENT


def test_sides_alternate_after_a_warm_up_that_does_not_count() -> None:
    calls: list[str] = []

    def side(name: str) -> int:
        calls.append(name)
        return len(calls)

    assert alternate(2, lambda: side("a"), lambda: side("b")) == [[3, 5], [4, 6]]
    assert calls == ["a", "b"] * 3


def test_a_percentile_is_a_value_that_was_seen() -> None:
    samples = [float(n) for n in range(200, 0, -1)]
    assert (percentile(samples, 50), percentile(samples, 99), percentile(samples, 100)) == (
        100,
        198,
        200,
    )
    assert percentile([7.0], 50) == 7


@pytest.mark.parametrize(
    ("first", "last", "grew"),
    [(0, 2_000, False), (0, 2_001, True), (50_000, 55_000, False), (50_000, 55_001, True)],
)
def test_a_backlog_grows_by_more_than_a_batch_and_a_tenth(
    first: int, last: int, grew: bool
) -> None:
    assert Backlog.of([first, 9, last]).grew is grew


def test_a_backlog_that_swings_does_not_grow() -> None:
    assert Backlog.of([0, 9000, 0, 9000, 0, 9000, 9000, 0, 0]).growth == 0
    with pytest.raises(BenchError, match="2 samples"):
        Backlog.of([1, 2])


def test_a_judgement_stands_over_the_median() -> None:
    line = replace(LINE, target=Target(0.5), judged=False)
    assert line.verdict is Verdict.MISSED
    assert replace(line, judged=True).verdict is Verdict.MET


def test_the_table_shows_ratio_spread_verdict_and_the_first_line_of_a_fault() -> None:
    told = report.table([LINE, LINE, FAILED, ABSENT])
    assert "1.10× (0.90-1.50)" in told
    assert "≥ 1×" in told
    assert "FAILED" in told
    assert "1 refused" in told
    assert "and more" not in told
    assert "n/a (404)" in told
    assert told.count("A note.") == 1


def test_the_document_is_json_and_has_every_value() -> None:
    options = parse(["--quick", "--json", "x.json", "--only", "accept"], FIGURES)
    document = report.document([LINE, FAILED], FACTS, options, {"accept": "clean"}, 1.26)
    read = json.loads(json.dumps(document))
    assert read["figures"][0]["values"] == [90, 300, 110]
    assert (read["figures"][0]["ratioMin"], read["figures"][0]["ratioMax"]) == (0.9, 1.5)
    assert read["figures"][1]["fault"] == FAILED.fault
    assert read["options"]["only"] == ["accept"]
    assert read["options"]["sizes"]["repeats"] == QUICK.repeats
    assert (read["machine"], read["seconds"]) == (FACTS, 1.3)


@pytest.mark.parametrize(
    ("line", "clean", "strict", "status"),
    [
        (LINE, True, True, 0),
        (LINE, False, False, 1),
        (FAILED, True, False, 1),
        (ABSENT, True, True, 0),
        (replace(LINE, target=Target(9)), True, False, 0),
        (replace(LINE, target=Target(9)), True, True, 1),
    ],
)
def test_exit_status(line: Line, clean: bool, strict: bool, status: int) -> None:
    assert report.exit_status([line], clean=clean, strict=strict) == status


def test_options() -> None:
    assert parse([], FIGURES).only == tuple(FIGURES)
    assert parse([], FIGURES).sizes == FULL
    chosen = parse(["--only", "read, settle,read", "--repeats", "7"], FIGURES)
    assert (chosen.only, chosen.sizes.repeats) == (("read", "settle"), 7)


@pytest.mark.parametrize("wrong", [["--only", "speed"], ["--only", ""], ["--repeats", "0"]])
def test_wrong_options_are_wrong_usage(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        parse(wrong, FIGURES)
    assert left.value.code == 2
    assert capsys.readouterr().err


def test_the_machine_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"rev-parse": "abc", "status": " M file"}
    monkeypatch.setattr(machine, "_git", lambda *arguments: said[arguments[0]])
    assert machine.commit() == "abc dirty"
    assert FACTS.keys() == machine.describe("18.6").keys()
    said["status"] = ""
    assert machine.commit() == "abc"


def test_every_statement_of_the_reference_settles_one_payment_in_seven() -> None:
    script = (Path(__file__).parents[1] / "bench" / "pgbench.sql").read_text()
    statements = script.partition("BEGIN;")[2].partition("COMMIT;")[0].strip().splitlines()
    assert len(statements) == 7
