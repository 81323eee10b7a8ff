"""An effect and the record of its answer are one commit, on both stores."""

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


def payments_in(application: Application) -> int:
    return application.ledger.verify().payments


def test_repeat_returns_first_response_without_effect(store: Store) -> None:
    application, merchant_id = build_application(store.begin), add_merchant(store.begin)
    first, second = pay_once(application, merchant_id), pay_once(application, merchant_id)
    assert (first.replayed, second.replayed) == (False, True)
    assert first.response == second.response
    assert payments_in(application) == 1


def test_concurrent_repeats_have_one_effect(store: Store) -> None:
    application, merchant_id = build_application(store.begin), add_merchant(store.begin)
    answers = run_concurrently([lambda: pay_once(application, merchant_id)] * 8)
    assert len({answer.response for answer in answers}) == 1
    assert [answer.replayed for answer in answers].count(False) == 1
    assert payments_in(application) == 1


def test_reused_key_is_refused_without_effect(store: Store) -> None:
    application, merchant_id = build_application(store.begin), add_merchant(store.begin)
    pay_once(application, merchant_id)
    with pytest.raises(IdempotencyKeyReused):
        pay_once(application, merchant_id, amount=101)
    assert payments_in(application) == 1


def test_failure_to_render_response_rolls_back_effect(store: Store) -> None:
    application, merchant_id = build_application(store.begin), add_merchant(store.begin)

    def fail(payment: Payment) -> StoredResponse:
        raise KeyError(payment.id)

    with pytest.raises(KeyError):
        pay_once(application, merchant_id, render=fail)
    assert payments_in(application) == 0
    assert not pay_once(application, merchant_id).replayed


def test_failed_commit_leaves_neither_effect_nor_response(store: Store) -> None:
    application, merchant_id = build_application(store.begin), add_merchant(store.begin)
    failing = build_application(failing_commit(store))
    with pytest.raises(StorageUnavailable):
        pay_once(failing, merchant_id)
    assert payments_in(application) == 0
    assert not pay_once(application, merchant_id).replayed


def failing_commit(store: Store) -> UnitOfWorkFactory:
    """A Begin whose units of work cannot commit."""

    @contextmanager
    def begin() -> Iterator[UnitOfWork]:
        with store.begin() as work:

            def commit() -> None:
                raise StorageUnavailable

            work.commit = commit
            yield work

    return begin


class Listening:
    """A bell that looks, at the moment it rings, for what it is rung for."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.heard: list[int] = []

    def notify(self, job: Job) -> None:
        with self.store.begin() as work:
            self.heard.append(work.ledger.verify().payments)

    def clear(self, job: Job) -> None:
        raise AssertionError("nobody settles here")


@pytest.mark.parametrize("once", [True, False], ids=["with a key", "without"])
def test_worker_is_notified_after_commit(store: Store, once: bool) -> None:
    merchant_id = add_merchant(store.begin)
    bell = Listening(store)
    application = build_application(store.begin, job_queue=bell)
    if once:
        pay_once(application, merchant_id)
        pay_once(application, merchant_id)
    else:
        application.payments.record(build_payment(merchant_id))
    assert bell.heard == [1]
