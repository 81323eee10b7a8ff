-- name: insert_refund
-- statement_timestamp(): this transaction may have waited for the payment's settlement, and the
-- refund must not be older.
INSERT INTO refunds (id, payment_id, merchant_id, account_id, currency, amount, reason, metadata,
                     idempotency_key, actor, actor_id, client_address, request_id,
                     server_request_id, operator, due_at, created_at, updated_at,
                     network)
VALUES (%(id)s, %(payment_id)s, %(merchant_id)s, %(account_id)s, %(currency)s, %(amount)s,
        %(reason)s, %(metadata)s::text::jsonb, %(idempotency_key)s, %(actor)s, %(actor_id)s,
        %(client_address)s::text::inet, %(request_id)s, %(server_request_id)s, %(operator)s,
        statement_timestamp(), statement_timestamp(), statement_timestamp(),
        (SELECT network FROM payments WHERE id = %(payment_id)s))
RETURNING
       -- include: refund_columns

-- name: get_refund
SELECT
       -- include: refund_columns
  FROM refunds
 WHERE id = %(id)s
   AND merchant_id = %(merchant_id)s

-- name: list_refunds_by_payment
SELECT
       -- include: refund_columns
  FROM refunds
 WHERE payment_id = %(payment_id)s
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s

-- name: claim_refunds
-- See claim_payments.
WITH
-- include: claiming_worker
,
-- include: due_items(refunds)
, claimed AS (
    UPDATE refunds
       SET status = 'PROCESSING', attempt = refunds.attempt + 1,
           due_at = least(refunds.due_at, now()),
           leased_until = now() + %(lease)s::interval, claimed_by = worker.id,
           claimed_at = coalesce(refunds.claimed_at, now()), updated_at = now(),
           sent_at = CASE WHEN due.leased_until IS NULL THEN refunds.sent_at
                          ELSE greatest(refunds.sent_at, least(due.leased_until, now()))
                     END
      FROM due, worker
     WHERE refunds.id = due.id
    RETURNING refunds.id, refunds.payment_id, refunds.attempt, refunds.faults,
              refunds.merchant_id, refunds.account_id, refunds.amount, refunds.currency, due.due_at AS was_due_at,
              now() - coalesce(refunds.unresolved_since,
                               CASE WHEN due.leased_until IS NOT NULL THEN refunds.claimed_at END)
                  AS unresolved_for,
              due.leased_until IS NOT NULL AS is_taken_over,
              -- include: open_step_columns(refunds)
)
SELECT claimed.payment_id, claimed.attempt, claimed.faults, claimed.merchant_id,
       claimed.account_id, claimed.amount, claimed.currency, payments.source, claimed.id,
       claimed.network_state, claimed.unresolved_for, claimed.key_generation, claimed.sent_for,
       payments.network_reference, claimed.is_taken_over,
       (SELECT true
          FROM holds
         WHERE holds.payment_id = claimed.payment_id
           AND holds.refund_id = claimed.id) IS NOT NULL AS reserved
  FROM claimed
  JOIN payments ON payments.id = claimed.payment_id
 ORDER BY was_due_at, claimed.id

-- name: claim_unresolved_refund
-- See claim_unresolved_payment. Its payment has been locked before.
WITH due AS MATERIALIZED (
    SELECT id, due_at, leased_until
      FROM refunds
     WHERE id = %(id)s
       AND phase = 'OPEN'
       AND network_state IS NOT NULL
       FOR NO KEY UPDATE
), claimed AS (
    UPDATE refunds
       SET attempt = refunds.attempt + 1, leased_until = now() + %(lease)s::interval,
           claimed_by = NULL, updated_at = now(),
           sent_at = CASE WHEN due.leased_until IS NULL THEN refunds.sent_at
                          ELSE greatest(refunds.sent_at, least(due.leased_until, now()))
                     END
      FROM due
     WHERE refunds.id = due.id
    RETURNING refunds.id, refunds.payment_id, refunds.attempt, refunds.faults,
              refunds.merchant_id, refunds.account_id, refunds.amount, refunds.currency,
              now() - coalesce(refunds.unresolved_since,
                               CASE WHEN due.leased_until IS NOT NULL THEN refunds.claimed_at END)
                  AS unresolved_for,
              due.leased_until IS NOT NULL AS is_taken_over,
              -- include: open_step_columns(refunds)
)
SELECT claimed.payment_id, claimed.attempt, claimed.faults, claimed.merchant_id,
       claimed.account_id, claimed.amount, claimed.currency, payments.source, claimed.id,
       claimed.network_state, claimed.unresolved_for, claimed.key_generation, claimed.sent_for,
       payments.network_reference, claimed.is_taken_over,
       (SELECT true
          FROM holds
         WHERE holds.payment_id = claimed.payment_id
           AND holds.refund_id = claimed.id) IS NOT NULL AS reserved
  FROM claimed
  JOIN payments ON payments.id = claimed.payment_id

-- name: lock_payment_of_refund
SELECT id
  FROM payments
 WHERE id = (SELECT payment_id FROM refunds WHERE id = %(id)s)
   FOR NO KEY UPDATE

