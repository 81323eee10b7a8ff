"""What follows from an attempt: retries, the breaker, and disabling."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomic_core.domain.events import STREAM_TYPES, EventType
from atomic_core.domain.webhooks import (
    BREAKER_FAILURES,
    FAILING_PERIOD,
    MAX_PAUSE,
    MAX_RETRY_AFTER,
    MIN_PAUSE,
    RETRY_DELAYS,
    DeliveryStatus,
    DisabledReason,
    DueDelivery,
    Health,
    WebhookResult,
    decide_outcome,
    expand_event_types,
    find_disabled_reason,
    generate_secret,
    update_health,
)

AT = datetime(2026, 11, 22, tzinfo=UTC)
OK = WebhookResult(204, None, 1, "", None)
GONE = WebhookResult(410, "status 410", 1, "", None)


def fail(retry_after: int | None = None) -> WebhookResult:
    return WebhookResult(503, "status 503", 1, "", retry_after)


def due(retries: int) -> DueDelivery:
    return DueDelivery(UUID(int=1), 1, "https://shop.example/", retries)


def test_schedule_is_the_documented_one() -> None:
    hours = [delay / timedelta(hours=1) for delay in RETRY_DELAYS[4:]]
    assert [delay.total_seconds() for delay in RETRY_DELAYS[:4]] == [5, 30, 300, 1_800]
    assert hours == [2, 5, 10, 14, 20, 24]


@given(retries=st.integers(0, len(RETRY_DELAYS) - 1), jitter=st.floats(0, 1))
def test_failure_is_retried_after_its_delay_with_jitter(retries: int, jitter: float) -> None:
    outcome = decide_outcome(due(retries), EventType.SUCCEEDED, AT, fail(), jitter)
    assert outcome.status is DeliveryStatus.PENDING
    assert outcome.next_attempt_at
    delay = outcome.next_attempt_at - AT
    assert RETRY_DELAYS[retries] <= delay <= RETRY_DELAYS[retries] * 1.1


def test_jitter_spreads_retries() -> None:
    times = {
        decide_outcome(due(3), EventType.SUCCEEDED, AT, fail(), number / 10).next_attempt_at
        for number in range(10)
    }
    assert len(times) == 10


def test_last_failure_is_a_dead_letter() -> None:
    outcome = decide_outcome(due(len(RETRY_DELAYS)), EventType.SUCCEEDED, AT, fail(), 0)
    assert (outcome.status, outcome.next_attempt_at) == (DeliveryStatus.FAILED, None)


@pytest.mark.parametrize(
    ("seconds", "delay"),
    [
        (0, RETRY_DELAYS[0]),
        (60, timedelta(seconds=60)),
        (10**12, MAX_RETRY_AFTER),
    ],
)
def test_retry_after_is_honoured_up_to_a_day(seconds: int, delay: timedelta) -> None:
    outcome = decide_outcome(due(0), EventType.SUCCEEDED, AT, fail(seconds), 0)
    assert outcome.next_attempt_at == AT + delay


def test_success_and_410_end_a_delivery() -> None:
    for result, status in ((OK, DeliveryStatus.SUCCEEDED), (GONE, DeliveryStatus.FAILED)):
        outcome = decide_outcome(due(0), EventType.SUCCEEDED, AT, result, 0)
        assert (outcome.status, outcome.next_attempt_at) == (status, None)


def test_breaker_opens_at_the_fifth_failure_and_doubles_its_pause() -> None:
    health, pauses = Health(), []
    for _ in range(15):
        health = update_health(health, fail(), AT)
        pauses.append(health.paused_until and health.paused_until - AT)
    assert pauses[: BREAKER_FAILURES - 1] == [None] * (BREAKER_FAILURES - 1)
    assert pauses[BREAKER_FAILURES - 1 : BREAKER_FAILURES + 2] == [
        MIN_PAUSE,
        2 * MIN_PAUSE,
        4 * MIN_PAUSE,
    ]
    assert pauses[-1] == MAX_PAUSE
    assert update_health(health, OK, AT) == Health()


def test_endpoint_is_disabled_after_five_days_without_a_success() -> None:
    health = update_health(Health(), fail(), AT)
    later = update_health(health, fail(), AT + timedelta(days=4))
    assert later.failing_since == AT
    almost = AT + FAILING_PERIOD - timedelta(seconds=1)
    assert find_disabled_reason(later, [fail()], almost) is None
    assert find_disabled_reason(later, [fail()], AT + FAILING_PERIOD) is DisabledReason.FAILING
    assert find_disabled_reason(Health(), [OK, GONE], AT) is DisabledReason.GONE
    assert find_disabled_reason(Health(), [OK], AT) is None


def test_event_types_expand_to_those_of_the_stream() -> None:
    assert expand_event_types(()) == expand_event_types(("*",)) == STREAM_TYPES
    assert expand_event_types(("refund.*", "payment.failed")) == {
        EventType.FAILED,
        *(type for type in STREAM_TYPES if type.startswith("refund.")),
    }
    for unknown in ("payment.processing", "pay.*", "payment", "", ".*", "payment.*.*"):
        with pytest.raises(ValueError, match=r".*"):
            expand_event_types((unknown,))


def test_secrets_are_different_and_have_the_standard_form() -> None:
    first, second = generate_secret(), generate_secret()
    assert first != second
    assert first.startswith("whsec_")
    assert len(first) == len("whsec_") + 44
