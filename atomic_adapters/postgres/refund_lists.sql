-- name: list_refunds
-- As list_payments.
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
SELECT id, payment_id, merchant_id, account_id, amount, currency, reason, metadata, status,
       failure_reason, idempotency_key, created_at, updated_at, request_id, claimed_at, attempt
  FROM refunds
 WHERE id = ANY (ARRAY(
           SELECT found.id
             FROM held
            CROSS JOIN unnest(%(phases)b::text[]) AS wanted (phase)
            CROSS JOIN LATERAL (
                      SELECT probed.id, probed.created_at
                        FROM refunds AS probed
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

-- name: count_refunds_by_amount
SELECT count(*)
  FROM (SELECT
          FROM refunds
         WHERE merchant_id = %(merchant_id)s
           AND amount BETWEEN %(amount_min)s AND %(amount_max)s
         LIMIT %(few)s) AS first_few

-- name: list_refunds_by_amount
WITH few AS MATERIALIZED (
    SELECT id, currency, status, created_at
      FROM refunds
     WHERE merchant_id = %(merchant_id)s
       AND amount BETWEEN %(amount_min)s AND %(amount_max)s
)
SELECT id, payment_id, merchant_id, account_id, amount, currency, reason, metadata, status,
       failure_reason, idempotency_key, created_at, updated_at, request_id, claimed_at, attempt
  FROM refunds
 WHERE id = ANY (ARRAY(
           SELECT few.id
             FROM few
            WHERE few.currency = coalesce(%(currency)s::text, few.currency)
              AND few.status = ANY(%(statuses)b::text[])
              AND (few.created_at, few.id) < (%(top_at)s, %(top_id)s)
              AND few.created_at >= %(created_from)s
            ORDER BY few.created_at DESC, few.id DESC
            LIMIT %(limit)s))
 ORDER BY created_at DESC, id DESC

-- name: find_rarest_refund_pair
SELECT pair.key, pair.value
  FROM unnest(%(keys)b::text[], %(values)b::text[]) AS pair (key, value)
 CROSS JOIN LATERAL (
           SELECT count(*) AS times
             FROM (SELECT
                     FROM refund_metadata
                    WHERE refund_metadata.merchant_id = %(merchant_id)s
                      AND refund_metadata.key = pair.key
                      AND refund_metadata.value = pair.value
                    LIMIT %(few)s) AS first_few) AS counted
 ORDER BY counted.times
 LIMIT 1

-- name: list_refunds_by_metadata
SELECT id, payment_id, merchant_id, account_id, amount, currency, reason, metadata, status,
       failure_reason, idempotency_key, created_at, updated_at, request_id, claimed_at, attempt
  FROM refunds
 WHERE id = ANY (ARRAY(
           SELECT refund_metadata.refund_id
             FROM refund_metadata
             JOIN refunds AS tagged ON tagged.id = refund_metadata.refund_id
            WHERE refund_metadata.merchant_id = %(merchant_id)s
              AND refund_metadata.key = %(key)s
              AND refund_metadata.value = %(value)s
              AND (refund_metadata.created_at, refund_metadata.refund_id)
                  < (%(top_at)s, %(top_id)s)
              AND refund_metadata.created_at >= %(created_from)s
              AND tagged.metadata @> %(metadata)s::text::jsonb
              AND tagged.currency = coalesce(%(currency)s::text, tagged.currency)
              AND tagged.status = ANY(%(statuses)b::text[])
              AND tagged.amount BETWEEN %(amount_min)s AND %(amount_max)s
            ORDER BY refund_metadata.created_at DESC, refund_metadata.refund_id DESC
            LIMIT %(limit)s))
 ORDER BY created_at DESC, id DESC

-- name: list_refunds_of_payment
-- A payment has few refunds (MAX_REFUNDS): all of them, and what is left of them.
SELECT id, payment_id, merchant_id, account_id, amount, currency, reason, metadata, status,
       failure_reason, idempotency_key, created_at, updated_at, request_id, claimed_at, attempt
  FROM refunds
 WHERE payment_id = %(payment_id)s
   AND merchant_id = %(merchant_id)s
   AND currency = coalesce(%(currency)s::text, currency)
   AND status = ANY(%(statuses)b::text[])
   AND amount BETWEEN %(amount_min)s AND %(amount_max)s
   AND coalesce(metadata, '{}') @> %(metadata)s::text::jsonb
   AND (created_at, id) < (%(top_at)s, %(top_id)s)
   AND created_at >= %(created_from)s
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s
