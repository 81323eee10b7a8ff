"""Audits of the database: its sums while the run lasts, and every row against the model at the end.
All sums are computed here, not by the product."""

import time
from collections import Counter
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import namedtuple_row

from fault.ledger_model import audit_ledger_transactions
from fault.network_books import NOTHING, NetworkBooks
from fault.oracle import SUCCESS, Acknowledgement, Oracle
from fault.periodic_task import PeriodicTask

MAX_AUDIT_SHARE: Final = 0.15
"""The share of time that audits may take, although each takes longer as the ledger grows."""

MIN_PAUSE_SECONDS: Final = 0.2

COUNT_INCONSISTENCIES: Final = """
SELECT (SELECT coalesce(sum(abs(total)), 0)::bigint
          FROM (SELECT sum(entries.amount) AS total
                  FROM entries
                  JOIN accounts ON accounts.id = entries.account_id
                 GROUP BY accounts.currency) AS per_currency) AS unbalanced_sum,
       (SELECT count(*)
          FROM accounts
          LEFT JOIN (SELECT account_id, sum(amount)::bigint AS total
                       FROM entries
                      GROUP BY account_id) AS sums ON sums.account_id = accounts.id
         WHERE accounts.balance <> coalesce(sums.total, 0)) AS wrong_balances,
       (SELECT count(*)
          FROM accounts
         WHERE balance < pending_out AND NOT allow_negative) AS below_lower_bound,
       (SELECT count(*)
          FROM accounts
          LEFT JOIN (SELECT account_id, sum(incoming)::bigint AS incoming,
                            sum(outgoing)::bigint AS outgoing
                       FROM (SELECT side.*
                               FROM holds,
                                    LATERAL (VALUES (credit_account_id, amount, 0),
                                                    (debit_account_id, 0, amount))
                                            AS side (account_id, incoming, outgoing)
                              WHERE released_at IS NULL
                              UNION ALL
                             SELECT account_id, greatest(amount, 0), greatest(-amount, 0)
                               FROM journal_holds
                              WHERE released_at IS NULL) AS sides
                      GROUP BY account_id) AS live ON live.account_id = accounts.id
         WHERE (accounts.pending_in, accounts.pending_out)
               <> (coalesce(live.incoming, 0), coalesce(live.outgoing, 0))) AS wrong_pending,
       (SELECT count(*)
          FROM (SELECT payment_id, sum(amount) AS total
                  FROM refunds
                 WHERE status <> 'FAILED'
                 GROUP BY payment_id) AS refunded
          JOIN payments ON payments.id = refunded.payment_id
         WHERE refunded.total > coalesce(payments.capture_amount, payments.amount))
               AS over_refunded,
       (SELECT count(*)
          FROM (SELECT transaction_id
                  FROM entries
                 GROUP BY transaction_id
                HAVING sum(amount) <> 0 OR count(*) < 2) AS unbalanced) AS unbalanced
"""

SELECT_PAYMENTS: Final = """
SELECT payments.id::text, payments.description AS token, payments.merchant_id, payments.amount,
       payments.currency, payments.source, payments.status, payments.failure_reason,
       payments.cancellation_reason, coalesce(payments.capture_amount, payments.amount) AS captured,
       coalesce(payments.fee_amount, 0) AS fee,
       coalesce(posted.transactions, 0) AS transactions, coalesce(posted.credited, 0) AS credited
  FROM payments
  LEFT JOIN (SELECT transactions.payment_id, count(DISTINCT transactions.id) AS transactions,
                    sum(entries.amount) FILTER (WHERE entries.amount > 0)::bigint AS credited
               FROM ledger_transactions AS transactions
               LEFT JOIN entries ON entries.transaction_id = transactions.id
              WHERE transactions.kind = 'payment'
              GROUP BY transactions.payment_id) AS posted ON posted.payment_id = payments.id
"""

SELECT_REFUNDS: Final = """
SELECT refunds.id::text, refunds.reason AS token, refunds.payment_id::text, refunds.merchant_id,
       refunds.amount, refunds.currency, refunds.status, refunds.failure_reason,
       coalesce(posted.transactions, 0) AS transactions, coalesce(posted.credited, 0) AS credited
  FROM refunds
  LEFT JOIN (SELECT transactions.refund_id, count(DISTINCT transactions.id) AS transactions,
                    sum(entries.amount) FILTER (WHERE entries.amount > 0)::bigint AS credited
               FROM ledger_transactions AS transactions
               LEFT JOIN entries ON entries.transaction_id = transactions.id
              WHERE transactions.kind = 'refund'
              GROUP BY transactions.refund_id) AS posted ON posted.refund_id = refunds.id
"""

