"""What PostgreSQL itself refuses, even from psql."""

from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from atomic_core.domain.accounts import world_account_id
from atomic_core.domain.money import Money
from atomic_core.domain.payments import NewPayment
from support import Store, add_merchant, build_application, build_payment, open_account

WORLD = world_account_id("USD")


@pytest.fixture
def books(postgres_store: Store, database_url: str) -> dict[str, object]:
    """Settled payments, one that waits, a revoked key; ids by name for the statements below."""
    application = build_application(postgres_store.begin)
    merchant_id = add_merchant(postgres_store.begin)
    account_id = open_account(postgres_store.begin, merchant_id)
    settled = application.payments.record(build_payment(merchant_id, 5_000))
    application.settlement.settle()
    busy = application.payments.record(euros(merchant_id))
    application.payments.record(euros(merchant_id))
    application.settlement.settle()
    waiting = application.payments.record(build_payment(merchant_id, 1))
    key = application.api_keys.issue(merchant_id, "till").key
    application.api_keys.revoke(key.id)
    return {
        "merchant": merchant_id,
        "account": account_id,
        "busy": busy.account_id,
        "world": WORLD,
        "settled": settled.id,
        "waiting": waiting.id,
        "transaction": UUID(int=7),
        "key": key.id,
        "head": bytes(32),
    }


def euros(merchant_id: UUID) -> NewPayment:
    return NewPayment(merchant_id, Money(100, "EUR"), "tok_visa")


NEW_TRANSACTION = b"""
INSERT INTO ledger_transactions VALUES (%(transaction)s, %(waiting)s, 'payment', now())"""

