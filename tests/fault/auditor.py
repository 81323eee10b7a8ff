"""The books held against arithmetic all the while, and against the model at the end. The product
is not asked for either: these sums are our own."""

import time
from collections import Counter
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import namedtuple_row

from fault.audit_loop import Rounds
from fault.oracle import SUCCESS, Answer, Book

SHARE: Final = 0.15
"""Of the time, at most, that auditing takes from a small machine while the ledger grows."""

SHORTEST_PAUSE_SECONDS: Final = 0.2

ONE_SNAPSHOT: Final = """
SELECT (SELECT coalesce(sum(abs(total)), 0)::bigint
          FROM (SELECT sum(entries.amount) AS total
                  FROM entries
                  JOIN accounts ON accounts.id = entries.account_id
                 GROUP BY accounts.currency) AS per_currency) AS out_of_zero,
       (SELECT count(*)
          FROM accounts
          LEFT JOIN (SELECT account_id, sum(amount)::bigint AS total
                       FROM entries
                      GROUP BY account_id) AS sums ON sums.account_id = accounts.id
         WHERE accounts.balance <> coalesce(sums.total, 0)) AS wrong_balances,
       (SELECT count(*)
          FROM accounts
         WHERE balance < pending_out AND NOT allow_negative) AS below_floor,
       (SELECT count(*)
          FROM accounts
          LEFT JOIN (SELECT account_id, sum(coming)::bigint AS coming, sum(going)::bigint AS going
                       FROM holds,
                            LATERAL (VALUES (credit_account_id, amount, 0),
                                            (debit_account_id, 0, amount))
                                    AS side (account_id, coming, going)
                      WHERE released_at IS NULL
                      GROUP BY account_id) AS live ON live.account_id = accounts.id
         WHERE (accounts.pending_in, accounts.pending_out)
               <> (coalesce(live.coming, 0), coalesce(live.going, 0))) AS wrong_pending,
       (SELECT count(*)
          FROM (SELECT payment_id, sum(amount) AS total
                  FROM refunds
                 WHERE status <> 'FAILED'
                 GROUP BY payment_id) AS given
          JOIN payments ON payments.id = given.payment_id
         WHERE given.total > coalesce(payments.capture_amount, payments.amount)) AS over_refunded,
       (SELECT count(*)
          FROM (SELECT transaction_id
                  FROM entries
                 GROUP BY transaction_id
                HAVING sum(amount) <> 0 OR count(*) < 2) AS unbalanced) AS unbalanced
"""

EVERY_PAYMENT: Final = """
SELECT payments.id::text, payments.description AS token, payments.merchant_id, payments.amount,
       payments.currency, payments.source, payments.status, payments.failure_reason,
       payments.cancellation_reason, coalesce(payments.capture_amount, payments.amount) AS captured,
       coalesce(payments.fee_amount, 0) AS fee,
       coalesce(posted.transactions, 0) AS transactions, coalesce(posted.credited, 0) AS credited
  FROM payments
  LEFT JOIN (SELECT booked.payment_id, count(DISTINCT booked.id) AS transactions,
                    sum(entries.amount) FILTER (WHERE entries.amount > 0)::bigint AS credited
               FROM ledger_transactions AS booked
               LEFT JOIN entries ON entries.transaction_id = booked.id
              WHERE booked.kind = 'payment'
              GROUP BY booked.payment_id) AS posted ON posted.payment_id = payments.id
"""

EVERY_REFUND: Final = """
SELECT refunds.id::text, refunds.reason AS token, refunds.payment_id::text, refunds.merchant_id,
       refunds.amount, refunds.currency, refunds.status, refunds.failure_reason,
       coalesce(posted.transactions, 0) AS transactions, coalesce(posted.credited, 0) AS credited
  FROM refunds
  LEFT JOIN (SELECT booked.refund_id, count(DISTINCT booked.id) AS transactions,
                    sum(entries.amount) FILTER (WHERE entries.amount > 0)::bigint AS credited
               FROM ledger_transactions AS booked
               LEFT JOIN entries ON entries.transaction_id = booked.id
              WHERE booked.kind = 'refund'
              GROUP BY booked.refund_id) AS posted ON posted.refund_id = refunds.id
"""

EVERY_BALANCE: Final = """
SELECT merchant_id, currency, sum(balance)::bigint AS balance
  FROM accounts
 WHERE merchant_id IS NOT NULL
 GROUP BY merchant_id, currency
"""

DECLINED_REFUND: Final = ("FAILED", "refund_declined")

OUT_OF_ORDER: Final = """
SELECT count(*)
  FROM (SELECT booked.posted_at,
               lag(booked.posted_at) OVER (PARTITION BY entries.account_id
                                               ORDER BY entries.sequence) AS before
          FROM entries
          JOIN ledger_transactions AS booked ON booked.id = entries.transaction_id) AS told
 WHERE posted_at < before
"""

OUT_OF_TIME: Final = """
SELECT count(*)
  FROM payments
 WHERE created_at NOT BETWEEN %(begun)s AND now()
    OR updated_at NOT BETWEEN created_at AND now()
"""


class Auditor(Rounds):
    """Reads the books in one snapshot, over and over, while they are written."""

    def round(self) -> None:
        begun = time.monotonic()
        try:
            with self.connect() as connection:
                audit(connection, self.book)
        except psycopg.OperationalError:
            # PostgreSQL is what is broken at the moment; what it shows later counts too.
            self.pause = SHORTEST_PAUSE_SECONDS
        else:
            self.pause = max(SHORTEST_PAUSE_SECONDS, (time.monotonic() - begun) / SHARE)


