-- name: profile
SELECT merchants.id, merchants.name, merchants.created_at, credentials.email, now() AS at
  FROM merchants
  JOIN credentials ON credentials.merchant_id = merchants.id
 WHERE merchants.id = %(merchant_id)s

-- name: accounts_of_merchant
SELECT id, merchant_id, name, currency, allow_negative, balance, sequence, head, created_at,
       type, pending_in, pending_out
  FROM accounts
 WHERE merchant_id = %(merchant_id)s
 ORDER BY created_at, id
 LIMIT %(limit)s

-- name: last_payments
SELECT id
  FROM payments
 WHERE merchant_id = %(merchant_id)s
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s

-- name: totals
-- Of the newest `limit` payments since the first of the days; of all of them, how many there were.
SELECT status, currency,
       count(*) FILTER (WHERE is_today), count(*),
       least(coalesce(sum(amount) FILTER (WHERE is_today), 0), 9007199254740991)::bigint,
       least(sum(amount), 9007199254740991)::bigint
  FROM (SELECT status, currency, amount,
               created_at >= date_trunc('day', now(), 'UTC') AS is_today
          FROM payments
         WHERE merchant_id = %(merchant_id)s
           AND created_at >= date_trunc('day', now(), 'UTC') - make_interval(days => %(days)s - 1)
         ORDER BY created_at DESC, id DESC
         LIMIT %(limit)s) AS counted
 GROUP BY status, currency
 ORDER BY status, currency
