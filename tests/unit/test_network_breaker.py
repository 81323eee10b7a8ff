"""The circuit breaker of a card network."""

from dataclasses import dataclass

import pytest

from atomic_core.domain.card_networks import NetworkResponse, Verdict
from atomic_core.use_cases.network_breaker import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    THRESHOLD,
    NetworkBreaker,
)

APPROVED = NetworkResponse(Verdict.APPROVED)
UNDECIDED = NetworkResponse(Verdict.UNKNOWN)
SILENCE = NetworkResponse(Verdict.UNKNOWN, is_answered=False)
BATCH = 256


@dataclass
class Time:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def breaker(time: Time) -> NetworkBreaker:
    return NetworkBreaker(monotonic=time)


def test_closed_breaker_allows_whole_batches(breaker: NetworkBreaker) -> None:
    breaker.record([APPROVED] * 100)
    assert breaker.limit(BATCH) == BATCH
    assert breaker.get_wait() is None


def test_requests_without_an_answer_open_it(breaker: NetworkBreaker) -> None:
    for _ in range(THRESHOLD - 1):
        breaker.record([SILENCE])
    assert breaker.limit(BATCH) == BATCH
    breaker.record([SILENCE])
    assert breaker.limit(BATCH) == 0
    assert breaker.get_wait() == FIRST_PAUSE.total_seconds()


def test_batch_that_is_mostly_answered_resets_the_count(breaker: NetworkBreaker) -> None:
    for _ in range(5):
        breaker.record([SILENCE] * (THRESHOLD - 1))
        breaker.record([APPROVED, SILENCE])
    assert not breaker.is_open


def test_few_answers_do_not_keep_it_closed(breaker: NetworkBreaker) -> None:
    breaker.record([APPROVED, *[SILENCE] * THRESHOLD])
    assert breaker.is_open


def test_answers_that_decide_nothing_do_not_open_it(breaker: NetworkBreaker) -> None:
    breaker.record([UNDECIDED] * 1_000)
    assert not breaker.is_open


def test_requests_that_were_not_made_do_not_count(breaker: NetworkBreaker) -> None:
    """They neither open it nor hide that the others got no answer."""
    not_made = NetworkResponse(Verdict.NOT_SENT, is_answered=None)
    breaker.record([not_made] * 1_000)
    assert not breaker.is_open
    breaker.record([SILENCE] * THRESHOLD + [not_made] * 1_000)
    assert breaker.is_open


def test_open_breaker_tries_one_payment_after_each_pause(
    breaker: NetworkBreaker, time: Time
) -> None:
    breaker.record([SILENCE] * THRESHOLD)
    pauses = []
    for _ in range(10):
        wait = breaker.get_wait()
        assert wait is not None
        pauses.append(wait)
        time.now += wait
        assert [breaker.limit(BATCH), breaker.limit(BATCH)] == [1, 0]
        breaker.record([SILENCE])
    assert pauses == [1, 2, 4, 8, 16, 32, *[LONGEST_PAUSE.total_seconds()] * 4]


def test_answer_closes_it(breaker: NetworkBreaker, time: Time) -> None:
    breaker.record([SILENCE] * THRESHOLD)
    time.now += 1
    assert breaker.limit(BATCH) == 1
    breaker.record([APPROVED])
    assert breaker.limit(BATCH) == BATCH


def test_trial_that_finds_nothing_due_is_repeated_after_a_pause(
    breaker: NetworkBreaker, time: Time
) -> None:
    breaker.record([SILENCE] * THRESHOLD)
    time.now += 1
    assert breaker.limit(BATCH) == 1
    breaker.record([])
    time.now += 1
    assert breaker.limit(BATCH) == 1


def test_report_is_due_while_it_is_open_and_once_when_it_closes(
    breaker: NetworkBreaker, time: Time
) -> None:
    assert not breaker.take_report()
    breaker.record([SILENCE] * THRESHOLD)
    assert [breaker.take_report(), breaker.take_report()] == [True, True]
    time.now += 1
    breaker.limit(BATCH)
    breaker.record([APPROVED])
    assert [breaker.take_report(), breaker.take_report()] == [True, False]


def test_each_change_is_reported_once(breaker: NetworkBreaker, time: Time) -> None:
    assert breaker.take_change() is None
    breaker.record([SILENCE] * THRESHOLD)
    assert [breaker.take_change(), breaker.take_change()] == [True, None]
    time.now += 1
    breaker.limit(BATCH)
    breaker.record([APPROVED])
    assert [breaker.take_change(), breaker.take_change()] == [False, None]
