"""What PostgreSQL refuses of disputes that do not match the ledger, and of overdrawn accounts, even
from psql."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from atomic_adapters.networks.sandbox_disputes import FEE
from atomic_core.application import Application
from atomic_core.domain.accounts import world_account_id
from atomic_core.domain.card_networks import DEFAULT_NETWORK
from atomic_core.domain.disputes import Dispute
from atomic_core.domain.lists import DisputeFilter
from atomic_core.domain.refunds import NewRefund
from integration.test_journal_guards import add_journal, add_posting
from support import IDS, Store, add_merchant, build_application, build_payment, open_account

WORLD = world_account_id("USD")


@contextmanager
def psql(url: str) -> Iterator[psycopg.Connection]:
    """A transaction that is committed at the end."""
    with closing(psycopg.connect(url)) as connection:
        yield connection
        connection.commit()


@pytest.fixture
def application(postgres_store: Store) -> Application:
    return build_application(postgres_store.begin)


@pytest.fixture
def dispute(application: Application, postgres_store: Store) -> Dispute:
    """Of a whole payment of 5,000, open. The account has 5,000 of another payment."""
    merchant_id = add_merchant(postgres_store.begin)
    open_account(postgres_store.begin, merchant_id)
    application.payments.record(build_payment(merchant_id, 5_000))
    application.payments.record(build_payment(merchant_id, 5_000, source="tok_disputed"))
    application.settlement.settle()
    application.disputes.process(DEFAULT_NETWORK)
    [dispute] = application.disputes.list(merchant_id, DisputeFilter(), None, 2).items
    return dispute


def find_other_payment(application: Application, dispute: Dispute) -> UUID:
    payments = application.admin.list_payments(10, dispute.merchant_id, None).items
    [other] = [payment.id for payment in payments if payment.id != dispute.payment_id]
    return other


def insert(connection: psycopg.Connection, dispute: Dispute, **changes: object) -> UUID:
    id = IDS.new_id()
    columns: dict[str, object] = {
        "id": id,
        "merchant_id": dispute.merchant_id,
        "payment_id": dispute.payment_id,
        "account_id": dispute.account_id,
        "network": dispute.network,
        "network_reference": f"dp_{id.hex}",
        "status": "NEEDS_RESPONSE",
        "amount": 1,
        "currency": "USD",
        "fee": 0,
        "reason": "general",
        **changes,
    }
    names = ", ".join(columns)
    values = ", ".join(f"%({name})s" for name in columns)
    connection.execute(
        f"INSERT INTO disputes ({names}, created_at, updated_at, due_at)"
        f" VALUES ({values}, now(), now(), now())".encode(),
        columns,
    )
    return id


def post(
    connection: psycopg.Connection, subject: UUID, kind: str, account: UUID, amount: int
) -> None:
    """A ledger transaction and its entries as the application inserts them, but for the hashes."""
    transaction_id = IDS.new_id()
    rows = [
        connection.execute(
            b"""UPDATE accounts SET balance = balance + %(amount)s, sequence = sequence + 1,
                       head = sha256(head)
                 WHERE id = %(id)s
             RETURNING id, sequence, %(amount)s::bigint, balance, head""",
            {"id": id, "amount": leg},
        ).fetchone()
        for id, leg in sorted([(account, amount), (WORLD, -amount)])
    ]
    connection.execute(
        b"""INSERT INTO ledger_transactions (id, payment_id, kind, posted_at)
            VALUES (%s, %s, %s, now())""",
        (transaction_id, subject, kind),
    )
    columns = [list(column) for column in zip(*filter(None, rows), strict=True)]
    connection.execute(
        b"""INSERT INTO entries (transaction_id, account_id, sequence, amount, balance_after, hash)
            SELECT %s, * FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[],
                                     %s::bytea[])""",
        (transaction_id, *columns),
    )


CHANGES = {
    "amount": "UPDATE disputes SET amount = 1",
    "back to an earlier state": "UPDATE disputes SET status = 'NEEDS_RESPONSE'",
    "reference": "UPDATE disputes SET network_reference = 'dp_other'",
    "deletion": "DELETE FROM disputes",
    "truncation": "TRUNCATE disputes",
}


@pytest.mark.parametrize("change", CHANGES)
def test_dispute_never_goes_back(database_url: str, dispute: Dispute, change: str) -> None:
    with psql(database_url) as connection:
        connection.execute("UPDATE disputes SET status = 'UNDER_REVIEW'")
        connection.commit()
        with pytest.raises(errors.RestrictViolation):
            connection.execute(CHANGES[change].encode())
        connection.rollback()
        connection.execute("UPDATE disputes SET status = 'LOST', closed_at = now(), due_at = NULL")
        connection.commit()
        with pytest.raises(errors.RestrictViolation):
            connection.execute("UPDATE disputes SET faults = 1")
        connection.rollback()


def test_won_dispute_needs_its_reversal(
    application: Application, database_url: str, dispute: Dispute
) -> None:
    won = b"""UPDATE disputes SET status = 'WON', fee_returned = %s, closed_at = now(),
                                 due_at = NULL"""
    for amount, returned in ((None, 0), (4_999, 0), (5_000, 1), (5_000 + FEE, 0)):
        with psql(database_url) as connection:
            connection.execute(won, (returned,))
            if amount:
                post(connection, dispute.id, "dispute_reversal", dispute.account_id, amount)
            with pytest.raises(errors.CheckViolation, match="does not match the ledger"):
                connection.commit()
    with psql(database_url) as connection:
        with pytest.raises(errors.ForeignKeyViolation):
            # Not WON.
            post(connection, dispute.id, "dispute_reversal", dispute.account_id, 5_000)
        connection.rollback()
        connection.execute(won, (7,))
        post(connection, dispute.id, "dispute_reversal", dispute.account_id, 5_007)
    findings = application.ledger.verify().findings
    assert {finding.check.value for finding in findings} == {"chain_unbroken"}, "only the hashes"


def test_dispute_is_posted_once_and_as_it_says(
    application: Application, database_url: str, dispute: Dispute
) -> None:
    other = find_other_payment(application, dispute)
    with psql(database_url) as connection:
        with pytest.raises(errors.UniqueViolation):
            post(connection, dispute.id, "dispute", dispute.account_id, -1)
        connection.rollback()
        with pytest.raises(errors.ForeignKeyViolation):
            post(connection, IDS.new_id(), "dispute", dispute.account_id, -1)
        connection.rollback()
        for amount in (None, -2, -1, 9):
            id = insert(connection, dispute, payment_id=other, fee=1)
            if amount:
                post(connection, id, "dispute", dispute.account_id, amount)
            if amount == -2:
                connection.commit()
                continue
            with pytest.raises(errors.CheckViolation, match="does not match the ledger"):
                connection.commit()


def test_only_what_was_captured_is_disputed_once(
    application: Application, database_url: str, dispute: Dispute
) -> None:
    other = find_other_payment(application, dispute)
    waiting = application.payments.record(build_payment(dispute.merchant_id, 100)).id
    with psql(database_url) as connection:
        for changes in (
            {},
            {"payment_id": other, "amount": 5_001},
            {"payment_id": other, "currency": "EUR"},
            {"payment_id": other, "network": "stripe"},
            {"payment_id": other, "merchant_id": IDS.new_id()},
            {"payment_id": waiting},
        ):
            with pytest.raises(errors.CheckViolation, match="more is disputed than was captured"):
                insert(connection, dispute, **changes)
            connection.rollback()
        with pytest.raises(errors.UniqueViolation):
            reference = dispute.network_reference
            insert(connection, dispute, payment_id=other, network_reference=reference)
        connection.rollback()
        with pytest.raises(errors.CheckViolation):
            insert(connection, dispute, payment_id=other, amount=0)
        connection.rollback()


def test_refund_of_what_is_disputed_is_refused(
    application: Application, database_url: str, dispute: Dispute
) -> None:
    with psql(database_url) as connection:
        with pytest.raises(errors.CheckViolation, match="would pay out what is disputed"):
            connection.execute(
                b"""INSERT INTO refunds (id, payment_id, merchant_id, account_id, currency, amount,
                                         due_at, created_at, updated_at, network)
                    VALUES (uuidv7(), %s, %s, %s, 'USD', 1, now(), now(), now(), 'sandbox')""",
                (dispute.payment_id, dispute.merchant_id, dispute.account_id),
            )
        connection.rollback()
    other = find_other_payment(application, dispute)
    application.refunds.create(NewRefund(dispute.merchant_id, other, 100))
    application.settlement.settle()
    assert application.ledger.verify().is_clean


def test_nothing_but_a_dispute_overdraws(
    application: Application, postgres_store: Store, database_url: str, dispute: Dispute
) -> None:
    """The account has 5,000 less the fee; after a second dispute, less than nothing."""
    other_account = open_account(postgres_store.begin, dispute.merchant_id)
    balance = 5_000 - FEE

    def transfer(connection: psycopg.Connection, amount: int) -> None:
        legs = [(dispute.account_id, -amount), (other_account, amount)]
        add_posting(connection, add_journal(connection, dispute.merchant_id, legs), legs)

    with psql(database_url) as connection:
        transfer(connection, balance + 1)
        with pytest.raises(errors.CheckViolation, match="less than is reserved of it"):
            connection.commit()
    with psql(database_url) as connection:
        transfer(connection, balance)
    with psql(database_url) as connection:
        payment_id = find_other_payment(application, dispute)
        id = insert(connection, dispute, payment_id=payment_id, amount=100)
        post(connection, id, "dispute", dispute.account_id, -100)
    with psql(database_url) as connection:
        transfer(connection, -40)
    with psql(database_url) as connection:
        transfer(connection, 1)
        with pytest.raises(errors.CheckViolation, match="less than is reserved of it"):
            connection.commit()
    account = application.accounts.get(dispute.merchant_id, dispute.account_id)
    assert account.balance == -60
