-- name: one_snapshot
-- Every statement after this one sees the books of the same moment.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- name: patience
-- Reading all entries may take long; it holds no lock that anybody waits for.
SELECT set_config('statement_timeout', '3600s', true)

-- name: counts
SELECT (SELECT count(*) FROM accounts),
       (SELECT count(*) FROM ledger_transactions),
       (SELECT count(*) FROM entries),
       (SELECT count(*) FROM payments)

-- name: currency_balanced
SELECT a.currency, format('entries sum to %%s', sum(e.amount))
  FROM entries e
  JOIN accounts a ON a.id = e.account_id
 GROUP BY a.currency
HAVING sum(e.amount) <> 0
 ORDER BY a.currency
 LIMIT %(most)s

-- name: transaction_balanced
SELECT t.id::text,
       format('%%s entries in %%s currencies sum to %%s', count(e.account_id),
              count(DISTINCT a.currency), coalesce(sum(e.amount), 0))
  FROM ledger_transactions t
  LEFT JOIN entries e ON e.transaction_id = t.id
  LEFT JOIN accounts a ON a.id = e.account_id
 GROUP BY t.id
HAVING coalesce(sum(e.amount), 0) <> 0
    OR count(e.account_id) < 2
    OR min(a.currency) IS DISTINCT FROM max(a.currency)
 ORDER BY t.id
 LIMIT %(most)s

-- name: balance_is_sum
SELECT a.id::text,
       format('balance is %%s, entries sum to %%s', a.balance, coalesce(e.total, 0))
  FROM accounts a
  LEFT JOIN (SELECT account_id, sum(amount) AS total FROM entries GROUP BY account_id) e
         ON e.account_id = a.id
 WHERE a.balance <> coalesce(e.total, 0)
    OR NOT a.allow_negative AND a.balance NOT BETWEEN 0 AND 9007199254740991
 ORDER BY a.id
 LIMIT %(most)s

-- name: tip_is_last_entry
SELECT a.id::text,
       format('account is at %%s, its last entry at %%s', a.sequence, coalesce(last.sequence, 0))
  FROM accounts a
  LEFT JOIN LATERAL (SELECT e.sequence, e.balance_after, e.hash
                       FROM entries e
                      WHERE e.account_id = a.id
                      ORDER BY e.sequence DESC
                      LIMIT 1) last ON true
 WHERE (a.sequence, a.balance, a.head) IS DISTINCT FROM
       (coalesce(last.sequence, 0), coalesce(last.balance_after, 0),
        coalesce(last.hash, chain_start(a)))
 ORDER BY a.id
 LIMIT %(most)s

-- name: chain_unbroken
-- The same bytes as atomic_core.domain.ledger.entry_hash, built here a second time on purpose.
-- Nothing an entry or a transaction may hold makes this fail: numeric does not overflow, and a
-- time that is no time, or a transaction that is gone, gives NULL, which is DISTINCT.
SELECT format('%%s#%%s', c.account_id, c.sequence), 'does not follow the one before'
  FROM (SELECT e.account_id, e.sequence, e.transaction_id, e.amount, e.balance_after, e.hash,
               t.payment_id, t.kind, t.posted_at,
               lag(e.sequence, 1, 0::bigint) OVER chain AS previous_sequence,
               lag(e.balance_after, 1, 0::bigint) OVER chain AS previous_balance,
               lag(e.hash) OVER chain AS previous_hash
          FROM entries e
          LEFT JOIN ledger_transactions t ON t.id = e.transaction_id
        WINDOW chain AS (PARTITION BY e.account_id ORDER BY e.sequence)) c
  JOIN accounts a ON a.id = c.account_id
 WHERE c.sequence <> c.previous_sequence + 1
    OR c.balance_after <> c.previous_balance::numeric + c.amount
    OR c.hash IS DISTINCT FROM sha256(
           coalesce(c.previous_hash, chain_start(a))
           || uuid_send(c.account_id) || int8send(c.sequence)
           || uuid_send(c.transaction_id) || uuid_send(c.payment_id)
           || int8send(c.amount) || int8send(c.balance_after)
           || int8send(CASE WHEN isfinite(c.posted_at)
                            THEN (extract(epoch FROM c.posted_at) * 1000000)::bigint END)
           || decode(c.kind, 'escape'))
 ORDER BY c.account_id, c.sequence
 LIMIT %(most)s

-- name: payment_posted
SELECT p.id::text,
       CASE WHEN (p.status = 'SUCCESS') = (t.id IS NOT NULL)
            THEN 'posted with another amount or account'
            ELSE format('%%s, yet %%s', p.status,
                        CASE WHEN t.id IS NULL THEN 'not posted' ELSE 'posted' END)
       END
  FROM payments p
  LEFT JOIN ledger_transactions t ON t.payment_id = p.id AND t.kind = 'payment'
  LEFT JOIN LATERAL (SELECT count(*) AS legs,
                            count(*) FILTER (WHERE e.account_id = p.account_id
                                               AND e.amount = p.amount) AS credits,
                            count(*) FILTER (WHERE a.merchant_id IS NULL
                                               AND a.currency = p.currency
                                               AND e.amount = -p.amount) AS debits
                       FROM entries e
                       JOIN accounts a ON a.id = e.account_id
                      WHERE e.transaction_id = t.id) found ON true
 WHERE (p.status = 'SUCCESS') <> (t.id IS NOT NULL)
    OR t.id IS NOT NULL AND (found.legs, found.credits, found.debits) <> (2, 1, 1)
 ORDER BY p.id
 LIMIT %(most)s

-- name: payment_known
SELECT t.id::text, 'posts a payment that does not exist'
  FROM ledger_transactions t
 WHERE NOT EXISTS (SELECT FROM payments p WHERE p.id = t.payment_id)
 ORDER BY t.id
 LIMIT %(most)s

-- name: payment_account_fits
SELECT p.id::text, 'its account is not the merchant''s, or of another currency'
  FROM payments p
 WHERE NOT EXISTS (SELECT FROM accounts a
                    WHERE (a.id, a.merchant_id, a.currency)
                          = (p.account_id, p.merchant_id, p.currency))
 ORDER BY p.id
 LIMIT %(most)s