-- name: renew_refund_leases
-- See renew_payment_leases.
WITH current_claims AS MATERIALIZED (
    SELECT refunds.id
      FROM refunds
      JOIN unnest(%(ids)b::uuid[], %(attempts)b::integer[]) AS claim (id, attempt)
        ON claim.id = refunds.id
     WHERE refunds.attempt = claim.attempt
       AND refunds.status = 'PROCESSING'
     ORDER BY refunds.id
       FOR NO KEY UPDATE OF refunds SKIP LOCKED
)
UPDATE refunds
   SET leased_until = now() + %(lease)s::interval
  FROM current_claims
 WHERE refunds.id = current_claims.id

-- name: lock_refunded_payments
-- Settling a refund updates its payment's sums: lock payments before refunds, in id order.
SELECT id
  FROM payments
 WHERE id = ANY(%(ids)b)
 ORDER BY id
   FOR NO KEY UPDATE

-- name: lock_claimed_refunds
SELECT claim.position
  FROM refunds
  JOIN unnest(%(ids)b::uuid[], %(attempts)b::integer[])
       WITH ORDINALITY AS claim (id, attempt, position)
    ON claim.id = refunds.id
 WHERE refunds.attempt = claim.attempt
   AND refunds.status = 'PROCESSING'
 ORDER BY refunds.id
   FOR NO KEY UPDATE OF refunds

-- name: list_reserved_refunds
-- Run after lock_claimed_refunds, not with it: a statement does not see rows that were committed
-- while it waited for a lock.
SELECT id
  FROM refunds
 WHERE id = ANY(%(ids)b)
   AND (SELECT true
          FROM holds
         WHERE holds.payment_id = refunds.payment_id
           AND holds.refund_id = refunds.id)

-- name: settle_refunds
UPDATE refunds
   SET status = settled.status, failure_reason = settled.failure_reason,
       faults = settled.faults, updated_at = now(),
       due_at = coalesce(now() + settled.retry_after, refunds.due_at),
       leased_until = NULL, claimed_by = NULL,
       network_state = settled.network_state,
       unresolved_since = CASE WHEN settled.network_state IS NULL THEN NULL
                               -- As of payments.
                               WHEN settled.network_state = 'unknown'
                                    AND refunds.network_state = 'not_sent'
                                    AND refunds.sent_at IS NULL
                               THEN now()
                               WHEN refunds.unresolved_since IS NOT NULL
                               THEN refunds.unresolved_since
                               WHEN refunds.sent_at IS NOT NULL THEN refunds.claimed_at
                               ELSE now()
                          END,
       doubt_reported_at = CASE WHEN settled.network_state IN ('unknown', 'pending')
                                THEN refunds.doubt_reported_at
                           END,
       network_reference = coalesce(refunds.network_reference, settled.network_reference),
       key_generation = coalesce(settled.key_generation, refunds.key_generation),
       sent_at = CASE WHEN settled.network_state IS NULL THEN NULL
                      WHEN settled.was_sent THEN now()
                      ELSE refunds.sent_at
                 END
  FROM unnest(%(ids)b::uuid[], %(statuses)b::text[], %(failure_reasons)b::text[],
              %(faults)b::smallint[], %(retries_after)b::interval[], %(network_states)b::text[],
              %(network_references)b::text[], %(key_generations)b::smallint[],
              %(sent_flags)b::boolean[])
       AS settled (id, status, failure_reason, faults, retry_after, network_state,
                   network_reference, key_generation, was_sent)
 WHERE refunds.id = settled.id

-- name: request_refund_inquiries
WITH
-- include: inquiry_requests(refunds)

-- name: make_refund_due
-- See make_payment_due.
UPDATE refunds
   SET due_at = least(due_at, now()), claimed_by = NULL,
       -- least() alone would give a lease to an item without one.
       leased_until = CASE WHEN leased_until IS NOT NULL THEN least(leased_until, now()) END
 WHERE id = %(id)s
   AND phase = 'OPEN'

-- name: report_refund_doubts
-- See report_payment_doubts.
WITH doubts AS MATERIALIZED (
    SELECT id
      FROM refunds
     WHERE network_state = 'unknown'
       AND doubt_reported_at IS NULL
       AND unresolved_since <= now() - %(alarm)s::interval
     ORDER BY unresolved_since, id
     LIMIT %(limit)s
       FOR NO KEY UPDATE SKIP LOCKED
), reported AS (
    UPDATE refunds
       SET doubt_reported_at = now()
      FROM doubts
     WHERE refunds.id = doubts.id
    RETURNING refunds.payment_id, refunds.id, refunds.merchant_id, refunds.amount,
              refunds.currency, refunds.network_state, refunds.unresolved_since, refunds.faults,
              refunds.due_at
)
SELECT payment_id, id AS refund_id, merchant_id, amount, currency, 'refund' AS step,
       network_state, unresolved_since, faults, due_at
  FROM reported
 ORDER BY unresolved_since, id
