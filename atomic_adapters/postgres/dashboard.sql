-- name: get_profile
SELECT merchants.id, merchants.name, merchants.created_at, credentials.email, now() AS at
  FROM merchants
  JOIN credentials ON credentials.merchant_id = merchants.id
 WHERE merchants.id = %(merchant_id)s

-- name: get_accounts_of_merchant
SELECT id, merchant_id, name, currency, allow_negative, balance, sequence, head, created_at,
       type, pending_in, pending_out
  FROM accounts
 WHERE merchant_id = %(merchant_id)s
 ORDER BY created_at, id
 LIMIT %(limit)s

-- name: sum_payments
-- Of the newest `limit` payments since the first of the days; of all of them, how many there were.
-- By probes, as list_payments.
WITH RECURSIVE held (currency) AS (
    (SELECT accounts.currency
       FROM accounts
      WHERE accounts.merchant_id = %(merchant_id)s
      ORDER BY accounts.currency
      LIMIT 1)
    UNION ALL
    SELECT (SELECT accounts.currency
              FROM accounts
             WHERE accounts.merchant_id = %(merchant_id)s
               AND accounts.currency > held.currency
             ORDER BY accounts.currency
             LIMIT 1)
      FROM held
     WHERE held.currency IS NOT NULL
)
SELECT status, currency,
       count(*) FILTER (WHERE is_today), count(*),
       least(coalesce(sum(amount) FILTER (WHERE is_today), 0), 9007199254740991)::bigint,
       least(sum(amount), 9007199254740991)::bigint
  FROM (SELECT found.status, held.currency, found.amount,
               found.created_at >= date_trunc('day', now(), 'UTC') AS is_today
          FROM held
         CROSS JOIN unnest(%(phases)b::text[]) AS wanted (phase)
         CROSS JOIN LATERAL (
                   SELECT probed.id, probed.status, probed.amount, probed.created_at
                     FROM payments AS probed
                    WHERE probed.merchant_id = %(merchant_id)s
                      AND probed.currency = held.currency
                      AND probed.phase = wanted.phase
                      AND probed.created_at >= date_trunc('day', now(), 'UTC')
                                               - make_interval(days => %(days)s - 1)
                    ORDER BY probed.created_at DESC, probed.id DESC
                    LIMIT %(limit)s) AS found
         ORDER BY found.created_at DESC, found.id DESC
         LIMIT %(limit)s) AS counted
 GROUP BY status, currency
 ORDER BY status, currency