SELECT_SETTLED_AMOUNTS: Final = """
SELECT id,
       CASE WHEN status = 'SUCCESS' THEN coalesce(capture_amount, amount) ELSE 0 END,
       coalesce(amount_refunded, 0)
  FROM payments
"""

SELECT_BALANCES: Final = """
SELECT merchant_id, currency, sum(balance)::bigint AS balance
  FROM accounts
 WHERE merchant_id IS NOT NULL
 GROUP BY merchant_id, currency
"""

DECLINED_REFUND: Final = ("FAILED", "refund_declined")
INSUFFICIENT_BALANCE: Final = ("FAILED", "insufficient_balance")

COUNT_ENTRIES_OUT_OF_ORDER: Final = """
SELECT count(*)
  FROM (SELECT transactions.posted_at,
               lag(transactions.posted_at) OVER (PARTITION BY entries.account_id
                                                     ORDER BY entries.sequence) AS previous
          FROM entries
          JOIN ledger_transactions AS transactions
            ON transactions.id = entries.transaction_id) AS posted
 WHERE posted_at < previous
"""

COUNT_TIMES_OUTSIDE_RUN: Final = """
SELECT count(*)
  FROM payments
 WHERE created_at NOT BETWEEN %(started)s AND now()
    OR updated_at NOT BETWEEN created_at AND now()
"""


class Auditor(PeriodicTask):
    """Audits the ledger repeatedly while it is written."""

    def execute(self) -> None:
        started = time.monotonic()
        try:
            with self.connect() as connection:
                audit(connection, self.oracle)
        except psycopg.OperationalError:
            # A fault took PostgreSQL down; later audits see what it did.
            self.pause_seconds = MIN_PAUSE_SECONDS
        else:
            audit_seconds = time.monotonic() - started
            self.pause_seconds = max(MIN_PAUSE_SECONDS, audit_seconds / MAX_AUDIT_SHARE)


def audit(connection: psycopg.Connection[Any], oracle: Oracle) -> None:
    """Check I1, I2, I3, I6, holds and refunds by one statement, hence on one snapshot."""
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        counts: Any = cursor.execute(COUNT_INCONSISTENCIES).fetchone()
    for invariant, count, details in (
        ("I1", counts.unbalanced_sum, "minor units by which entries do not sum to zero"),
        ("I2", counts.wrong_balances, "balances are not the sum of their entries"),
        ("I3", counts.below_lower_bound, "accounts are below their lower bound"),
        ("holds", counts.wrong_pending, "accounts have wrong pending amounts"),
        ("refunds", counts.over_refunded, "payments are refunded beyond their capture"),
        ("I6", counts.unbalanced, "ledger transactions do not balance"),
    ):
        oracle.check(invariant, holds=count == 0, details=f"{count} {details}")


def run_final_audit(connection: psycopg.Connection[Any], oracle: Oracle) -> int:
    """Compare all rows with the model, once everything is settled; return the number of
    payments."""
    audit(connection, oracle)
    payment_counts: Counter[str] = Counter()
    refund_counts: Counter[str] = Counter()
    balances: Counter[tuple[UUID, str]] = Counter()
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        rows: Any = cursor.execute(SELECT_PAYMENTS)
        for row in rows:
            payment_counts[row.token] += 1
            _check_payment(row, oracle)
            if row.status == "SUCCESS":
                balances[row.merchant_id, row.currency] += row.captured - row.fee
        rows = cursor.execute(SELECT_REFUNDS)
        for row in rows:
            refund_counts[row.token] += 1
            _check_refund(row, oracle)
            if row.status == "SUCCESS":
                balances[row.merchant_id, row.currency] -= row.amount
    _check_payment_counts(payment_counts, oracle)
    _check_refund_counts(refund_counts, oracle)
    _check_balances(connection, balances, oracle)
    _check_timestamps(connection, oracle)
    audit_ledger_transactions(connection, oracle.ledger, oracle.check)
    return payment_counts.total()


def check_network_truth(
    connection: psycopg.Connection[Any], books: NetworkBooks, oracle: Oracle
) -> None:
    """Compare what each payment says with what the card network's own books say, once everything
    is settled: no money is held or taken there that is not here, and none is here that is not
    there."""
    truth = dict(books.read_truth())
    for id, captured, refunded in connection.execute(SELECT_SETTLED_AMOUNTS):
        held_there, captured_there, refunded_there = truth.pop(str(id), NOTHING)
        net = (captured - refunded, captured_there - refunded_there, held_there)
        details = f"payment {id} has (net here, net there, held there) {net}"
        oracle.check("network", holds=net[0] == net[1] and held_there == 0, details=details)
    oracle.check("network", holds=not truth, details=f"unknown to us: {list(truth)[:10]}")