REFUSED = {
    "an unbalanced entry": [
        NEW_TRANSACTION,
        b"""INSERT INTO entries (account_id, sequence, transaction_id, amount, balance_after, hash)
            VALUES (%(account)s, 2, %(transaction)s, 1, 5001, %(head)s)""",
    ],
    "a pair that does not balance": [
        NEW_TRANSACTION,
        b"""UPDATE accounts SET sequence = 2, head = %(head)s,
                   balance = CASE id WHEN %(world)s THEN -5001 ELSE 5002 END
             WHERE id IN (%(account)s, %(world)s)""",
        b"""INSERT INTO entries (account_id, sequence, transaction_id, amount, balance_after, hash)
            VALUES (%(account)s, 2, %(transaction)s, 2, 5002, %(head)s),
                   (%(world)s, 2, %(transaction)s, -1, -5001, %(head)s)""",
    ],
    "a balanced pair that leaves a gap": [
        NEW_TRANSACTION,
        b"""INSERT INTO entries (account_id, sequence, transaction_id, amount, balance_after, hash)
            VALUES (%(account)s, 3, %(transaction)s, 1, 5001, %(head)s),
                   (%(world)s, 3, %(transaction)s, -1, -5001, %(head)s)""",
    ],
    "a balanced pair that the accounts do not show": [
        NEW_TRANSACTION,
        b"""INSERT INTO entries (account_id, sequence, transaction_id, amount, balance_after, hash)
            VALUES (%(account)s, 2, %(transaction)s, 1, 5001, %(head)s),
                   (%(world)s, 2, %(transaction)s, -1, -5001, %(head)s)""",
    ],
    "a balanced pair with a wrong balance after it": [
        NEW_TRANSACTION,
        b"""UPDATE accounts SET sequence = 2, head = %(head)s,
                   balance = CASE id WHEN %(world)s THEN -5002 ELSE 5002 END
             WHERE id IN (%(account)s, %(world)s)""",
        b"""INSERT INTO entries (account_id, sequence, transaction_id, amount, balance_after, hash)
            VALUES (%(account)s, 2, %(transaction)s, 1, 5002, %(head)s),
                   (%(world)s, 2, %(transaction)s, -1, -5002, %(head)s)""",
    ],
    "a balanced pair added to an old transaction": [
        b"""UPDATE accounts SET sequence = 2, head = %(head)s,
                   balance = CASE id WHEN %(world)s THEN -5001 ELSE 5001 END
             WHERE id IN (%(account)s, %(world)s)""",
        b"""INSERT INTO entries (account_id, sequence, transaction_id, amount, balance_after, hash)
            SELECT a.id, 2, t.id, CASE a.id WHEN %(world)s THEN -1 ELSE 1 END,
                   a.balance, %(head)s
              FROM accounts a, ledger_transactions t
             WHERE a.id IN (%(account)s, %(world)s) AND t.payment_id = %(settled)s""",
    ],
    "entries of a transaction that does not exist": [
        b"""UPDATE accounts SET sequence = 2, head = %(head)s,
                   balance = CASE id WHEN %(world)s THEN -5001 ELSE 5001 END
             WHERE id IN (%(account)s, %(world)s)""",
        b"""INSERT INTO entries (account_id, sequence, transaction_id, amount, balance_after, hash)
            VALUES (%(account)s, 2, %(transaction)s, 1, 5001, %(head)s),
                   (%(world)s, 2, %(transaction)s, -1, -5001, %(head)s)""",
    ],
    "an entry of an account that does not exist": [
        NEW_TRANSACTION,
        b"""UPDATE accounts SET sequence = 2, head = %(head)s, balance = -5001
             WHERE id = %(world)s""",
        b"""INSERT INTO entries (account_id, sequence, transaction_id, amount, balance_after, hash)
            VALUES (%(transaction)s, 1, %(transaction)s, 1, 1, %(head)s),
                   (%(world)s, 2, %(transaction)s, -1, -5001, %(head)s)""",
    ],
    "an entry of nothing": [
        NEW_TRANSACTION,
        b"""INSERT INTO entries (account_id, sequence, transaction_id, amount, balance_after, hash)
            VALUES (%(account)s, 2, %(transaction)s, 0, 5000, %(head)s)""",
    ],
    "an edited entry": [b"UPDATE entries SET amount = amount + 1"],
    "a deleted entry": [b"DELETE FROM entries WHERE account_id = %(account)s"],
    "truncated entries": [b"TRUNCATE entries"],
    "truncated entries by cascade": [b"TRUNCATE ledger_transactions CASCADE"],
    "an edited ledger transaction": [b"UPDATE ledger_transactions SET posted_at = now()"],
    "a deleted ledger transaction": [b"DELETE FROM ledger_transactions"],
    "a second posting of one payment": [
        b"INSERT INTO ledger_transactions VALUES (%(transaction)s, %(settled)s, 'payment', now())"
    ],
    "a posting of an unknown payment": [
        b"INSERT INTO ledger_transactions VALUES (%(transaction)s, %(world)s, 'payment', now())"
    ],
    "a posting of an unknown payment beside a known one": [
        b"""INSERT INTO ledger_transactions
            VALUES (%(transaction)s, %(waiting)s, 'payment', now()),
                   (%(account)s, %(world)s, 'payment', now())"""
    ],
    "entries of an unknown transaction beside a known one": [
        NEW_TRANSACTION,
        b"""UPDATE accounts SET sequence = 3, head = %(head)s,
                   balance = CASE id WHEN %(world)s THEN -5002 ELSE 5002 END
             WHERE id IN (%(account)s, %(world)s)""",
        b"""INSERT INTO entries (account_id, sequence, transaction_id, amount, balance_after, hash)
            VALUES (%(account)s, 2, %(transaction)s, 1, 5001, %(head)s),
                   (%(world)s, 2, %(transaction)s, -1, -5001, %(head)s),
                   (%(account)s, 3, %(account)s, 1, 5002, %(head)s),
                   (%(world)s, 3, %(account)s, -1, -5002, %(head)s)""",
    ],
    "a negative merchant balance": [b"UPDATE accounts SET balance = -1 WHERE id = %(account)s"],
    "a balance beyond what JSON keeps exact": [
        b"UPDATE accounts SET balance = 9007199254740992 WHERE id = %(account)s"
    ],
    "a balance that no entry explains": [
        b"UPDATE accounts SET balance = 5001 WHERE id = %(account)s"
    ],
    "an account wiped clean": [
        b"""UPDATE accounts SET balance = 0, sequence = 0, head = chain_start(accounts)
             WHERE id = %(account)s"""
    ],
    "an account wound back to an earlier entry": [
        b"""UPDATE accounts a SET balance = e.balance_after, sequence = 1, head = e.hash
              FROM entries e
             WHERE e.account_id = a.id AND e.sequence = 1 AND a.id = %(busy)s"""
    ],
    "a posting at no time": [
        b"""INSERT INTO ledger_transactions
            VALUES (%(transaction)s, %(waiting)s, 'payment', 'infinity')"""
    ],
    "a World balance that no entry explains": [
        b"UPDATE accounts SET balance = 0 WHERE id = %(world)s"
    ],
    "an account opened with money": [
        b"""INSERT INTO accounts (id, merchant_id, name, currency, balance)
            VALUES (%(transaction)s, %(merchant)s, 'Rich', 'USD', 1)"""
    ],
    "an account opened with money and a head": [
        b"""INSERT INTO accounts (id, merchant_id, name, currency, balance, head)
            VALUES (%(transaction)s, %(merchant)s, 'Rich', 'USD', 1, %(head)s)"""
    ],
    "an account that changes its currency": [
        b"UPDATE accounts SET currency = 'EUR' WHERE id = %(account)s"
    ],
    "a merchant's account that may go negative": [
        b"UPDATE accounts SET allow_negative = true WHERE id = %(account)s"
    ],
    "a second World for one currency": [
        b"""INSERT INTO accounts (id, name, currency, type, allow_negative)
            VALUES (%(transaction)s, 'Other World', 'USD', 'asset', true)"""
    ],
    "a deleted account": [b"DELETE FROM accounts WHERE id = %(account)s"],
    "truncated accounts": [b"TRUNCATE accounts CASCADE"],
    "a settled payment that changes": [
        b"UPDATE payments SET description = 'x' WHERE id = %(settled)s"
    ],
    "a payment that changes its amount": [b"UPDATE payments SET amount = 2 WHERE id = %(waiting)s"],
    "a payment that changes its source": [
        b"UPDATE payments SET source = 'tok_other' WHERE id = %(waiting)s"
    ],
    "a payment that changes its Idempotency-Key": [
        b"UPDATE payments SET idempotency_key = 'other' WHERE id = %(waiting)s"
    ],
    "a fence that is lowered": [
        b"UPDATE payments SET attempt = 3 WHERE id = %(waiting)s",
        b"UPDATE payments SET attempt = 2 WHERE id = %(waiting)s",
    ],
    "a payment born settled": [
        b"""INSERT INTO payments (id, merchant_id, account_id, amount, currency, source,
                                  description, status)
            VALUES (%(transaction)s, %(merchant)s, %(account)s, 1, 'USD', 'tok_visa', '',
                    'SUCCESS')"""
    ],
    "a failure without a reason": [b"UPDATE payments SET status = 'FAILED' WHERE id = %(waiting)s"],
    "a status that does not exist": [
        b"UPDATE payments SET status = 'REFUNDED' WHERE id = %(waiting)s"
    ],
    "a payment of nothing": [
        b"""INSERT INTO payments
                   (id, merchant_id, account_id, amount, currency, source, description)
            VALUES (%(transaction)s, %(merchant)s, %(account)s, 0, 'USD', 'tok_visa', '')"""
    ],
    "a payment into an account of another currency": [
        b"""INSERT INTO payments
                   (id, merchant_id, account_id, amount, currency, source, description)
            VALUES (%(transaction)s, %(merchant)s, %(account)s, 1, 'EUR', 'tok_visa', '')"""
    ],
    "a payment into an account that does not exist": [
        b"""INSERT INTO payments
                   (id, merchant_id, account_id, amount, currency, source, description)
            VALUES (%(transaction)s, %(merchant)s, %(transaction)s, 1, 'USD', 'tok_visa', '')"""
    ],
    "a deleted payment": [b"DELETE FROM payments WHERE id = %(waiting)s"],
    "truncated payments": [b"TRUNCATE payments CASCADE"],
    "an amount by which a payment would not be found": [
        b"UPDATE payment_amounts SET amount = 1 WHERE payment_id = %(waiting)s"
    ],
    "a payment that no amount would find": [b"DELETE FROM payment_amounts"],
    "a total that is deleted": [b"DELETE FROM payment_totals"],
    "totals that are truncated": [b"TRUNCATE payment_totals"],
    "an account's last posting time moved back": [
        b"""UPDATE accounts SET last_posted_at = last_posted_at - interval '1 us'
             WHERE id = %(account)s"""
    ],
    "an account's last posting time removed": [
        b"UPDATE accounts SET last_posted_at = NULL WHERE id = %(account)s"
    ],
    "an account's last posting time moved ahead without an entry": [
        b"""UPDATE accounts SET last_posted_at = last_posted_at + interval '1 us'
             WHERE id = %(account)s"""
    ],
    "a posting time of an account without entries": [
        b"""INSERT INTO accounts (id, merchant_id, name, currency, head, last_posted_at)
            VALUES (%(transaction)s, %(merchant)s, 'Shop', 'USD', %(head)s, now())"""
    ],
    "an entry posted before the previous one": [
        b"""INSERT INTO ledger_transactions
            SELECT %(transaction)s, %(waiting)s, 'payment', last_posted_at - interval '1 us'
              FROM accounts WHERE id = %(account)s""",
        b"""UPDATE accounts SET sequence = 2, head = %(head)s,
                   balance = CASE id WHEN %(world)s THEN -5001 ELSE 5001 END
             WHERE id IN (%(account)s, %(world)s)""",
        b"""INSERT INTO entries (account_id, sequence, transaction_id, amount, balance_after, hash)
            VALUES (%(world)s, 2, %(transaction)s, -1, -5001, %(head)s),
                   (%(account)s, 2, %(transaction)s, 1, 5001, %(head)s)""",
    ],
    "an entry posted before the new time of its account": [
        NEW_TRANSACTION,
        b"""UPDATE accounts SET sequence = 2, head = %(head)s, last_posted_at = 'tomorrow',
                   balance = CASE id WHEN %(world)s THEN -5001 ELSE 5001 END
             WHERE id IN (%(account)s, %(world)s)""",
        b"""INSERT INTO entries (account_id, sequence, transaction_id, amount, balance_after, hash)
            VALUES (%(world)s, 2, %(transaction)s, -1, -5001, %(head)s),
                   (%(account)s, 2, %(transaction)s, 1, 5001, %(head)s)""",
    ],
    "metadata that no payment has": [b"TRUNCATE payment_metadata"],
    "metadata that no refund has": [b"TRUNCATE refund_metadata"],
    "a revoked key brought back": [b"UPDATE api_keys SET revoked_at = NULL WHERE id = %(key)s"],
    "a key given to another merchant": [
        b"""INSERT INTO merchants (id, name) VALUES (%(transaction)s, 'Other')""",
        b"UPDATE api_keys SET merchant_id = %(transaction)s WHERE id = %(key)s",
    ],
    "a deleted key": [b"DELETE FROM api_keys"],
    "a key kept in the clear": [
        b"""INSERT INTO api_keys (id, merchant_id, name, prefix, hash)
            VALUES (%(transaction)s, %(merchant)s, 'x', '', 'sk_test_0123')"""
    ],
}


