"""Refunds and disputes of the same payments at the same moment, on PostgreSQL: nothing is paid out
twice."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Final

import pytest

from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_core.domain.card_networks import DEFAULT_NETWORK
from atomic_core.domain.errors import Conflict
from atomic_core.domain.lists import DisputeFilter, RefundFilter
from atomic_core.domain.payments import Payment, Status
from atomic_core.domain.refunds import NewRefund
from support import DEPTH, add_merchant, build_application, build_payment, open_account

ROUNDS: Final = 25 * DEPTH
RACERS: Final = 5
GUARD_SECONDS: Final = 60
"""How long a race may take on a busy machine; no promise about speed."""
AMOUNT: Final = 100


@pytest.fixture
def applications(
    database_url: str, settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[Application]]:
    """One per racer, as one per process."""
    monkeypatch.setattr("atomic_core.domain.card_networks.BACK_OFF_BASE", timedelta(0))
    monkeypatch.setattr("atomic_core.use_cases.dispute_processing.POSTPONEMENT", timedelta(0))
    # The race decides, not the end of a wait.
    monkeypatch.setattr("atomic_core.use_cases.dispute_processing.MAX_REFUND_WAIT", 10_000)
    changes = {"DATABASE_POOL": str(RACERS + 1), "LOCK_TIMEOUT_SECONDS": str(GUARD_SECONDS)}
    store = PostgresStore(Connections(settings_for(database_url, **changes)))
    yield [build_application(store.begin, lease=timedelta(0)) for _ in range(RACERS)]
    store.close()


def test_refund_and_dispute_never_pay_out_more_than_was_captured(
    applications: list[Application],
) -> None:
    first, *_ = applications
    begin = first.payments.record.begin
    merchant_id = add_merchant(begin)
    account_id = open_account(begin, merchant_id)
    outcomes: Counter[str] = Counter()
    # Fees of disputes do not let refunds fail.
    expected = 1_000_000
    first.payments.record(build_payment(merchant_id, expected))
    first.settlement.settle()
    with ThreadPoolExecutor(RACERS) as threads:
        for number in range(ROUNDS):
            payment = first.payments.record(
                build_payment(merchant_id, AMOUNT, source="tok_disputed")
            )
            first.settlement.settle()
            if number % 2:
                # It is there before the dispute, and settled during the race.
                refund(first, payment)
            start = threading.Barrier(RACERS)
            racers = [
                partial(refund, applications[0], payment),
                partial(refund, applications[1], payment),
                partial(process, applications[2]),
                partial(process, applications[3]),
                partial(applications[4].settlement.settle),
            ]
            runs = [threads.submit(run_at_signal, start, racer) for racer in racers]
            for run in runs:
                run.result(GUARD_SECONDS)
            for _ in range(20):
                if not first.settlement.settle() + process(first):
                    break
            refunds = first.refunds.list_by_payment(
                merchant_id, RefundFilter(payment_id=payment.id), None, 10
            )
            statuses = [each.status for each in refunds.items]
            assert set(statuses) <= {Status.SUCCESS, Status.FAILED}
            refunded = sum(
                each.money.amount for each in refunds.items if each.status is Status.SUCCESS
            )
            found = first.disputes.list(
                merchant_id, DisputeFilter(payment_id=payment.id), None, 10
            ).items
            assert len(found) <= 1
            disputed = sum(dispute.money.amount for dispute in found)
            assert refunded + disputed <= AMOUNT
            fees = sum(dispute.fee for dispute in found)
            expected += AMOUNT - refunded - disputed - fees
            outcomes["refunded" if refunded else "disputed"] += 1
    assert first.accounts.get(merchant_id, account_id).balance == expected
    report = first.ledger.verify()
    assert report.is_clean, report.findings
    assert len(outcomes) == 2, outcomes


def run_at_signal(start: threading.Barrier, racer: Callable[[], object]) -> object:
    start.wait(GUARD_SECONDS)
    return racer()


def refund(application: Application, payment: Payment) -> None:
    try:
        application.refunds.create(NewRefund(payment.merchant_id, payment.id, AMOUNT))
    except Conflict:
        return


def process(application: Application) -> int:
    problems: list[str] = []
    processed = application.disputes.process(
        DEFAULT_NETWORK, lambda _, problem: problems.append(problem)
    )
    assert problems == []
    return processed
