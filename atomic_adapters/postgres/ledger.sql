-- name: open_account
INSERT INTO accounts (id, merchant_id, name, currency, type, min_balance, max_balance, external_id,
                      metadata, head)
VALUES (%(id)s, %(merchant_id)s, %(name)s, %(currency)s, %(type)s, %(min_balance)s, %(max_balance)s,
        %(external_id)s, %(metadata)s::text::jsonb, %(head)s)
RETURNING
       -- include: account_columns

-- name: open_system_accounts
-- Concurrent processes insert the same rows; the second finds them. No conflict target: a row has
-- two unique keys, and either may conflict first.
INSERT INTO accounts (id, name, currency, type, allow_negative, head)
SELECT id, name, %(currency)s, type, allow_negative, head
  FROM unnest(%(ids)b::uuid[], %(names)b::text[], %(types)b::text[], %(allow_negative)b::boolean[],
              %(heads)b::bytea[]) AS new (id, name, type, allow_negative, head)
 ORDER BY id
    ON CONFLICT DO NOTHING

-- name: get_account
SELECT
       -- include: account_columns
  FROM accounts
 WHERE id = %(id)s
   AND merchant_id = %(merchant_id)s

-- name: update_account
-- The account is locked, so that the time is not before that of its last entry.
UPDATE accounts
   SET name = %(name)s, metadata = %(metadata)s::text::jsonb, status = %(status)s,
       status_changed_at = CASE WHEN status = %(status)s THEN status_changed_at
                                ELSE greatest(clock_timestamp(), last_posted_at)
                           END
 WHERE id = %(id)s
RETURNING
       -- include: account_columns

-- name: find_account_by_external_id
SELECT id
  FROM accounts
 WHERE merchant_id = %(merchant_id)s
   AND external_id = %(external_id)s

-- name: get_default_account
-- As in insert_payments.
SELECT
       -- include: account_columns
  FROM accounts
 WHERE merchant_id = %(merchant_id)s
   AND currency = %(currency)s
   AND type = 'liability'
   AND status <> 'CLOSED'
 ORDER BY created_at, id
 LIMIT 1

-- name: get_closed_account
-- The oldest account that payments would credit if it was not closed.
SELECT
       -- include: account_columns
  FROM accounts
 WHERE merchant_id = %(merchant_id)s
   AND currency = %(currency)s
   AND type = 'liability'
   AND status = 'CLOSED'
 ORDER BY created_at, id
 LIMIT 1

-- name: lock_accounts
-- In id order, so that transactions cannot deadlock. NO KEY: the foreign-key checks of new payments
-- do not wait for this lock.
SELECT
       -- include: account_columns
  FROM accounts
 WHERE id = ANY(%(ids)b)
 ORDER BY id
   FOR NO KEY UPDATE

-- name: lock_owned_accounts
-- As lock_accounts, without accounts of others.
SELECT
       -- include: account_columns
  FROM accounts
 WHERE id = ANY(%(ids)b)
   AND merchant_id = %(merchant_id)s
 ORDER BY id
   FOR NO KEY UPDATE

-- name: lock_available_accounts
-- Skips accounts that another transaction has locked.
SELECT
       -- include: account_columns
  FROM accounts
 WHERE id = ANY(%(ids)b)
 ORDER BY id
   FOR NO KEY UPDATE SKIP LOCKED

-- name: update_accounts
-- Before insert_entries: a trigger checks that the entries end at the accounts' new state.
UPDATE accounts
   SET balance = updated.balance, sequence = updated.sequence, head = updated.head,
       last_posted_at = %(posted_at)s
  FROM unnest(%(ids)b::uuid[], %(balances)b::bigint[], %(sequences)b::bigint[],
              %(heads)b::bytea[]) AS updated (id, balance, sequence, head)
 WHERE accounts.id = updated.id

-- name: insert_transactions
INSERT INTO ledger_transactions (id, payment_id, kind, refund_id, posted_at)
SELECT new.id, new.payment_id, new.kind, new.refund_id, %(posted_at)s
  FROM unnest(%(ids)b::uuid[], %(payment_ids)b::uuid[], %(kinds)b::text[],
              %(refund_ids)b::uuid[]) AS new (id, payment_id, kind, refund_id)

-- name: insert_entries
INSERT INTO entries (account_id, sequence, transaction_id, amount, balance_after, hash)
SELECT new.account_id, new.sequence, new.transaction_id, new.amount, new.balance_after, new.hash
  FROM unnest(%(account_ids)b::uuid[], %(sequences)b::bigint[], %(transaction_ids)b::uuid[],
              %(amounts)b::bigint[], %(balances_after)b::bigint[], %(hashes)b::bytea[])
       AS new (account_id, sequence, transaction_id, amount, balance_after, hash)

-- name: release_holds
-- Before update_accounts: a held amount is not available, so posting it first would be refused. The
-- subselect forces one index look-up per hold: nearly all holds are released ones, and the planner
-- would otherwise scan them all.
UPDATE holds
   SET released_at = clock_timestamp()
 WHERE ctid = ANY (ARRAY(
           SELECT (SELECT live.ctid
                     FROM holds AS live
                    WHERE live.payment_id = released.payment_id
                      AND live.refund_id IS NOT DISTINCT FROM released.refund_id
                      AND live.amount = released.amount
                      AND live.released_at IS NULL)
             FROM unnest(%(payment_ids)b::uuid[], %(refund_ids)b::uuid[], %(amounts)b::bigint[])
                  AS released (payment_id, refund_id, amount)))

-- name: insert_holds
INSERT INTO holds (payment_id, refund_id, debit_account_id, credit_account_id, amount, placed_at)
SELECT payment_id, refund_id, debit_account_id, credit_account_id, amount, clock_timestamp()
  FROM unnest(%(payment_ids)b::uuid[], %(refund_ids)b::uuid[], %(debit_account_ids)b::uuid[],
              %(credit_account_ids)b::uuid[], %(amounts)b::bigint[])
       AS new (payment_id, refund_id, debit_account_id, credit_account_id, amount)

-- name: list_transactions_by_payment
-- A refund can have the time of its payment, and an earlier id: ids follow another clock.
SELECT t.id, t.payment_id, t.kind, t.posted_at, t.refund_id, e.transaction_id, e.account_id,
       e.sequence, e.amount, e.balance_after, e.hash
  FROM ledger_transactions t
  JOIN entries e ON e.transaction_id = t.id
 WHERE t.payment_id = %(payment_id)s
 ORDER BY t.posted_at, t.refund_id IS NOT NULL, t.id, e.amount, e.account_id
