-- name: list_accounts
SELECT id, merchant_id, name, currency, allow_negative, balance, sequence, head, created_at, type,
       pending_in, pending_out
  FROM accounts
 WHERE merchant_id = %(merchant_id)s
   AND (created_at, id) < (%(top_at)s, %(top_id)s)
   AND created_at >= %(created_from)s
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s

-- name: list_accounts_of_currency
SELECT id, merchant_id, name, currency, allow_negative, balance, sequence, head, created_at, type,
       pending_in, pending_out
  FROM accounts
 WHERE merchant_id = %(merchant_id)s
   AND currency = %(currency)s
   AND (created_at, id) < (%(top_at)s, %(top_id)s)
   AND created_at >= %(created_from)s
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s

-- name: list_entries
-- An account's entries stand in order of time: the first at or after a moment is found by halving,
-- twenty steps for a million entries. `sides` are the two ends of the span, as sequence numbers.
WITH RECURSIVE halving (side, moment, low, high) AS (
    SELECT side.side, side.moment, 1::bigint, accounts.sequence + 1
      FROM accounts
     CROSS JOIN (VALUES ('from', %(created_from)s::timestamptz),
                        ('to', %(created_to)s::timestamptz)) AS side (side, moment)
     WHERE accounts.id = %(account_id)s
    UNION ALL
    SELECT halving.side, halving.moment,
           CASE WHEN middle.posted_at < halving.moment THEN (halving.low + halving.high) / 2 + 1
                ELSE halving.low
           END,
           CASE WHEN middle.posted_at < halving.moment THEN halving.high
                ELSE (halving.low + halving.high) / 2
           END
      FROM halving
     CROSS JOIN LATERAL (
               SELECT ledger_transactions.posted_at
                 FROM entries
                 JOIN ledger_transactions ON ledger_transactions.id = entries.transaction_id
                WHERE entries.account_id = %(account_id)s
                  AND entries.sequence = (halving.low + halving.high) / 2) AS middle
     WHERE halving.low < halving.high
), sides AS MATERIALIZED (
    SELECT max(low) FILTER (WHERE side = 'from') AS first,
           max(low) FILTER (WHERE side = 'to') AS behind
      FROM halving
     WHERE low = high
)
SELECT page.account_id, page.sequence, page.transaction_id, posted.payment_id, posted.refund_id,
       posted.kind, page.amount, page.balance_after, posted.posted_at
  FROM (SELECT account_id, sequence, transaction_id, amount, balance_after
          FROM entries
         WHERE account_id = %(account_id)s
           AND sequence >= (SELECT first FROM sides)
           AND sequence < least((SELECT behind FROM sides), %(before)s)
         ORDER BY sequence DESC
         LIMIT %(limit)s) AS page
 -- One by one, whatever the planner thinks of the limit.
 CROSS JOIN LATERAL (
           SELECT payment_id, refund_id, kind, posted_at
             FROM ledger_transactions
            WHERE id = page.transaction_id
            LIMIT 1) AS posted
 ORDER BY page.sequence DESC
