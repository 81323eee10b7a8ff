-- name: get_profile
SELECT merchants.id, merchants.name, merchants.created_at, credentials.email, now() AS at
  FROM merchants
  JOIN credentials ON credentials.merchant_id = merchants.id
 WHERE merchants.id = %(merchant_id)s

-- name: list_accounts
SELECT
       -- include: account_columns
  FROM accounts
 WHERE merchant_id = %(merchant_id)s
 ORDER BY created_at, id
 LIMIT %(limit)s

-- name: sum_payments
-- Counts and sums of the newest `limit` payments of the last `days` days, by status and currency:
-- today's, then all. Index scans as in list_payments.
WITH RECURSIVE
-- include: merchant_currencies
SELECT status, currency,
       count(*) FILTER (WHERE is_today), count(*),
       least(coalesce(sum(amount) FILTER (WHERE is_today), 0), 9007199254740991)::bigint,
       least(sum(amount), 9007199254740991)::bigint
  FROM (SELECT found.status, merchant_currencies.currency, found.amount,
               found.created_at >= date_trunc('day', now(), 'UTC') AS is_today
          FROM merchant_currencies
         CROSS JOIN unnest(%(phases)b::text[]) AS filter (phase)
         CROSS JOIN LATERAL (
                   SELECT probed.id, probed.status, probed.amount, probed.created_at
                     FROM payments AS probed
                    WHERE probed.merchant_id = %(merchant_id)s
                      AND probed.currency = merchant_currencies.currency
                      AND probed.phase = filter.phase
                      AND probed.created_at >= date_trunc('day', now(), 'UTC')
                                               - make_interval(days => %(days)s - 1)
                    ORDER BY probed.created_at DESC, probed.id DESC
                    LIMIT %(limit)s) AS found
         ORDER BY found.created_at DESC, found.id DESC
         LIMIT %(limit)s) AS recent
 GROUP BY status, currency
 ORDER BY status, currency
