-- name: insert_payments
-- What is not returned was not recorded. The order in which keys are taken is everybody's, so
-- that nobody waits in a circle; waiting ends after `patience`, or the session's own lock_timeout.
WITH patience AS MATERIALIZED (
    SELECT set_config('lock_timeout',
                      coalesce(%(patience)s::text, current_setting('lock_timeout')), true)
), welcome AS MATERIALIZED (
    SELECT asked.id, asked.merchant_id, amount, currency, source, description, webhook_url,
           capture, metadata, request_id, order_key, key, method, path, fingerprint, keep_for,
           status, body, location, credited.id AS account_id
      FROM patience
     CROSS JOIN unnest(%(ids)b::uuid[], %(key_ids)b::uuid[], %(merchant_ids)b::uuid[],
                       %(amounts)b::bigint[], %(currencies)b::text[], %(sources)b::text[],
                       %(descriptions)b::text[], %(webhook_urls)b::text[], %(captures)b::text[],
                       %(metadata)b::text[], %(request_ids)b::text[], %(order_keys)b::text[],
                       %(keys)b::text[], %(methods)b::text[], %(paths)b::text[],
                       %(fingerprints)b::bytea[], %(keeps_for)b::interval[],
                       %(response_statuses)b::smallint[], %(bodies)b::bytea[],
                       %(locations)b::text[])
           AS asked (id, key_id, merchant_id, amount, currency, source, description, webhook_url,
                     capture, metadata, request_id, order_key, key, method, path, fingerprint,
                     keep_for, status, body, location)
     CROSS JOIN LATERAL (SELECT accounts.id
                           FROM accounts
                          WHERE accounts.merchant_id = asked.merchant_id
                            AND accounts.currency = asked.currency
                          ORDER BY accounts.created_at, accounts.id
                          LIMIT 1) AS credited
     WHERE asked.key_id IS NULL
        OR (SELECT true
              FROM api_keys
             WHERE api_keys.id = asked.key_id
               AND api_keys.revoked_at IS NULL
               AND (api_keys.expires_at IS NULL OR api_keys.expires_at > now()))
), taken AS (
    INSERT INTO idempotency_keys AS kept
           (merchant_id, key, method, path, fingerprint, response_status, response_body,
            response_location, expires_at)
    SELECT merchant_id, key, method, path, fingerprint, status, body, location, now() + keep_for
      FROM welcome
     WHERE key IS NOT NULL
     ORDER BY merchant_id, key
        ON CONFLICT (merchant_id, key) DO UPDATE
       SET method = excluded.method, path = excluded.path, fingerprint = excluded.fingerprint,
           response_status = excluded.response_status, response_body = excluded.response_body,
           response_location = excluded.response_location,
           created_at = excluded.created_at, expires_at = excluded.expires_at
     WHERE kept.expires_at <= now()
    RETURNING merchant_id, key
)
INSERT INTO payments (id, merchant_id, account_id, amount, currency, source, description,
                      idempotency_key, webhook_url, capture, step, metadata, request_id)
SELECT id, welcome.merchant_id, account_id, amount, currency, source, description, order_key,
       webhook_url, capture, CASE capture WHEN 'manual' THEN 'authorize' ELSE 'charge' END,
       metadata::jsonb, request_id
  FROM welcome
  LEFT JOIN taken ON taken.merchant_id = welcome.merchant_id AND taken.key = welcome.key
 WHERE welcome.key IS NULL OR taken.key IS NOT NULL
RETURNING id, account_id, created_at

-- name: find_payments
SELECT asked.place, payments.id, payments.merchant_id, account_id, amount, currency, source,
       description, status, idempotency_key, webhook_url, failure_reason, payments.created_at,
       updated_at, capture, step, metadata, request_id, claimed_at, attempt, expires_at,
       capture_amount, cancellation_reason, fee_amount, refunds_reserved, amount_refunded
  FROM unnest(%(ids)b::uuid[], %(merchant_ids)b::uuid[], %(key_ids)b::uuid[])
       WITH ORDINALITY AS asked (id, merchant_id, key_id, place)
  JOIN payments ON payments.id = asked.id AND payments.merchant_id = asked.merchant_id
 WHERE asked.key_id IS NULL
    OR (SELECT true
          FROM api_keys
         WHERE api_keys.id = asked.key_id
           AND api_keys.revoked_at IS NULL
           AND (api_keys.expires_at IS NULL OR api_keys.expires_at > now()))

