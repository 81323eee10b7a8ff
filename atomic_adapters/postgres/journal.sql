-- name: insert_journal_transactions
-- In the order of external ids, then of reversed transactions: concurrent inserts that wait for each
-- other's keys cannot deadlock. No conflict target: either key may conflict.
INSERT INTO journal_transactions (id, merchant_id, status, description, metadata, external_id,
                                  effective_at, created_at, reverses_id, idempotency_key, actor,
                                  actor_id, client_address, request_id, server_request_id, operator,
                                  expires_at)
SELECT id, merchant_id, status, description, metadata::jsonb, external_id, effective_at, created_at,
       reverses_id, idempotency_key, actor, actor_id, client_address::inet, request_id,
       server_request_id, operator, expires_at
  FROM unnest(%(ids)b::uuid[], %(merchant_ids)b::uuid[], %(statuses)b::text[],
              %(descriptions)b::text[], %(metadata)b::text[], %(external_ids)b::text[],
              %(effective_at)b::timestamptz[], %(created_at)b::timestamptz[],
              %(reverses_ids)b::uuid[], %(idempotency_keys)b::text[], %(actors)b::text[],
              %(actor_ids)b::uuid[], %(client_addresses)b::text[], %(request_ids)b::text[],
              %(server_request_ids)b::uuid[], %(operators)b::text[],
              %(expires_at)b::timestamptz[])
       WITH ORDINALITY
       AS new (id, merchant_id, status, description, metadata, external_id, effective_at,
               created_at, reverses_id, idempotency_key, actor, actor_id, client_address,
               request_id, server_request_id, operator, expires_at, ordinal)
 ORDER BY external_id COLLATE "C", reverses_id, ordinal
    ON CONFLICT DO NOTHING
RETURNING id

-- name: insert_journal_entries
INSERT INTO journal_entries (transaction_id, account_id, position, amount, created_at)
SELECT transaction_id, account_id, position, amount, created_at
  FROM unnest(%(transaction_ids)b::uuid[], %(account_ids)b::uuid[], %(positions)b::smallint[],
              %(amounts)b::bigint[], %(created_at)b::timestamptz[])
       AS new (transaction_id, account_id, position, amount, created_at)

-- name: insert_journal_holds
INSERT INTO journal_holds (transaction_id, account_id, amount, placed_at)
SELECT transaction_id, account_id, amount, placed_at
  FROM unnest(%(transaction_ids)b::uuid[], %(account_ids)b::uuid[], %(amounts)b::bigint[],
              %(placed_at)b::timestamptz[])
       AS new (transaction_id, account_id, amount, placed_at)

-- name: resolve_journal_transactions
UPDATE journal_transactions
   SET status = resolved.status, effective_at = resolved.effective_at,
       resolved_at = resolved.resolved_at
  FROM unnest(%(ids)b::uuid[], %(statuses)b::text[], %(effective_at)b::timestamptz[],
              %(resolved_at)b::timestamptz[]) AS resolved (id, status, effective_at, resolved_at)
 WHERE journal_transactions.id = resolved.id
   AND journal_transactions.status = 'PENDING'

-- name: release_journal_holds
-- Before update_accounts, as release_holds.
UPDATE journal_holds
   SET released_at = clock_timestamp()
 WHERE transaction_id = ANY(%(ids)b::uuid[])
   AND released_at IS NULL

-- name: lock_journal_transaction
SELECT
       -- include: journal_columns
  FROM journal_transactions
 WHERE id = %(id)s
   AND merchant_id = %(merchant_id)s
   FOR NO KEY UPDATE

-- name: lock_expired_journal_transactions
-- now(): the guard against an early end compares it too.
SELECT
       -- include: journal_columns
  FROM journal_transactions
 WHERE status = 'PENDING'
   AND expires_at <= now()
 ORDER BY expires_at, id
 LIMIT %(limit)s
   FOR NO KEY UPDATE SKIP LOCKED

-- name: get_journal_transaction
SELECT
       -- include: journal_columns
  FROM journal_transactions
 WHERE id = %(id)s
   AND merchant_id = %(merchant_id)s

-- name: find_journal_transactions_by_external_id
SELECT external_id, id
  FROM journal_transactions
 WHERE merchant_id = %(merchant_id)s
   AND external_id = ANY(%(external_ids)b::text[])

-- name: list_journal_transactions
SELECT
       -- include: journal_columns
  FROM journal_transactions
 WHERE merchant_id = %(merchant_id)s
   AND (created_at, id) < (%(top_at)s, %(top_id)s)
   AND created_at >= %(created_from)s
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s

-- name: list_journal_transactions_of_account
-- The entries of an account have the times of their transactions. An account of another merchant has
-- no transaction of this one.
SELECT
       -- include: journal_columns
  FROM journal_transactions
 WHERE id = ANY (ARRAY(
           SELECT journal_entries.transaction_id
             FROM journal_entries
            WHERE journal_entries.account_id = %(account_id)s
              AND (journal_entries.created_at, journal_entries.transaction_id)
                  < (%(top_at)s, %(top_id)s)
              AND journal_entries.created_at >= %(created_from)s
            ORDER BY journal_entries.created_at DESC, journal_entries.transaction_id DESC
            LIMIT %(limit)s))
   AND merchant_id = %(merchant_id)s
 ORDER BY created_at DESC, id DESC

-- name: list_journal_entries
SELECT requested.transaction_id, requested.account_id, accounts.currency, requested.amount,
       posted.sequence, posted.balance_after, coalesce(posted.amount, 0)
  FROM journal_entries AS requested
  JOIN accounts ON accounts.id = requested.account_id
  LEFT JOIN entries AS posted ON posted.transaction_id = requested.transaction_id
                             AND posted.account_id = requested.account_id
 WHERE requested.transaction_id = ANY(%(ids)b::uuid[])
 ORDER BY requested.transaction_id, requested.position
