"""The settle job."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from atomic_adapters.memory.services import MemoryJobQueue
from atomic_adapters.wiring import in_memory
from atomic_core.application import Application
from atomic_core.domain.errors import StorageRefused, StorageUnavailable
from atomic_core.domain.payments import Status
from atomic_core.ports.job_queue import Job
from atomic_worker import jobs
from support import add_merchant, build_payment, with_use_cases


@pytest.fixture
def application() -> Iterator[Application]:
    application = in_memory(batch_size=2)
    jobs.set_job_context(application)
    yield application
    jobs._current_context.clear()


def record_payments(application: Application, count: int, source: str = "tok_visa") -> list[str]:
    merchant_id = add_merchant(application.payments.record.begin)
    payments = [
        application.payments.record(build_payment(merchant_id, source=source)) for _ in range(count)
    ]
    return [str(payment.id) for payment in payments]


def is_notified(application: Application) -> bool:
    assert isinstance(application.job_queue, MemoryJobQueue)
    return Job.SETTLE in application.job_queue.notified_jobs


def list_statuses(application: Application) -> list[Status]:
    with application.payments.record.begin() as work:
        rows = work.payments.session.tables.payments.rows.values()  # type: ignore[attr-defined]
        return [row.item.status for row in rows]


def test_job_settles_and_logs_batches(application: Application) -> None:
    ids = record_payments(application, 3)
    with capture_logs() as lines:
        jobs.settle()
    assert list_statuses(application) == [Status.SUCCESS] * 3
    assert [line["event"] for line in lines] == ["batch settled", "batch settled"]
    assert [line["succeeded"] for line in lines] == [2, 1]
    assert [id for line in lines for id in line["payments"]] == ids
    assert not any("tok_" in str(line) for line in lines)


def test_wakeup_is_cleared_before_payments_are_claimed(application: Application) -> None:
    record_payments(application, 1)
    notified_at_claim: list[bool] = []
    batch_size = application.settlement.settle.batch_size

    def settle(**arguments: object) -> int:
        notified_at_claim.append(is_notified(application))
        return 0

    settle.batch_size = batch_size  # type: ignore[attr-defined]
    jobs.set_job_context(with_use_cases(application, {"settlement.settle": settle}))
    assert is_notified(application)
    jobs.settle()
    assert notified_at_claim == [False]


def test_job_notifies_again_after_its_last_batch(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atomic_core.use_cases.settlement.MAX_BATCHES", 2)
    monkeypatch.setattr("atomic_worker.jobs.MAX_BATCHES", 2)
    record_payments(application, 5)
    jobs.settle()
    assert is_notified(application)
    jobs.settle()
    assert not is_notified(application)
    assert set(list_statuses(application)) == {Status.SUCCESS}


def test_stop_request_ends_job_after_current_batch(application: Application) -> None:
    record_payments(application, 5)
    jobs.set_job_context(application, should_stop=lambda: True)
    jobs.settle()
    assert list_statuses(application).count(Status.SUCCESS) == 2
    assert list_statuses(application).count(Status.PENDING) == 3
    assert is_notified(application), "the remaining payments need a worker"


def with_failing_settlement(application: Application, error: Exception) -> Application:
    def settle(**arguments: object) -> int:
        raise error

    return with_use_cases(application, {"settlement.settle": settle})


def test_unavailable_database_is_logged_and_job_succeeds(
    application: Application,
) -> None:
    jobs.set_job_context(with_failing_settlement(application, StorageUnavailable()))
    with capture_logs() as lines:
        jobs.settle()
    assert [line["event"] for line in lines] == ["settlement postponed"]


def test_permanent_error_is_raised(application: Application) -> None:
    jobs.set_job_context(with_failing_settlement(application, StorageRefused("entries_balance")))
    with pytest.raises(StorageRefused):
        jobs.settle()
