-- name: list_entries
-- An account's entries are in order of time, and posted_at is not indexed: binary search finds the
-- first sequence number at or after a time, in 20 steps for a million entries. `bounds` holds the
-- first sequence number of the range, and the first after it.
WITH RECURSIVE bisection (bound, bound_time, low, high) AS (
    SELECT search.bound, search.bound_time, 1::bigint, accounts.sequence + 1
      FROM accounts
     CROSS JOIN (VALUES ('from', %(created_from)s::timestamptz),
                        ('to', %(created_to)s::timestamptz)) AS search (bound, bound_time)
     WHERE accounts.id = %(account_id)s
    UNION ALL
    SELECT bisection.bound, bisection.bound_time,
           CASE WHEN middle.posted_at < bisection.bound_time
                THEN (bisection.low + bisection.high) / 2 + 1
                ELSE bisection.low
           END,
           CASE WHEN middle.posted_at < bisection.bound_time THEN bisection.high
                ELSE (bisection.low + bisection.high) / 2
           END
      FROM bisection
     CROSS JOIN LATERAL (
               SELECT ledger_transactions.posted_at
                 FROM entries
                 JOIN ledger_transactions ON ledger_transactions.id = entries.transaction_id
                WHERE entries.account_id = %(account_id)s
                  AND entries.sequence = (bisection.low + bisection.high) / 2) AS middle
     WHERE bisection.low < bisection.high
), bounds AS MATERIALIZED (
    SELECT max(low) FILTER (WHERE bound = 'from') AS first_sequence,
           max(low) FILTER (WHERE bound = 'to') AS end_sequence
      FROM bisection
     WHERE low = high
)
SELECT page.account_id, page.sequence, page.transaction_id,
       CASE WHEN posted.kind IN ('payment', 'refund') THEN posted.payment_id
            WHEN posted.kind IN ('dispute', 'dispute_reversal')
            THEN (SELECT disputes.payment_id FROM disputes WHERE disputes.id = posted.payment_id)
       END, posted.refund_id, posted.kind, page.amount, page.balance_after, posted.posted_at,
       CASE WHEN posted.kind IN ('dispute', 'dispute_reversal') THEN posted.payment_id END
  FROM (SELECT account_id, sequence, transaction_id, amount, balance_after
          FROM entries
         WHERE account_id = %(account_id)s
           AND sequence >= (SELECT first_sequence FROM bounds)
           AND sequence < least((SELECT end_sequence FROM bounds), %(before)s)
         ORDER BY sequence DESC
         LIMIT %(limit)s) AS page
 -- LIMIT 1 forces a primary key look-up per entry, whatever the planner expects of the limit.
 CROSS JOIN LATERAL (
           SELECT payment_id, refund_id, kind, posted_at
             FROM ledger_transactions
            WHERE id = page.transaction_id
            LIMIT 1) AS posted
 ORDER BY page.sequence DESC
