"""A command's effect and its stored response are one commit, on both stores."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest

from atomic_core.application import Application
from atomic_core.domain.errors import IdempotencyKeyReused, StorageUnavailable
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.payments import Payment
from atomic_core.ports.job_queue import Job
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.idempotency import IdempotentResult
from support import (
    Store,
    add_merchant,
    build_application,
    build_payment,
    build_request,
    run_concurrently,
)


def render(payment: Payment) -> StoredResponse:
    return StoredResponse(202, str(payment.id).encode(), f"/payments/{payment.id}")


def pay_once(
    application: Application,
    merchant_id: UUID,
    amount: int = 100,
    render: Callable[[Payment], StoredResponse] = render,
) -> IdempotentResult:
    request = build_request(merchant_id, fingerprint=amount.to_bytes(32, "big"))
    return application.idempotency.perform_once(
        request, application.payments.record, build_payment(merchant_id, amount), render
    )


def count_payments(application: Application) -> int:
    return application.ledger.verify().payments


def test_repeat_returns_first_response_without_effect(store: Store) -> None:
    application, merchant_id = build_application(store.begin), add_merchant(store.begin)
    first, second = pay_once(application, merchant_id), pay_once(application, merchant_id)
    assert (first.replayed, second.replayed) == (False, True)
    assert first.response == second.response
    assert count_payments(application) == 1


def test_concurrent_repeats_have_one_effect(store: Store) -> None:
    application, merchant_id = build_application(store.begin), add_merchant(store.begin)
    results = run_concurrently([lambda: pay_once(application, merchant_id)] * 8)
    assert len({result.response for result in results}) == 1
    assert [result.replayed for result in results].count(False) == 1
    assert count_payments(application) == 1


def test_reused_key_is_refused_without_effect(store: Store) -> None:
    application, merchant_id = build_application(store.begin), add_merchant(store.begin)
    pay_once(application, merchant_id)
    with pytest.raises(IdempotencyKeyReused):
        pay_once(application, merchant_id, amount=101)
    assert count_payments(application) == 1


def test_failure_to_render_response_rolls_back_effect(store: Store) -> None:
    application, merchant_id = build_application(store.begin), add_merchant(store.begin)

    def fail(payment: Payment) -> StoredResponse:
        raise KeyError(payment.id)

    with pytest.raises(KeyError):
        pay_once(application, merchant_id, render=fail)
    assert count_payments(application) == 0
    assert not pay_once(application, merchant_id).replayed


def test_failed_commit_leaves_neither_effect_nor_response(store: Store) -> None:
    application, merchant_id = build_application(store.begin), add_merchant(store.begin)
    failing = build_application(fail_commits(store))
    with pytest.raises(StorageUnavailable):
        pay_once(failing, merchant_id)
    assert count_payments(application) == 0
    assert not pay_once(application, merchant_id).replayed


def fail_commits(store: Store) -> UnitOfWorkFactory:
    """Begins units of work whose commits fail."""

    @contextmanager
    def begin() -> Iterator[UnitOfWork]:
        with store.begin() as work:

            def commit() -> None:
                raise StorageUnavailable

            work.commit = commit
            yield work

    return begin


class CountingJobQueue:
    """Counts the committed payments whenever it is notified."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.counts: list[int] = []

    def notify(self, job: Job) -> None:
        with self.store.begin() as work:
            self.counts.append(work.ledger.verify().payments)

    def clear(self, job: Job) -> None:
        raise AssertionError("no worker runs in this test")


@pytest.mark.parametrize("has_key", [True, False], ids=["with a key", "without"])
def test_worker_is_notified_after_commit(store: Store, has_key: bool) -> None:
    merchant_id = add_merchant(store.begin)
    job_queue = CountingJobQueue(store)
    application = build_application(store.begin, job_queue=job_queue)
    if has_key:
        pay_once(application, merchant_id)
        pay_once(application, merchant_id)
    else:
        application.payments.record(build_payment(merchant_id))
    assert job_queue.counts == [1]
