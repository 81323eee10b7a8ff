-- name: list_payments
-- For each of the merchant's currencies and each phase, one range scan of the index by age that
-- stops after a page; the page is the newest of the rows found. The outer query fetches rows by
-- an array of ids: the planner assumes few elements and uses the primary key, whatever the limit.
WITH RECURSIVE
-- include: merchant_currencies
SELECT
       -- include: payment_columns
  FROM payments
 WHERE id = ANY (ARRAY(
           SELECT found.id
             FROM merchant_currencies
            CROSS JOIN unnest(%(phases)b::text[]) AS filter (phase)
            CROSS JOIN LATERAL (
                      SELECT probed.id, probed.created_at
                        FROM payments AS probed
                       WHERE probed.merchant_id = %(merchant_id)s
                         AND probed.currency = merchant_currencies.currency
                         AND probed.phase = filter.phase
                         AND probed.status = ANY(%(statuses)b::text[])
                         AND (probed.created_at, probed.id) < (%(top_at)s, %(top_id)s)
                         AND probed.created_at >= %(created_from)s
                         AND probed.amount BETWEEN %(amount_min)s AND %(amount_max)s
                       ORDER BY probed.created_at DESC, probed.id DESC
                       LIMIT %(limit)s) AS found
            WHERE merchant_currencies.currency
                  = coalesce(%(currency)s::text, merchant_currencies.currency)
            ORDER BY found.created_at DESC, found.id DESC
            LIMIT %(limit)s))
 ORDER BY created_at DESC, id DESC

-- name: count_payments_by_amount
-- Stops at `max_rows`.
SELECT count(*)
  FROM (SELECT
          FROM payment_amounts
         WHERE merchant_id = %(merchant_id)s
           AND amount BETWEEN %(amount_min)s AND %(amount_max)s
         LIMIT %(max_rows)s) AS counted_rows

-- name: list_payments_by_amount
-- For a range with few payments: reads all of them, filters, and sorts. LIMIT 1 forces a primary
-- key look-up per payment, whatever the planner's estimate of their number.
SELECT
       -- include: payment_columns
  FROM payments
 WHERE id = ANY (ARRAY(
           SELECT candidate.id
             FROM payment_amounts
            CROSS JOIN LATERAL (
                      SELECT matching.id, matching.currency, matching.status, matching.created_at
                        FROM payments AS matching
                       WHERE matching.id = payment_amounts.payment_id
                       LIMIT 1) AS candidate
            WHERE payment_amounts.merchant_id = %(merchant_id)s
              AND payment_amounts.amount BETWEEN %(amount_min)s AND %(amount_max)s
              AND candidate.currency = coalesce(%(currency)s::text, candidate.currency)
              AND candidate.status = ANY(%(statuses)b::text[])
              AND (candidate.created_at, candidate.id) < (%(top_at)s, %(top_id)s)
              AND candidate.created_at >= %(created_from)s
            ORDER BY candidate.created_at DESC, candidate.id DESC
            LIMIT %(limit)s))
 ORDER BY created_at DESC, id DESC

-- name: find_rarest_payment_pair
-- The pair with the fewest payments, by which to search. Counting stops at `max_rows`.
SELECT pair.key, pair.value
  FROM unnest(%(keys)b::text[], %(values)b::text[]) AS pair (key, value)
 CROSS JOIN LATERAL (
           SELECT count(*) AS count
             FROM (SELECT
                     FROM payment_metadata
                    WHERE payment_metadata.merchant_id = %(merchant_id)s
                      AND payment_metadata.key = pair.key
                      AND payment_metadata.value = pair.value
                    LIMIT %(max_rows)s) AS counted_rows) AS counted
 ORDER BY counted.count
 LIMIT 1

-- name: list_payments_by_metadata
-- Walks the index of one pair by age; the other filters are checked on the payments.
SELECT
       -- include: payment_columns
  FROM payments
 WHERE id = ANY (ARRAY(
           SELECT payment_metadata.payment_id
             FROM payment_metadata
             JOIN payments AS payment ON payment.id = payment_metadata.payment_id
            WHERE payment_metadata.merchant_id = %(merchant_id)s
              AND payment_metadata.key = %(key)s
              AND payment_metadata.value = %(value)s
              AND (payment_metadata.created_at, payment_metadata.payment_id)
                  < (%(top_at)s, %(top_id)s)
              AND payment_metadata.created_at >= %(created_from)s
              AND payment.metadata @> %(metadata)s::text::jsonb
              AND payment.currency = coalesce(%(currency)s::text, payment.currency)
              AND payment.status = ANY(%(statuses)b::text[])
              AND payment.amount BETWEEN %(amount_min)s AND %(amount_max)s
            ORDER BY payment_metadata.created_at DESC, payment_metadata.payment_id DESC
            LIMIT %(limit)s))
 ORDER BY created_at DESC, id DESC
