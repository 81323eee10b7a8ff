"""Settling in two lanes of one process."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta

from atomic_core.application import Application
from atomic_core.domain.errors import AtomicError
from atomic_core.use_cases.settlement import NO_DELAY, SettledBatch
from atomic_worker.settlement.batch_log import BatchLog, StoppedBetweenBatches


def settle_concurrently(
    application: Application,
    by: str,
    stopping: Callable[[], bool],
    overdue_by: timedelta = NO_DELAY,
) -> int:
    """Settle what is due; return how many payments were claimed.

    Posting holds the World account, so batches are posted one after the other. But while one
    is, the next can be claimed and the card network asked: when a batch was full, a second
    thread settles beside this one. To the store they are two settlers like any two.

    Returns or raises only when both lanes have ended. Raises StoppedBetweenBatches, and what
    settling raises; of two errors the one that does not pass by itself.
    """
    settler = application.settlement.settle
    helps: list[Future[int]] = []
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="settle") as second_lane:
        log = BatchLog(by, stopping)

        def done(batch: SettledBatch) -> None:
            log(batch)
            full = batch.claimed >= settler.batch_size
            if full and all(help.done() for help in helps):
                their_log = BatchLog(by, stopping)
                helps.append(second_lane.submit(settler, overdue_by=overdue_by, on_batch=their_log))

        own: Future[int] = Future()
        try:
            own.set_result(settler(overdue_by=overdue_by, on_batch=done))
        except Exception as error:  # noqa: BLE001 - raised again below, when the other has ended
            own.set_exception(error)
    outcomes = [own, *helps]
    errors = [error for outcome in outcomes if (error := outcome.exception())]
    if errors:
        raise min(errors, key=_is_passing)
    return sum(outcome.result() for outcome in outcomes)


def _is_passing(error: BaseException) -> bool:
    return isinstance(error, StoppedBetweenBatches) or (
        isinstance(error, AtomicError) and error.retryable
    )