@pytest.mark.parametrize("statements", REFUSED.values(), ids=REFUSED.keys())
def test_postgres_refuses(
    books: dict[str, object], database_url: str, statements: list[bytes]
) -> None:
    *before, last = statements
    with psycopg.connect(database_url) as connection:
        for statement in before:
            connection.execute(statement, books)
        # Refused at once, or by a deferred guard when the transaction commits.
        with pytest.raises((errors.IntegrityError, errors.RestrictViolation)) as refusal:
            connection.execute(last, books)
            connection.commit()
        connection.rollback()
    if NEW_TRANSACTION in before:
        # Not only because the payment did not succeed, which would be refused last.
        constraint = refusal.value.diag.constraint_name
        assert constraint != "ledger_transactions_of_payment"


def test_correct_posting_in_sql_passes_every_guard(
    books: dict[str, object], database_url: str
) -> None:
    """The guards refuse what is wrong, not what is by hand; else the tests above prove little."""
    with psycopg.connect(database_url) as connection:
        connection.execute(NEW_TRANSACTION, books)
        connection.execute(
            b"""UPDATE accounts SET sequence = 2, head = %(head)s,
                       balance = CASE id WHEN %(world)s THEN -5001 ELSE 5001 END
                 WHERE id IN (%(account)s, %(world)s)""",
            books,
        )
        connection.execute(
            b"""INSERT INTO entries
                       (account_id, sequence, transaction_id, amount, balance_after, hash)
                VALUES (%(account)s, 2, %(transaction)s, 1, 5001, %(head)s),
                       (%(world)s, 2, %(transaction)s, -1, -5001, %(head)s)""",
            books,
        )
        connection.execute(b"UPDATE payments SET status = 'SUCCESS' WHERE id = %(waiting)s", books)
        connection.commit()