-- name: claim_payments
-- SKIP LOCKED: settlers share the work instead of waiting for each other.
-- Changes no column that an index looks at (due_at only if claimed early), so that the new
-- version of the row stays on its page and no index is written.
-- Whoever gets the lock on a claimant's number knows that it is gone, at that very moment. Our own
-- is tried too: if our session was cut, others would take over at once what we claim under it.
WITH claimant AS MATERIALIZED (
    SELECT CASE WHEN NOT pg_try_advisory_xact_lock_shared('claimants'::regclass::integer,
                                                          %(worker_id)s::integer)
                THEN %(worker_id)s::integer
           END AS number
), due AS (
    SELECT id, due_at
      FROM payments
     WHERE phase = 'OPEN'
       AND due_at <= now() - least(%(overdue_by)s::interval, interval '0')
       -- A lease never ends before its payment is due.
       AND (coalesce(leased_until, due_at) <= now() - %(overdue_by)s::interval
            OR pg_try_advisory_xact_lock_shared('claimants'::regclass::integer, claimed_by))
     ORDER BY due_at, id
     LIMIT %(limit)s
       FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
    UPDATE payments
       SET status = 'PROCESSING', attempt = payments.attempt + 1,
           due_at = least(payments.due_at, now()),
           leased_until = now() + %(lease)s::interval, claimed_by = claimant.number,
           claimed_at = coalesce(payments.claimed_at, now()), updated_at = now()
      FROM due, claimant
     WHERE payments.id = due.id
    RETURNING payments.id, payments.attempt, payments.faults, payments.account_id,
              payments.amount, payments.currency, payments.source, payments.step,
              payments.capture_amount, payments.merchant_id, due.due_at AS was_due_at
)
SELECT claimed.id, attempt, faults, account_id, amount, claimed.currency, source, step,
       capture_amount, coalesce(basis_points, 0), coalesce(fixed, 0)
  FROM claimed
  LEFT JOIN fee_schedules ON fee_schedules.merchant_id = claimed.merchant_id
                         AND fee_schedules.currency = claimed.currency
 ORDER BY was_due_at, claimed.id

-- name: lock_claimed_payments
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
       due_at = coalesce(now() + settled.retry_after, payments.due_at),
       leased_until = NULL, claimed_by = NULL, fee_amount = settled.fee,
       expires_at = CASE settled.status WHEN 'AUTHORIZED' THEN now() + %(hold_for)s::interval
                                        ELSE payments.expires_at
                    END
  FROM unnest(%(ids)b::uuid[], %(statuses)b::text[], %(failure_reasons)b::text[],
              %(faults)b::smallint[], %(retries_after)b::interval[], %(fees)b::bigint[])
       AS settled (id, status, failure_reason, faults, retry_after, fee)
 WHERE payments.id = settled.id

-- name: lock_payment
-- NO KEY: the foreign-key check of a refund need not wait.
SELECT id, merchant_id, account_id, amount, currency, source, description, status,
       idempotency_key, webhook_url, failure_reason, created_at, updated_at, capture, step,
       metadata, request_id, claimed_at, attempt, expires_at, capture_amount,
       cancellation_reason, fee_amount, refunds_reserved, amount_refunded
  FROM payments
 WHERE id = %(id)s
   AND merchant_id = %(merchant_id)s
   FOR NO KEY UPDATE

-- name: resolve_payment
-- A higher attempt: whoever settled the hold, and does not know it yet, comes too late. The time is
-- the statement's: we may have waited for that settler, and began before it did.
UPDATE payments
   SET status = 'PROCESSING', step = %(step)s, capture_amount = %(amount)s,
       cancellation_reason = %(reason)s, attempt = attempt + 1, faults = 0,
       due_at = statement_timestamp(), updated_at = statement_timestamp()
 WHERE id = %(id)s
   AND status = 'AUTHORIZED'
RETURNING id, merchant_id, account_id, amount, currency, source, description, status,
          idempotency_key, webhook_url, failure_reason, created_at, updated_at, capture, step,
          metadata, request_id, claimed_at, attempt, expires_at, capture_amount,
          cancellation_reason, fee_amount, refunds_reserved, amount_refunded

-- name: expire_payments
UPDATE payments
   SET status = 'PROCESSING', step = 'expire', cancellation_reason = %(reason)s,
       attempt = payments.attempt + 1, faults = 0, due_at = now(), updated_at = now()
  FROM (SELECT id
          FROM payments
         WHERE phase = 'AUTHORIZED'
           AND expires_at <= now()
         ORDER BY expires_at, id
         LIMIT %(limit)s
           FOR NO KEY UPDATE SKIP LOCKED) AS ended
 WHERE payments.id = ended.id
RETURNING payments.id

-- name: make_payment_due
-- As if its lease had ended. The attempt stays: whoever has it may still finish it, until somebody
-- else has claimed it.
UPDATE payments
   SET due_at = least(due_at, now()), leased_until = NULL, claimed_by = NULL
 WHERE id = %(id)s
   AND phase = 'OPEN'
