-- name: list_balances_before
SELECT sums.id, sums.before, sums.last_sequence, sums.total
  FROM balances_before(%(account_ids)b::uuid[], %(moments)b::timestamptz[], %(is_effective)s)
       WITH ORDINALITY AS sums (id, before, last_sequence, total, place)
 ORDER BY sums.place

-- name: sum_by_type
WITH owned AS MATERIALIZED (
    SELECT id, merchant_id IS NULL AS is_system, type, currency, created_at
      FROM accounts
     WHERE merchant_id = %(merchant_id)s
),
-- include: trial_balance

-- name: sum_all_by_type
-- Apart from sum_by_type: an optional merchant would not be found by index.
WITH owned AS MATERIALIZED (
    SELECT id, merchant_id IS NULL AS is_system, type, currency, created_at
      FROM accounts
),
-- include: trial_balance

-- name: sum_accounts
SELECT currency, count(*), sum(balance), sum(pending_in), sum(pending_out)
  FROM accounts
 WHERE merchant_id = %(merchant_id)s
 GROUP BY currency
 ORDER BY currency COLLATE "C"

-- name: sum_subtree
-- Both ranges of names are read from accounts_by_name.
SELECT currency, count(*), sum(balance), sum(pending_in), sum(pending_out)
  FROM (SELECT currency, balance, pending_in, pending_out
          FROM accounts
         WHERE merchant_id = %(merchant_id)s
           AND name COLLATE "C" = %(name)s
        UNION ALL
        SELECT currency, balance, pending_in, pending_out
          FROM accounts
         WHERE merchant_id = %(merchant_id)s
           AND name COLLATE "C" >= %(first)s
           AND name COLLATE "C" < %(end)s) AS subtree
 GROUP BY currency
 ORDER BY currency COLLATE "C"

-- name: sum_by_kind
-- LIMIT 1 forces a primary key look-up per entry, as in list_entries.
SELECT posted.kind, count(*), coalesce(sum(-entries.amount) FILTER (WHERE entries.amount < 0), 0),
       coalesce(sum(entries.amount) FILTER (WHERE entries.amount > 0), 0)
  FROM entries
 CROSS JOIN LATERAL (
           SELECT kind
             FROM ledger_transactions
            WHERE id = entries.transaction_id
            LIMIT 1) AS posted
 WHERE entries.account_id = %(account_id)s
   AND entries.sequence > %(after_sequence)s
   AND entries.sequence <= %(last_sequence)s
 GROUP BY posted.kind
 ORDER BY posted.kind COLLATE "C"

-- name: list_explained_entries
SELECT page.account_id, page.sequence, page.transaction_id,
       CASE WHEN posted.kind IN ('payment', 'refund') THEN posted.payment_id
            WHEN posted.kind IN ('dispute', 'dispute_reversal')
            THEN (SELECT disputes.payment_id FROM disputes WHERE disputes.id = posted.payment_id)
       END, posted.refund_id, posted.kind,
       page.amount, page.balance_after, posted.posted_at,
       CASE WHEN posted.kind IN ('dispute', 'dispute_reversal') THEN posted.payment_id END,
       CASE posted.kind
           WHEN 'journal' THEN (SELECT effective_at FROM journal_transactions WHERE id = posted.id)
           ELSE posted.posted_at
       END,
       CASE posted.kind
           WHEN 'journal' THEN (SELECT request_id FROM journal_transactions WHERE id = posted.id)
           WHEN 'refund' THEN (SELECT request_id FROM refunds WHERE id = posted.refund_id)
           WHEN 'payment' THEN (SELECT request_id FROM payments WHERE id = posted.payment_id)
       END
  FROM (SELECT account_id, sequence, transaction_id, amount, balance_after
          FROM entries
         WHERE account_id = %(account_id)s
           AND sequence > %(after_sequence)s
           AND sequence <= %(last_sequence)s
         ORDER BY sequence DESC
         LIMIT %(limit)s) AS page
 CROSS JOIN LATERAL (
           SELECT id, payment_id, refund_id, kind, posted_at
             FROM ledger_transactions
            WHERE id = page.transaction_id
            LIMIT 1) AS posted
 ORDER BY page.sequence DESC

-- name: open_progress
INSERT INTO snapshot_progress (is_only)
VALUES (true)
    ON CONFLICT DO NOTHING

-- name: lock_progress
SELECT through, after_id
  FROM snapshot_progress
   FOR NO KEY UPDATE SKIP LOCKED

-- name: save_progress
UPDATE snapshot_progress
   SET through = %(through)s, after_id = %(after_id)s

-- name: take_snapshots
-- `next_entry` is the entry after the last snapshot of an account. If its day has ended, the last entry of
-- that day is its snapshot. The snapshot of a day can exist already: its later entries were committed after
-- it was taken.
WITH page AS MATERIALIZED (
    SELECT id
      FROM accounts
     WHERE id > coalesce(%(after_id)s::uuid, '00000000-0000-0000-0000-000000000000')
     ORDER BY id
     LIMIT %(limit)s
), next_day AS MATERIALIZED (
    SELECT page.id, (posted.posted_at AT TIME ZONE 'UTC')::date AS day
      FROM page
     CROSS JOIN LATERAL (
               SELECT coalesce((SELECT balance_snapshots.sequence
                                  FROM balance_snapshots
                                 WHERE balance_snapshots.account_id = page.id
                                 ORDER BY balance_snapshots.day DESC
                                 LIMIT 1), 0) AS sequence) AS kept
     CROSS JOIN LATERAL (
               SELECT ledger_transactions.posted_at
                 FROM entries
                 JOIN ledger_transactions ON ledger_transactions.id = entries.transaction_id
                WHERE entries.account_id = page.id
                  AND entries.sequence = kept.sequence + 1
                LIMIT 1) AS posted
     WHERE posted.posted_at < %(before)s::date::timestamp AT TIME ZONE 'UTC'
), taken AS (
    INSERT INTO balance_snapshots AS kept (account_id, day, sequence, balance)
    SELECT sums.id, (sums.before AT TIME ZONE 'UTC')::date - 1, sums.last_sequence, sums.total
      FROM balances_before(
               ARRAY(SELECT id FROM next_day ORDER BY id),
               ARRAY(SELECT (day + 1)::timestamp AT TIME ZONE 'UTC' FROM next_day ORDER BY id),
               false) AS sums
     ORDER BY sums.id
        ON CONFLICT (account_id, day)
        DO UPDATE SET sequence = excluded.sequence, balance = excluded.balance
           WHERE kept.sequence < excluded.sequence
    RETURNING account_id
)
SELECT (SELECT count(*) FROM taken),
       (SELECT id FROM page ORDER BY id DESC LIMIT 1)
