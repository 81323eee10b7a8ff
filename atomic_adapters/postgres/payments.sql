-- name: add_payment
INSERT INTO payments (id, merchant_id, account_id, amount, currency, source, description,
                      idempotency_key, webhook_url)
VALUES (%(id)s, %(merchant_id)s, %(account_id)s, %(amount)s, %(currency)s, %(source)s,
        %(description)s, %(idempotency_key)s, %(webhook_url)s)
RETURNING id, merchant_id, account_id, amount, currency, source, description, status,
          idempotency_key, webhook_url, failure_reason, created_at, updated_at

-- name: get_payment
SELECT id, merchant_id, account_id, amount, currency, source, description, status,
       idempotency_key, webhook_url, failure_reason, created_at, updated_at
  FROM payments
 WHERE id = %(id)s
   AND merchant_id = %(merchant_id)s

-- name: claim_payments
-- SKIP LOCKED: settlers share the work instead of waiting for each other.
-- Changes no column that an index looks at (due_at only if claimed early), so that the new
-- version of the row stays on its page and no index is written.
WITH due AS (
    SELECT id, due_at
      FROM payments
     WHERE is_open
       AND due_at <= now() - %(overdue_by)s::interval
       AND (leased_until IS NULL OR leased_until <= now() - %(overdue_by)s::interval)
     ORDER BY due_at, id
     LIMIT %(limit)s
       FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
    UPDATE payments
       SET status = 'PROCESSING', attempt = payments.attempt + 1,
           due_at = least(payments.due_at, now()),
           leased_until = now() + %(lease)s::interval, updated_at = now()
      FROM due
     WHERE payments.id = due.id
    RETURNING payments.id, payments.attempt, payments.faults, payments.account_id,
              payments.amount, payments.currency, payments.source, due.due_at AS was_due_at
)
SELECT id, attempt, faults, account_id, amount, currency, source
  FROM claimed
 ORDER BY was_due_at, id

-- name: hold_claims
-- Only what is still ours; in id order, like every lock.
SELECT payments.id
  FROM payments
  JOIN unnest(%(ids)b::uuid[], %(attempts)b::integer[]) AS claim (id, attempt)
    ON claim.id = payments.id
 WHERE payments.attempt = claim.attempt
   AND payments.status = 'PROCESSING'
 ORDER BY payments.id
   FOR NO KEY UPDATE OF payments

-- name: settle_payments
UPDATE payments
   SET status = settled.status, failure_reason = settled.failure_reason,
       faults = settled.faults, updated_at = now(),
       due_at = coalesce(now() + settled.retry_after, payments.due_at), leased_until = NULL
  FROM unnest(%(ids)b::uuid[], %(statuses)b::text[], %(failure_reasons)b::text[],
              %(faults)b::smallint[], %(retries_after)b::interval[])
       AS settled (id, status, failure_reason, faults, retry_after)
 WHERE payments.id = settled.id
