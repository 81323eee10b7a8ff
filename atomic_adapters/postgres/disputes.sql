-- name: get_disputed_payment
SELECT
       -- include: payment_columns
  FROM payments
 WHERE id = %(payment_id)s

-- name: lock_disputed_payment
SELECT
       -- include: payment_columns
  FROM payments
 WHERE id = %(payment_id)s
   FOR NO KEY UPDATE

-- name: insert_dispute
INSERT INTO disputes (id, merchant_id, payment_id, account_id, network, network_reference, status,
                      amount, currency, fee, reason, evidence_due_at, created_at, updated_at, due_at)
VALUES (%(id)s, %(merchant_id)s, %(payment_id)s, %(account_id)s, %(network)s,
        %(network_reference)s, %(status)s, %(amount)s, %(currency)s, %(fee)s, %(reason)s,
        %(evidence_due_at)s, now(), now(), now() + %(due_after)s::interval)
RETURNING
       -- include: dispute_columns

-- name: get_dispute
SELECT
       -- include: dispute_columns
  FROM disputes
 WHERE id = %(id)s
   AND merchant_id = coalesce(%(merchant_id)s::uuid, merchant_id)

-- name: lock_dispute
SELECT
       -- include: dispute_columns
  FROM disputes
 WHERE id = %(id)s
   AND merchant_id = %(merchant_id)s
   FOR NO KEY UPDATE

-- name: lock_dispute_by_reference
SELECT
       -- include: dispute_columns
  FROM disputes
 WHERE network = %(network)s
   AND network_reference = %(network_reference)s
   FOR NO KEY UPDATE

-- name: claim_disputes
WITH due AS MATERIALIZED (
    SELECT id
      FROM disputes
     WHERE network = %(network)s
       AND due_at <= now()
     ORDER BY due_at, id
     LIMIT %(limit)s
       FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE disputes
   SET due_at = now() + %(lease)s::interval, attempt = attempt + 1
 WHERE id = ANY (ARRAY(SELECT due.id FROM due))
RETURNING
       -- include: dispute_columns

-- name: make_disputes_due
-- Closed ones are not due any more.
WITH known AS MATERIALIZED (
    SELECT id, network_reference
      FROM disputes
     WHERE network = %(network)s
       AND network_reference = ANY(%(references)b::text[])
     ORDER BY id
       FOR NO KEY UPDATE
), hastened AS (
    UPDATE disputes
       SET due_at = least(due_at, now())
     WHERE id = ANY (ARRAY(SELECT known.id FROM known))
       AND due_at IS NOT NULL
)
SELECT network_reference FROM known

-- name: update_dispute
UPDATE disputes
   SET status = %(status)s, fee_returned = %(fee_returned)s, evidence_due_at = %(evidence_due_at)s,
       evidence = %(evidence)s::text::jsonb, pending_response = %(pending_response)s,
       response_failure = %(response_failure)s, faults = %(faults)s, updated_at = now(),
       closed_at = CASE WHEN %(is_final)s THEN now() END,
       due_at = CASE WHEN NOT %(is_final)s THEN now() + %(due_after)s::interval END
 WHERE id = %(id)s
RETURNING
       -- include: dispute_columns

-- name: sum_disputed
SELECT coalesce(sum(amount), 0)::bigint
  FROM disputes
 WHERE payment_id = %(payment_id)s
   AND status <> 'WON'

-- name: list_exceeded_payments
SELECT id
  FROM payments
 WHERE id = ANY(%(payment_ids)b::uuid[])
   AND refunds_reserved
       + (SELECT sum(disputes.amount)
            FROM disputes
           WHERE disputes.payment_id = payments.id
             AND disputes.status <> 'WON') > coalesce(capture_amount, amount)

-- name: list_disputes
-- By the index of each status: see list_payments.
SELECT
       -- include: dispute_columns
  FROM disputes
 WHERE id = ANY (ARRAY(
           SELECT found.id
             FROM unnest(%(statuses)b::text[]) AS filter (status)
            CROSS JOIN LATERAL (
                      SELECT probed.id, probed.created_at
                        FROM disputes AS probed
                       WHERE probed.merchant_id = %(merchant_id)s
                         AND probed.status = filter.status
                         AND (probed.created_at, probed.id) < (%(top_at)s, %(top_id)s)
                         AND probed.created_at >= %(created_from)s
                       ORDER BY probed.created_at DESC, probed.id DESC
                       LIMIT %(limit)s) AS found
            ORDER BY found.created_at DESC, found.id DESC
            LIMIT %(limit)s))
 ORDER BY created_at DESC, id DESC

-- name: list_disputes_of_payment
SELECT
       -- include: dispute_columns
  FROM disputes
 WHERE payment_id = %(payment_id)s
   AND merchant_id = coalesce(%(merchant_id)s::uuid, merchant_id)
   AND status = ANY(%(statuses)b::text[])
   AND (created_at, id) < (%(top_at)s, %(top_id)s)
   AND created_at >= %(created_from)s
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s

-- name: list_all_disputes
SELECT
       -- include: dispute_columns
  FROM disputes
 WHERE status = ANY(%(statuses)b::text[])
   AND (created_at, id) < (%(top_at)s, %(top_id)s)
   AND created_at >= %(created_from)s
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s

-- name: count_open_disputes
-- Only open ones are due.
SELECT status, count(*)
  FROM disputes
 WHERE due_at IS NOT NULL
 GROUP BY status
