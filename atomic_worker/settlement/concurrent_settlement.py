"""Settles two batches at once in one process."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta

from atomic_core.domain.errors import AtomicError
from atomic_core.use_cases.settlement import NO_DELAY, SettledBatch, SettlePayments
from atomic_worker.settlement.batch_log import (
    BatchLog,
    StoppedBetweenBatches,
    ignore_batch,
)


def settle_concurrently(
    settle: SettlePayments,
    process: str,
    should_stop: Callable[[], bool],
    overdue_by: timedelta = NO_DELAY,
    observe: Callable[[str, SettledBatch], None] = ignore_batch,
) -> int:
    """Settle what is due at the card network of `settle`; return how many payments and refunds
    were claimed. `observe` is called with the name of the network and each batch.

    Posting locks the World account, so batches are posted one after another. While one batch is
    posted, the next can be claimed and its network calls made: after a full batch, a second
    thread settles concurrently with this one. The store sees two independent workers.

    Returns or raises only when both threads have finished. Raises StoppedBetweenBatches and what
    SettlePayments raises; of two errors, the one that is not transient.
    """
    helper_results: list[Future[int]] = []
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="settle") as helper:
        log_batch = BatchLog(process, should_stop, settle, observe)

        def on_batch(batch: SettledBatch) -> None:
            log_batch(batch)
            is_full = batch.claimed >= settle.batch_size
            if is_full and all(result.done() for result in helper_results):
                helper_log = BatchLog(process, should_stop, settle, observe)
                helper_results.append(
                    helper.submit(settle, overdue_by=overdue_by, on_batch=helper_log)
                )

        own_result: Future[int] = Future()
        try:
            own_result.set_result(settle(overdue_by=overdue_by, on_batch=on_batch))
        except Exception as error:  # noqa: BLE001 - raised below, when the helper has finished
            own_result.set_exception(error)
    results = [own_result, *helper_results]
    errors = [error for result in results if (error := result.exception())]
    if errors:
        raise min(errors, key=_is_transient)
    return sum(result.result() for result in results)


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, StoppedBetweenBatches) or (
        isinstance(error, AtomicError) and error.retryable
    )
