"""Delivers what is due, and logs it: ids and counts, never bodies or secrets."""

from collections.abc import Callable
from datetime import timedelta

import structlog

from atomic_core.application import Application
from atomic_core.domain.webhooks import DeliveryStatus, RoundRecord
from atomic_core.use_cases.deliver_webhooks import NO_DELAY

_log = structlog.get_logger(__name__)


def deliver_and_log(
    application: Application,
    process: str,
    should_stop: Callable[[], bool],
    overdue_by: timedelta = NO_DELAY,
    on_round: Callable[[RoundRecord], None] = lambda _: None,
) -> int:
    """Deliver what is due; return how many webhooks were sent. `on_round` is called for each round
    as well. Raises AtomicError."""

    def log_round(record: RoundRecord) -> None:
        on_round(record)
        statuses = [outcome.status for outcome in record.outcomes]
        if statuses:
            _log.info(
                "webhooks sent",
                by=process,
                endpoint=str(record.claim.endpoint.id),
                succeeded=statuses.count(DeliveryStatus.SUCCEEDED),
                to_retry=statuses.count(DeliveryStatus.PENDING),
                failed=statuses.count(DeliveryStatus.FAILED),
                position=record.position,
            )
        for outcome in record.outcomes:
            if outcome.result.exception is not None:
                _log.error(
                    "webhook could not be sent",
                    by=process,
                    endpoint=str(record.claim.endpoint.id),
                    event=str(outcome.due.event_id),
                    problem=repr(outcome.result.exception),
                )
        if record.disabled_reason:
            _log.warning(
                "webhook endpoint disabled",
                endpoint=str(record.claim.endpoint.id),
                merchant=str(record.claim.endpoint.merchant_id),
                reason=record.disabled_reason.value,
            )

    return application.webhooks.deliver(overdue_by, should_stop, log_round)
