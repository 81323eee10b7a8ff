-- name: list_payments
-- One probe of the index for each of the merchant's currencies and each phase, in order of age and no
-- longer than the page; the page is the newest of what they find. `held` finds the currencies by a
-- jump each, however many accounts there are. What is found is fetched by id, as an array: of that
-- the planner thinks small, whatever the limit.
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
SELECT id, merchant_id, account_id, amount, currency, source, description, status, idempotency_key,
       webhook_url, failure_reason, created_at, updated_at, capture, step, metadata, request_id,
       claimed_at, attempt, expires_at, capture_amount, cancellation_reason, fee_amount,
       refunds_reserved, amount_refunded
  FROM payments
 WHERE id = ANY (ARRAY(
           SELECT found.id
             FROM held
            CROSS JOIN unnest(%(phases)b::text[]) AS wanted (phase)
            CROSS JOIN LATERAL (
                      SELECT probed.id, probed.created_at
                        FROM payments AS probed
                       WHERE probed.merchant_id = %(merchant_id)s
                         AND probed.currency = held.currency
                         AND probed.phase = wanted.phase
                         AND probed.status = ANY(%(statuses)b::text[])
                         AND (probed.created_at, probed.id) < (%(top_at)s, %(top_id)s)
                         AND probed.created_at >= %(created_from)s
                         AND probed.amount BETWEEN %(amount_min)s AND %(amount_max)s
                       ORDER BY probed.created_at DESC, probed.id DESC
                       LIMIT %(limit)s) AS found
            WHERE held.currency = coalesce(%(currency)s::text, held.currency)
            ORDER BY found.created_at DESC, found.id DESC
            LIMIT %(limit)s))
 ORDER BY created_at DESC, id DESC

-- name: count_payments_by_amount
-- No further than `few`.
SELECT count(*)
  FROM (SELECT
          FROM payment_amounts
         WHERE merchant_id = %(merchant_id)s
           AND amount BETWEEN %(amount_min)s AND %(amount_max)s
         LIMIT %(few)s) AS first_few

-- name: list_payments_by_amount
-- For a range of amounts that few payments fall into: all of those, and what is left of them. One by
-- one by id (LIMIT 1), however many the planner thinks there are.
SELECT id, merchant_id, account_id, amount, currency, source, description, status, idempotency_key,
       webhook_url, failure_reason, created_at, updated_at, capture, step, metadata, request_id,
       claimed_at, attempt, expires_at, capture_amount, cancellation_reason, fee_amount,
       refunds_reserved, amount_refunded
  FROM payments
 WHERE id = ANY (ARRAY(
           SELECT few.id
             FROM payment_amounts
            CROSS JOIN LATERAL (
                      SELECT one.id, one.currency, one.status, one.created_at
                        FROM payments AS one
                       WHERE one.id = payment_amounts.payment_id
                       LIMIT 1) AS few
            WHERE payment_amounts.merchant_id = %(merchant_id)s
              AND payment_amounts.amount BETWEEN %(amount_min)s AND %(amount_max)s
              AND few.currency = coalesce(%(currency)s::text, few.currency)
              AND few.status = ANY(%(statuses)b::text[])
              AND (few.created_at, few.id) < (%(top_at)s, %(top_id)s)
              AND few.created_at >= %(created_from)s
            ORDER BY few.created_at DESC, few.id DESC
            LIMIT %(limit)s))
 ORDER BY created_at DESC, id DESC

-- name: find_rarest_payment_pair
-- Which of several pairs to go by. Counts no further than `few`.
SELECT pair.key, pair.value
  FROM unnest(%(keys)b::text[], %(values)b::text[]) AS pair (key, value)
 CROSS JOIN LATERAL (
           SELECT count(*) AS times
             FROM (SELECT
                     FROM payment_metadata
                    WHERE payment_metadata.merchant_id = %(merchant_id)s
                      AND payment_metadata.key = pair.key
                      AND payment_metadata.value = pair.value
                    LIMIT %(few)s) AS first_few) AS counted
 ORDER BY counted.times
 LIMIT 1

-- name: list_payments_by_metadata
-- In the order of one pair; the others are looked for on the payments themselves.
SELECT id, merchant_id, account_id, amount, currency, source, description, status, idempotency_key,
       webhook_url, failure_reason, created_at, updated_at, capture, step, metadata, request_id,
       claimed_at, attempt, expires_at, capture_amount, cancellation_reason, fee_amount,
       refunds_reserved, amount_refunded
  FROM payments
 WHERE id = ANY (ARRAY(
           SELECT payment_metadata.payment_id
             FROM payment_metadata
             JOIN payments AS tagged ON tagged.id = payment_metadata.payment_id
            WHERE payment_metadata.merchant_id = %(merchant_id)s
              AND payment_metadata.key = %(key)s
              AND payment_metadata.value = %(value)s
              AND (payment_metadata.created_at, payment_metadata.payment_id)
                  < (%(top_at)s, %(top_id)s)
              AND payment_metadata.created_at >= %(created_from)s
              AND tagged.metadata @> %(metadata)s::text::jsonb
              AND tagged.currency = coalesce(%(currency)s::text, tagged.currency)
              AND tagged.status = ANY(%(statuses)b::text[])
              AND tagged.amount BETWEEN %(amount_min)s AND %(amount_max)s
            ORDER BY payment_metadata.created_at DESC, payment_metadata.payment_id DESC
            LIMIT %(limit)s))
 ORDER BY created_at DESC, id DESC
