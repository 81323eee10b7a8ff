"""The fault suite's card network and the comparison of its books with ours."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from atomic_core.application import Application
from atomic_core.domain.card_networks import NetworkResponse, Verdict
from atomic_core.domain.payments import Payment, Status, Step
from atomic_core.domain.refunds import NewRefund
from atomic_core.domain.settlement import Claim
from fault.auditor import check_network_truth
from fault.failpoint_flags import FailpointFlags
from fault.injection import ALL_SETTLED
from fault.network_books import (
    BOOKS_FILE,
    DOWN_FLAG,
    LOSSY_SOURCE,
    SILENT_FLAG,
    LossyCardNetwork,
    NetworkBooks,
)
from fault.oracle import Oracle
from support import IDS, NOW, Store, add_merchant, build_application, build_payment

APPROVED = NetworkResponse(Verdict.APPROVED)

LOSSY_PAYMENTS = 40
"""So many that each fate of a request occurs (the chance that one does not is below 30 %; together
with the repeated requests it is far lower)."""


@pytest.fixture
def flags(tmp_path: Path) -> FailpointFlags:
    return FailpointFlags(tmp_path)


@pytest.fixture
def books(tmp_path: Path) -> NetworkBooks:
    return NetworkBooks(tmp_path / BOOKS_FILE)


@pytest.fixture
def application(postgres_store: Store, flags: FailpointFlags) -> Application:
    return build_application(postgres_store.begin, card_network=LossyCardNetwork(flags))


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def build_claim(source: str = "tok_visa") -> Claim:
    id = IDS.new_id()
    return Claim(id, 1, 0, id, id, 700, "USD", source)


def pay(application: Application, merchant_id: Any, source: str = "tok_visa") -> Payment:
    payment = application.payments.record(build_payment(merchant_id, source=source))
    application.settlement.settle()
    return payment


def find_violations(connection: psycopg.Connection[Any], books: NetworkBooks) -> tuple[str, ...]:
    oracle = Oracle()
    check_network_truth(connection, books, oracle)
    assert oracle.check_counts["network"] > 0
    return tuple(oracle.violations)


def test_repeated_request_gets_the_first_response_and_has_no_effect(
    flags: FailpointFlags, books: NetworkBooks
) -> None:
    network, claim = LossyCardNetwork(flags), build_claim()
    assert network.inquire([claim]) == [NetworkResponse(Verdict.NOT_FOUND)]
    for _ in range(2):
        assert network.authorize([claim]) == [APPROVED]
    assert network.inquire([claim]) == [APPROVED]
    assert books.read_truth() == {str(claim.id): (0, 700, 0)}


def test_silent_network_processes_and_unreachable_network_does_not(
    flags: FailpointFlags, books: NetworkBooks
) -> None:
    network, processed, unsent = LossyCardNetwork(flags), build_claim(), build_claim()
    (flags.folder / SILENT_FLAG).touch()
    assert network.authorize([processed]) == [NetworkResponse(Verdict.UNKNOWN)]
    (flags.folder / DOWN_FLAG).touch()
    assert network.authorize([unsent]) == [NetworkResponse(Verdict.NOT_SENT)]
    assert books.read_truth() == {str(processed.id): (0, 700, 0)}


def test_lossy_payments_end_as_the_network_says(
    application: Application,
    postgres_store: Store,
    connection: psycopg.Connection[Any],
    books: NetworkBooks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("atomic_core.domain.card_networks.BACK_OFF_BASE", NOW)
    merchant_id = add_merchant(postgres_store.begin)
    payments = [
        application.payments.record(build_payment(merchant_id, source=LOSSY_SOURCE))
        for _ in range(LOSSY_PAYMENTS)
    ]
    while connection.execute(ALL_SETTLED).fetchone() != (True,):
        application.settlement.settle()
    statuses = {application.payments.get(merchant_id, payment.id).status for payment in payments}
    assert statuses == {Status.SUCCESS}
    assert find_violations(connection, books) == ()


def test_money_that_only_the_network_has_is_a_violation(
    application: Application,
    postgres_store: Store,
    connection: psycopg.Connection[Any],
    books: NetworkBooks,
) -> None:
    payment = pay(application, add_merchant(postgres_store.begin), "tok_chargeDeclined")
    assert find_violations(connection, books) == ()
    books.process([build_claim()._replace(payment_id=payment.id, step=Step.AUTHORIZE)], [APPROVED])
    [violation] = find_violations(connection, books)
    assert f"payment {payment.id} has (net here, net there, held there) (0, 0, 700)" in violation


def test_refund_that_only_the_network_has_is_a_violation(
    application: Application,
    postgres_store: Store,
    connection: psycopg.Connection[Any],
    books: NetworkBooks,
) -> None:
    merchant_id = add_merchant(postgres_store.begin)
    payment = pay(application, merchant_id)
    application.refunds.create(NewRefund(merchant_id, payment.id, 700))
    application.settlement.settle()
    assert find_violations(connection, books) == ()
    second = build_claim()._replace(payment_id=payment.id, refund_id=IDS.new_id(), step=Step.REFUND)
    books.process([second], [APPROVED])
    [violation] = find_violations(connection, books)
    assert "(4300, 3600, 0)" in violation


def test_payment_that_only_the_network_has_is_a_violation(
    connection: psycopg.Connection[Any], books: NetworkBooks
) -> None:
    claim = build_claim()
    books.process([claim], [APPROVED])
    [violation] = find_violations(connection, books)
    assert str(claim.id) in violation
