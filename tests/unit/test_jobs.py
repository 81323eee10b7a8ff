"""What the worker does when the bell rings."""

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


def pay(application: Application, count: int, source: str = "tok_visa") -> list[str]:
    merchant_id = add_merchant(application.payments.record.begin)
    made = [
        application.payments.record(build_payment(merchant_id, source=source)) for _ in range(count)
    ]
    return [str(payment.id) for payment in made]


def is_notified(application: Application) -> bool:
    assert isinstance(application.job_queue, MemoryJobQueue)
    return Job.SETTLE in application.job_queue.notified_jobs


def statuses(application: Application) -> list[Status]:
    with application.payments.record.begin() as work:
        rows = work.payments.session.tables.payments.rows.values()  # type: ignore[attr-defined]
        return [row.item.status for row in rows]


def test_it_settles_and_says_so(application: Application) -> None:
    ids = pay(application, 3)
    with capture_logs() as lines:
        jobs.settle()
    assert statuses(application) == [Status.SUCCESS] * 3
    assert [line["event"] for line in lines] == ["batch settled", "batch settled"]
    assert [line["succeeded"] for line in lines] == [2, 1]
    assert [id for line in lines for id in line["payments"]] == ids
    assert not any("tok_" in str(line) for line in lines)


def test_the_bell_is_answered_before_work_is_looked_for(application: Application) -> None:
    pay(application, 1)
    seen: list[bool] = []
    settler = application.settlement.settle

    def looking(**arguments: object) -> int:
        seen.append(is_notified(application))
        return 0

    looking.batch_size = settler.batch_size  # type: ignore[attr-defined]
    jobs.set_job_context(with_use_cases(application, {"settlement.settle": looking}))
    assert is_notified(application)
    jobs.settle()
    assert seen == [False]


def test_it_rings_again_when_there_may_be_more(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atomic_core.use_cases.settlement.MAX_BATCHES", 2)
    monkeypatch.setattr("atomic_worker.jobs.MAX_BATCHES", 2)
    pay(application, 5)
    jobs.settle()
    assert is_notified(application)
    jobs.settle()
    assert not is_notified(application)
    assert set(statuses(application)) == {Status.SUCCESS}


def test_asked_to_stop_it_leaves_after_the_batch_in_hand(application: Application) -> None:
    pay(application, 5)
    jobs.set_job_context(application, should_stop=lambda: True)
    jobs.settle()
    assert statuses(application).count(Status.SUCCESS) == 2
    assert statuses(application).count(Status.PENDING) == 3
    assert is_notified(application), "for another worker"


def failing(application: Application, error: Exception) -> Application:
    def settle(**arguments: object) -> int:
        raise error

    return with_use_cases(application, {"settlement.settle": settle})


def test_a_database_that_is_away_is_logged_and_left_to_the_sweeper(
    application: Application,
) -> None:
    jobs.set_job_context(failing(application, StorageUnavailable()))
    with capture_logs() as lines:
        jobs.settle()
    assert [line["event"] for line in lines] == ["settlement postponed"]


def test_a_bug_is_not_hidden(application: Application) -> None:
    jobs.set_job_context(failing(application, StorageRefused("entries_balance")))
    with pytest.raises(StorageRefused):
        jobs.settle()
