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

-- name: sum_totals
-- Today's totals and those of the days before, by status and currency. Reads the rows of at most `days`
-- days, each with some slots per status and currency; see migration 0017. A total that payments have left
-- has a count of 0.
SELECT day = (now() AT TIME ZONE 'UTC')::date AS is_today, status, currency, sum(payments)::bigint,
       sum(amount), sum(refunded), sum(fees)
  FROM payment_totals
 WHERE merchant_id = %(merchant_id)s
   AND day >= (now() AT TIME ZONE 'UTC')::date - (%(days)s::integer - 1)
 GROUP BY is_today, status, currency
HAVING sum(payments) <> 0

-- name: sum_open_payments
-- Counts and sums of open payments of the last `days` days, by status and currency: today's and those of
-- the days before, of each currency the newest `limit`. They have no total. Index scans as in
-- list_payments. Each scan is summed as it is read: sorting the payments of all currencies by age took
-- longer than reading them. The subselect computes today's midnight once, not once per payment.
WITH RECURSIVE
-- include: merchant_currencies
SELECT open_payments.is_today, open_payments.status, merchant_currencies.currency,
       open_payments.payments, open_payments.amount, 0, 0
  FROM merchant_currencies
 CROSS JOIN LATERAL (
           SELECT found.created_at >= (SELECT date_trunc('day', now(), 'UTC')) AS is_today,
                  found.status, count(*) AS payments, sum(found.amount) AS amount
             FROM (SELECT probed.created_at, probed.status, probed.amount
                     FROM payments AS probed
                    WHERE probed.merchant_id = %(merchant_id)s
                      AND probed.currency = merchant_currencies.currency
                      AND probed.phase = 'OPEN'
                      AND probed.created_at >= date_trunc('day', now(), 'UTC')
                                               - make_interval(days => %(days)s - 1)
                    ORDER BY probed.created_at DESC, probed.id DESC
                    LIMIT %(limit)s) AS found
            GROUP BY is_today, found.status) AS open_payments
