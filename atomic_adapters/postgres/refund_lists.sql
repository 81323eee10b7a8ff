-- name: list_refunds
-- See list_payments. `amount + 0`, because refunds have an index by amount: a plan for any merchant,
-- made from the average number of refunds per merchant, would read by that index all refunds of a
-- merchant that has most of them.
WITH RECURSIVE
-- include: merchant_currencies
SELECT
       -- include: refund_columns
  FROM refunds
 WHERE id = ANY (ARRAY(
           SELECT found.id
             FROM merchant_currencies
            CROSS JOIN unnest(%(phases)b::text[]) AS filter (phase)
            CROSS JOIN LATERAL (
                      SELECT probed.id, probed.created_at
                        FROM refunds AS probed
                       WHERE probed.merchant_id = %(merchant_id)s
                         AND probed.currency = merchant_currencies.currency
                         AND probed.phase = filter.phase
                         AND probed.status = ANY(%(statuses)b::text[])
                         AND (probed.created_at, probed.id) < (%(top_at)s, %(top_id)s)
                         AND probed.created_at >= %(created_from)s
                         AND probed.amount + 0 BETWEEN %(amount_min)s AND %(amount_max)s
                       ORDER BY probed.created_at DESC, probed.id DESC
                       LIMIT %(limit)s) AS found
            WHERE merchant_currencies.currency
                  = coalesce(%(currency)s::text, merchant_currencies.currency)
            ORDER BY found.created_at DESC, found.id DESC
            LIMIT %(limit)s))
 ORDER BY created_at DESC, id DESC

-- name: count_refunds_by_amount
SELECT count(*)
  FROM (SELECT
          FROM refunds
         WHERE merchant_id = %(merchant_id)s
           AND amount BETWEEN %(amount_min)s AND %(amount_max)s
         LIMIT %(max_rows)s) AS counted_rows

-- name: list_refunds_by_amount
WITH in_range AS MATERIALIZED (
    SELECT id, currency, status, created_at
      FROM refunds
     WHERE merchant_id = %(merchant_id)s
       AND amount BETWEEN %(amount_min)s AND %(amount_max)s
)
SELECT
       -- include: refund_columns
  FROM refunds
 WHERE id = ANY (ARRAY(
           SELECT in_range.id
             FROM in_range
            WHERE in_range.currency = coalesce(%(currency)s::text, in_range.currency)
              AND in_range.status = ANY(%(statuses)b::text[])
              AND (in_range.created_at, in_range.id) < (%(top_at)s, %(top_id)s)
              AND in_range.created_at >= %(created_from)s
            ORDER BY in_range.created_at DESC, in_range.id DESC
            LIMIT %(limit)s))
 ORDER BY created_at DESC, id DESC

-- name: find_rarest_refund_pair
SELECT pair.key, pair.value
  FROM unnest(%(keys)b::text[], %(values)b::text[]) AS pair (key, value)
 CROSS JOIN LATERAL (
           SELECT count(*) AS count
             FROM (SELECT
                     FROM refund_metadata
                    WHERE refund_metadata.merchant_id = %(merchant_id)s
                      AND refund_metadata.key = pair.key
                      AND refund_metadata.value = pair.value
                    LIMIT %(max_rows)s) AS counted_rows) AS counted
 ORDER BY counted.count
 LIMIT 1

-- name: list_refunds_by_metadata
SELECT
       -- include: refund_columns
  FROM refunds
 WHERE id = ANY (ARRAY(
           SELECT refund_metadata.refund_id
             FROM refund_metadata
             JOIN refunds AS refund ON refund.id = refund_metadata.refund_id
            WHERE refund_metadata.merchant_id = %(merchant_id)s
              AND refund_metadata.key = %(key)s
              AND refund_metadata.value = %(value)s
              AND (refund_metadata.created_at, refund_metadata.refund_id)
                  < (%(top_at)s, %(top_id)s)
              AND refund_metadata.created_at >= %(created_from)s
              AND refund.metadata @> %(metadata)s::text::jsonb
              AND refund.currency = coalesce(%(currency)s::text, refund.currency)
              AND refund.status = ANY(%(statuses)b::text[])
              AND refund.amount BETWEEN %(amount_min)s AND %(amount_max)s
            ORDER BY refund_metadata.created_at DESC, refund_metadata.refund_id DESC
            LIMIT %(limit)s))
 ORDER BY created_at DESC, id DESC

-- name: list_refunds_by_payment
-- Reads and filters all refunds of the payment, at most MAX_REFUNDS; `amount + 0` as in list_refunds.
SELECT
       -- include: refund_columns
  FROM refunds
 WHERE payment_id = %(payment_id)s
   AND merchant_id = %(merchant_id)s
   AND currency = coalesce(%(currency)s::text, currency)
   AND status = ANY(%(statuses)b::text[])
   AND amount + 0 BETWEEN %(amount_min)s AND %(amount_max)s
   AND coalesce(metadata, '{}') @> %(metadata)s::text::jsonb
   AND (created_at, id) < (%(top_at)s, %(top_id)s)
   AND created_at >= %(created_from)s
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s