def audit(connection: psycopg.Connection[Any], book: Book) -> None:
    """I1, I2, I3 and I6: one statement, so one snapshot."""
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        found: Any = cursor.execute(ONE_SNAPSHOT).fetchone()
    book.check("I1", holds=found.out_of_zero == 0, what=f"entries sum to {found.out_of_zero}")
    book.check("I2", holds=not found.wrong_balances, what=f"{found.wrong_balances} balances wrong")
    book.check("I3", holds=not found.below_floor, what=f"{found.below_floor} below their floor")
    wrong = found.wrong_pending
    book.check("holds", holds=not wrong, what=f"{wrong} accounts with wrong pending sums")
    over = found.over_refunded
    book.check("refunds", holds=not over, what=f"{over} payments refunded beyond their capture")
    book.check("I6", holds=not found.unbalanced, what=f"{found.unbalanced} do not balance")


def last_audit(connection: psycopg.Connection[Any], book: Book) -> int:
    """Everything, once all is settled: the books against the model. Returns how many payments."""
    audit(connection, book)
    seen: Counter[str] = Counter()
    returned: Counter[str] = Counter()
    expected: Counter[tuple[UUID, str]] = Counter()
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        rows: Any = cursor.execute(EVERY_PAYMENT)
        for row in rows:
            seen[row.token] += 1
            _look_at(row, book)
            if row.status == "SUCCESS":
                expected[row.merchant_id, row.currency] += row.captured - row.fee
        rows = cursor.execute(EVERY_REFUND)
        for row in rows:
            returned[row.token] += 1
            _look_at_refund(row, book)
            if row.status == "SUCCESS":
                expected[row.merchant_id, row.currency] -= row.amount
    _look_for_lost(seen, book)
    _look_for_lost_refunds(returned, book)
    _look_at_balances(connection, expected, book)
    _look_at_times(connection, book)
    return seen.total()


def _look_at(row: Any, book: Book) -> None:
    order = book.orders.get(row.token)
    if order is None:
        book.violated("I9", f"a payment that nobody ordered: {row}")
        return
    asked = (order.shop.merchant_id, order.amount, order.currency, order.source)
    same = asked == (row.merchant_id, row.amount, row.currency, row.source)
    book.check("I9", holds=same, what=f"{order} is recorded as {row}")
    refused = order.answer is Answer.REFUSED
    book.check("I9", holds=not refused, what=f"{order.token} was refused, and recorded: {row}")
    fate = (row.status, row.failure_reason)
    book.check("I4", holds=fate == order.fate, what=f"{order.token} ended as {fate}")
    posted = (row.transactions, row.credited)
    taken = row.amount if order.captured is None else order.captured
    due = (1, taken) if order.fate == SUCCESS else (0, 0)
    book.check("I5", holds=posted == due, what=f"{order.token}: {posted}, and not {due}")
    if row.status == "CANCELED":
        why = "abandoned" if order.canceled else "expired"
        holds = row.cancellation_reason == why
        book.check("one winner", holds=holds, what=f"{order.token}: {row}, and not {why}")


def _look_at_refund(row: Any, book: Book) -> None:
    asked = book.returns.get(row.token)
    if asked is None:
        book.violated("I9", f"a refund that nobody asked for: {row}")
        return
    order = asked.order
    same = (order.payment_id, order.shop.merchant_id, asked.amount, order.currency) == (
        row.payment_id,
        row.merchant_id,
        row.amount,
        row.currency,
    )
    book.check("I9", holds=same and asked.granted, what=f"{asked} is recorded as {row}")
    declined = order.source == "tok_refundDeclined"
    fates = [("FAILED", "insufficient_balance"), DECLINED_REFUND if declined else SUCCESS]
    fate = (row.status, row.failure_reason)
    book.check("I4", holds=fate in fates, what=f"{asked.token} ended as {fate}")
    posted = (row.transactions, row.credited)
    due = (1, row.amount) if row.status == "SUCCESS" else (0, 0)
    book.check("I5", holds=posted == due, what=f"{asked.token}: {posted}, and not {due}")


def _look_for_lost_refunds(returned: Counter[str], book: Book) -> None:
    for token, asked in book.returns.items():
        count = returned[token]
        holds = count == asked.granted
        book.check("I9", holds=holds, what=f"{token}: {asked.granted=}, recorded {count} times")


def _look_for_lost(seen: Counter[str], book: Book) -> None:
    for token, order in book.orders.items():
        count = seen[token]
        book.check("I5", holds=count < 2, what=f"{token} was recorded {count} times")
        if order.answer is Answer.ACCEPTED:
            book.check("I9", holds=count > 0, what=f"{token} was answered 202, and is lost")
        answered = order.answer is not Answer.NONE
        book.check("answer", holds=answered, what=f"{token} never had an answer")


def _look_at_balances(
    connection: psycopg.Connection[Any], expected: Counter[tuple[UUID, str]], book: Book
) -> None:
    for merchant_id, currency, balance in connection.execute(EVERY_BALANCE):
        due = expected[merchant_id, currency]
        what = f"merchant {merchant_id} has {balance} {currency}, and not {due}"
        book.check("I2", holds=balance == due, what=what)


def _look_at_times(connection: psycopg.Connection[Any], book: Book) -> None:
    """The order of money is the database's, whatever the clocks of others say."""
    [(count,)] = connection.execute(OUT_OF_ORDER)
    book.check("time", holds=count == 0, what=f"{count} entries are out of order in time")
    [(count,)] = connection.execute(OUT_OF_TIME, {"begun": book.begun_at})
    book.check("time", holds=count == 0, what=f"{count} payments have a time outside of the run")