def _check_payment(row: Any, oracle: Oracle) -> None:
    request = oracle.payment_requests.get(row.token)
    if request is None:
        oracle.add_violation("I9", f"no client requested this payment: {row}")
        return
    requested = (request.merchant.id, request.amount, request.currency, request.source)
    is_same = requested == (row.merchant_id, row.amount, row.currency, row.source)
    oracle.check("I9", holds=is_same, details=f"{request} is recorded as {row}")
    is_refused = request.acknowledgement is Acknowledgement.REFUSED
    oracle.check("I9", holds=not is_refused, details=f"a refused payment is recorded: {row}")
    state = (row.status, row.failure_reason)
    holds = state == request.final_state
    oracle.check("I4", holds=holds, details=f"{request.token} ended as {state}")
    captured = row.amount if request.captured_amount is None else request.captured_amount
    expected = (1, captured) if request.final_state == SUCCESS else (0, 0)
    _check_posting(row, expected, oracle)
    if row.status == "CANCELED":
        reason = "abandoned" if request.is_canceled else "expired"
        holds = row.cancellation_reason == reason
        oracle.check("one-winner", holds=holds, details=f"{row} should have reason {reason}")


def _check_refund(row: Any, oracle: Oracle) -> None:
    request = oracle.refund_requests.get(row.token)
    if request is None:
        oracle.add_violation("I9", f"no client requested this refund: {row}")
        return
    payment = request.payment
    requested = (payment.payment_id, payment.merchant.id, request.amount, payment.currency)
    is_same = requested == (row.payment_id, row.merchant_id, row.amount, row.currency)
    holds = is_same and request.is_accepted
    oracle.check("I9", holds=holds, details=f"{request} is recorded as {row}")
    is_declined = payment.source == "tok_refundDeclined"
    allowed = [INSUFFICIENT_BALANCE, DECLINED_REFUND if is_declined else SUCCESS]
    state = (row.status, row.failure_reason)
    oracle.check("I4", holds=state in allowed, details=f"{request.token} ended as {state}")
    _check_posting(row, (1, row.amount) if row.status == "SUCCESS" else (0, 0), oracle)


def _check_posting(row: Any, expected: tuple[int, int], oracle: Oracle) -> None:
    """`expected`: the number of ledger transactions and the amount that they credit."""
    posted = (row.transactions, row.credited)
    details = f"{row.token} has (transactions, credited) {posted}, expected {expected}"
    oracle.check("I5", holds=posted == expected, details=details)


def _check_payment_counts(counts: Counter[str], oracle: Oracle) -> None:
    for token, request in oracle.payment_requests.items():
        count = counts[token]
        oracle.check("I5", holds=count < 2, details=f"{token} is recorded {count} times")
        if request.acknowledgement is Acknowledgement.ACCEPTED:
            oracle.check("I9", holds=count > 0, details=f"{token} was answered 202 and is lost")
        is_acknowledged = request.acknowledgement is not Acknowledgement.NONE
        oracle.check("response", holds=is_acknowledged, details=f"{token} was never answered")


def _check_refund_counts(counts: Counter[str], oracle: Oracle) -> None:
    for token, request in oracle.refund_requests.items():
        count = counts[token]
        holds = count == request.is_accepted
        details = f"{token}: {request.is_accepted=}, recorded {count} times"
        oracle.check("I9", holds=holds, details=details)


def _check_balances(
    connection: psycopg.Connection[Any], balances: Counter[tuple[UUID, str]], oracle: Oracle
) -> None:
    for merchant_id, currency, balance in connection.execute(SELECT_BALANCES):
        expected = balances[merchant_id, currency]
        details = f"merchant {merchant_id} has {balance} {currency}, expected {expected}"
        oracle.check("I2", holds=balance == expected, details=details)


def _check_timestamps(connection: psycopg.Connection[Any], oracle: Oracle) -> None:
    """Ledger timestamps follow PostgreSQL's clock, whatever the clocks of the processes show."""
    [(count,)] = connection.execute(COUNT_ENTRIES_OUT_OF_ORDER)
    oracle.check("time", holds=count == 0, details=f"{count} entries are out of order in time")
    [(count,)] = connection.execute(COUNT_TIMES_OUTSIDE_RUN, {"started": oracle.started_at})
    details = f"{count} payments have a time outside of the run"
    oracle.check("time", holds=count == 0, details=details)
