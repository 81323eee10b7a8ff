-- name: open_account
INSERT INTO accounts (id, merchant_id, name, currency, head)
VALUES (%(id)s, %(merchant_id)s, %(name)s, %(currency)s, %(head)s)
RETURNING id, merchant_id, name, currency, allow_negative, balance, sequence, head, created_at

-- name: open_world
-- Two processes that open it at once mean the same row; the second finds it there. No conflict
-- target: the row has two unique keys, and either may be the one that is met first.
INSERT INTO accounts (id, name, currency, allow_negative, head)
VALUES (%(id)s, %(name)s, %(currency)s, true, %(head)s)
    ON CONFLICT DO NOTHING

-- name: get_account
SELECT id, merchant_id, name, currency, allow_negative, balance, sequence, head, created_at
  FROM accounts
 WHERE id = %(id)s
   AND merchant_id = %(merchant_id)s

-- name: credited_account
SELECT id
  FROM accounts
 WHERE merchant_id = %(merchant_id)s
   AND currency = %(currency)s
 ORDER BY created_at, id
 LIMIT 1

-- name: lock_accounts
-- In id order: every transaction queues for the same rows the same way round.
-- NO KEY: a new payment's foreign-key check on an account need not wait.
SELECT id, merchant_id, name, currency, allow_negative, balance, sequence, head, created_at
  FROM accounts
 WHERE id = ANY(%(ids)b)
 ORDER BY id
   FOR NO KEY UPDATE

-- name: lock_free_accounts
SELECT id, merchant_id, name, currency, allow_negative, balance, sequence, head, created_at
  FROM accounts
 WHERE id = ANY(%(ids)b)
 ORDER BY id
   FOR NO KEY UPDATE SKIP LOCKED

-- name: update_accounts
-- Before the entries, which must continue up to what the accounts show.
UPDATE accounts
   SET balance = tip.balance, sequence = tip.sequence, head = tip.head
  FROM unnest(%(ids)b::uuid[], %(balances)b::bigint[], %(sequences)b::bigint[],
              %(heads)b::bytea[]) AS tip (id, balance, sequence, head)
 WHERE accounts.id = tip.id

-- name: add_transactions
INSERT INTO ledger_transactions (id, payment_id, kind, posted_at)
SELECT new.id, new.payment_id, new.kind, %(posted_at)s
  FROM unnest(%(ids)b::uuid[], %(payment_ids)b::uuid[], %(kinds)b::text[])
       AS new (id, payment_id, kind)

-- name: add_entries
INSERT INTO entries (account_id, sequence, transaction_id, amount, balance_after, hash)
SELECT new.account_id, new.sequence, new.transaction_id, new.amount, new.balance_after, new.hash
  FROM unnest(%(account_ids)b::uuid[], %(sequences)b::bigint[], %(transaction_ids)b::uuid[],
              %(amounts)b::bigint[], %(balances_after)b::bigint[], %(hashes)b::bytea[])
       AS new (account_id, sequence, transaction_id, amount, balance_after, hash)
