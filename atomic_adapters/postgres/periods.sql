-- name: lock_accounts_of_merchant
-- In id order, as lock_accounts.
SELECT id, currency
  FROM accounts
 WHERE merchant_id = %(merchant_id)s
 ORDER BY id
   FOR NO KEY UPDATE

-- name: insert_period
INSERT INTO ledger_periods (id, merchant_id, starts_on, ends_on, closed_at, accounts, digest,
                            previous_digest)
VALUES (%(id)s, %(merchant_id)s, %(starts_on)s, %(ends_on)s, %(closed_at)s, %(accounts)s,
        %(digest)s, %(previous_digest)s)

-- name: insert_closing_balances
INSERT INTO closing_balances (period_id, sequence, account_id, currency, balance)
SELECT %(period_id)s, sequence, account_id, currency, balance::numeric
  FROM unnest(%(sequences)b::bigint[], %(account_ids)b::uuid[], %(currencies)b::text[],
              %(balances)b::text[]) AS new (sequence, account_id, currency, balance)

-- name: get_last_period
SELECT
       -- include: period_columns
  FROM ledger_periods
 WHERE merchant_id = %(merchant_id)s
 ORDER BY ends_on DESC
 LIMIT 1

-- name: get_closed_through
SELECT max(ends_on)
  FROM ledger_periods
 WHERE merchant_id = %(merchant_id)s

-- name: get_period
SELECT
       -- include: period_columns
  FROM ledger_periods
 WHERE id = %(id)s
   AND merchant_id = %(merchant_id)s

-- name: list_periods
SELECT
       -- include: period_columns
  FROM ledger_periods
 WHERE merchant_id = %(merchant_id)s
   AND (closed_at, id) < (%(top_at)s, %(top_id)s)
 ORDER BY closed_at DESC, id DESC
 LIMIT %(limit)s

-- name: list_closing_balances
SELECT sequence, account_id, currency, balance
  FROM closing_balances
 WHERE period_id = %(id)s
   AND sequence > %(after_sequence)s
 ORDER BY sequence
 LIMIT %(limit)s
