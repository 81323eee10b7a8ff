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
-- today's and those of the days before. Index scans as in list_payments. The subselect computes today's
-- midnight once, not once per payment. MATERIALIZED: the planner then aggregates the few groups by
-- hash, without sorting the payments a second time.
WITH RECURSIVE
-- include: merchant_currencies
, recent AS MATERIALIZED (
    SELECT found.created_at >= (SELECT date_trunc('day', now(), 'UTC')) AS is_today,
           found.status, merchant_currencies.currency, found.amount, found.refunded, found.fee
      FROM merchant_currencies
     CROSS JOIN unnest(%(phases)b::text[]) AS filter (phase)
     CROSS JOIN LATERAL (
               SELECT probed.created_at, probed.status,
                      CASE probed.status
                          WHEN 'SUCCESS' THEN coalesce(probed.capture_amount, probed.amount)
                          ELSE probed.amount
                      END AS amount,
                      probed.amount_refunded AS refunded, probed.fee_amount AS fee
                 FROM payments AS probed
                WHERE probed.merchant_id = %(merchant_id)s
                  AND probed.currency = merchant_currencies.currency
                  AND probed.phase = filter.phase
                  AND probed.created_at >= date_trunc('day', now(), 'UTC')
                                           - make_interval(days => %(days)s - 1)
                ORDER BY probed.created_at DESC, probed.id DESC
                LIMIT %(limit)s) AS found
     ORDER BY found.created_at DESC
     LIMIT %(limit)s)
SELECT is_today, status, currency, count(*), sum(amount), coalesce(sum(refunded), 0),
       coalesce(sum(fee), 0)
  FROM recent
 GROUP BY is_today, status, currency
