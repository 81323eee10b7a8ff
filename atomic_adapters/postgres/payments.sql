-- name: insert_payments
-- Inserts the payments whose conditions hold, with the records of their Idempotency-Keys, and
-- returns them. Keys are inserted in (merchant_id, key) order, so that concurrent statements cannot
-- deadlock. Waits for a concurrent use of a key for `lock_timeout`; if that is NULL, for the
-- lock_timeout of the session.
WITH lock_timeout AS MATERIALIZED (
    SELECT set_config('lock_timeout',
                      coalesce(%(lock_timeout)s::text, current_setting('lock_timeout')), true)
), insertable AS MATERIALIZED (
    SELECT requested.id, requested.merchant_id, amount, currency, source, description, webhook_url,
           capture, metadata, actor, actor_id, client_address, request_id, server_request_id,
           operator, payment_key, key, method, path, fingerprint, retention, status, body,
           location, payee.id AS account_id,
           coalesce((SELECT merchants.network
                       FROM merchants
                      WHERE merchants.id = requested.merchant_id), requested.network) AS network
      FROM lock_timeout
     CROSS JOIN unnest(%(ids)b::uuid[], %(key_ids)b::uuid[], %(merchant_ids)b::uuid[],
                       %(amounts)b::bigint[], %(currencies)b::text[], %(sources)b::text[],
                       %(descriptions)b::text[], %(webhook_urls)b::text[], %(captures)b::text[],
                       %(metadata)b::text[], %(actors)b::text[], %(actor_ids)b::uuid[],
                       %(client_addresses)b::text[], %(request_ids)b::text[],
                       %(server_request_ids)b::uuid[], %(operators)b::text[],
                       %(payment_keys)b::text[], %(keys)b::text[], %(methods)b::text[],
                       %(paths)b::text[],
                       %(fingerprints)b::bytea[], %(retentions)b::interval[],
                       %(response_statuses)b::smallint[], %(bodies)b::bytea[],
                       %(locations)b::text[], %(networks)b::text[])
           AS requested (id, key_id, merchant_id, amount, currency, source, description,
                         webhook_url, capture, metadata, actor, actor_id, client_address,
                         request_id, server_request_id, operator, payment_key, key, method, path,
                         fingerprint, retention, status, body, location, network)
      JOIN LATERAL (SELECT a.id, a.status = 'OPEN' AS is_open
                      FROM accounts a
                     WHERE a.merchant_id = requested.merchant_id
                       AND a.currency = requested.currency
                       AND a.type = 'liability' AND a.status <> 'CLOSED'
                     ORDER BY a.created_at, a.id
                     LIMIT 1) AS payee ON payee.is_open
     WHERE requested.key_id IS NULL
        OR (SELECT true
              FROM api_keys
              JOIN merchants ON merchants.id = api_keys.merchant_id
                            AND merchants.suspended_at IS NULL
             WHERE api_keys.id = requested.key_id
               AND api_keys.revoked_at IS NULL
               AND (api_keys.expires_at IS NULL OR api_keys.expires_at > now()))
), inserted_keys AS (
    INSERT INTO idempotency_keys AS existing
           (merchant_id, key, method, path, fingerprint, response_status, response_body,
            response_location, expires_at)
    SELECT merchant_id, key, method, path, fingerprint, status,
           -- The account's id in place of ACCOUNT_ID_PLACEHOLDER.
           CASE position('\x01'::bytea IN body)
               WHEN 0 THEN body
               ELSE overlay(body PLACING convert_to(account_id::text, 'UTF8')
                            FROM position('\x01'::bytea IN body) FOR 1)
           END,
           location, now() + retention
      FROM insertable
     WHERE key IS NOT NULL
     ORDER BY merchant_id, key
        ON CONFLICT (merchant_id, key) DO UPDATE
       SET method = excluded.method, path = excluded.path, fingerprint = excluded.fingerprint,
           response_status = excluded.response_status, response_body = excluded.response_body,
           response_location = excluded.response_location,
           created_at = excluded.created_at, expires_at = excluded.expires_at
     WHERE existing.expires_at <= now()
    RETURNING merchant_id, key
)
INSERT INTO payments (id, merchant_id, account_id, amount, currency, source, description,
                      idempotency_key, webhook_url, capture, step, metadata, actor, actor_id,
                      client_address, request_id, server_request_id, operator, network)
SELECT id, insertable.merchant_id, account_id, amount, currency, source, description, payment_key,
       webhook_url, capture, CASE capture WHEN 'manual' THEN 'authorize' ELSE 'charge' END,
       metadata::jsonb, actor, actor_id, client_address::inet, request_id, server_request_id,
       operator, network
  FROM insertable
  LEFT JOIN inserted_keys ON inserted_keys.merchant_id = insertable.merchant_id
                         AND inserted_keys.key = insertable.key
 WHERE insertable.key IS NULL OR inserted_keys.key IS NOT NULL
RETURNING id, account_id, created_at, network

-- name: find_payments
-- `position` is the 1-based position of the lookup.
SELECT position,
       -- include: payment_columns
  FROM unnest(%(ids)b::uuid[], %(merchant_ids)b::uuid[], %(key_ids)b::uuid[])
       WITH ORDINALITY AS lookup (payment_id, owner_id, key_id, position)
  JOIN payments ON payments.id = lookup.payment_id AND payments.merchant_id = lookup.owner_id
 WHERE lookup.key_id IS NULL
    OR (SELECT true
          FROM api_keys
          JOIN merchants ON merchants.id = api_keys.merchant_id AND merchants.suspended_at IS NULL
         WHERE api_keys.id = lookup.key_id
           AND api_keys.revoked_at IS NULL
           AND (api_keys.expires_at IS NULL OR api_keys.expires_at > now()))

-- name: claim_payments
-- Updates no indexed column (due_at only if the claim is early), so the new row version stays on
-- its page and no index is written (a HOT update).
WITH
-- include: claiming_worker
,
-- include: due_items(payments)
, claimed AS (
    UPDATE payments
       SET status = 'PROCESSING', attempt = payments.attempt + 1,
           due_at = least(payments.due_at, now()),
           leased_until = now() + %(lease)s::interval, claimed_by = worker.id,
           claimed_at = coalesce(payments.claimed_at, now()), updated_at = now(),
           -- The claim before, if it ended without a settlement, may have sent the step. The lease
           -- of a dead worker may end later than now.
           sent_at = CASE WHEN due.leased_until IS NULL THEN payments.sent_at
                          ELSE greatest(payments.sent_at, least(due.leased_until, now()))
                     END
      FROM due, worker
     WHERE payments.id = due.id
    RETURNING payments.id, payments.attempt, payments.faults, payments.account_id,
              payments.amount, payments.currency, payments.source, payments.step,
              payments.capture_amount, payments.merchant_id, due.due_at AS was_due_at,
              payments.reversal_reason, payments.network_reference,
              -- Since the first claim: each that ended without a settlement may have sent the step.
              now() - coalesce(payments.unresolved_since,
                               CASE WHEN payments.step IN ('charge', 'authorize') AND due.leased_until IS NOT NULL
                                    THEN payments.claimed_at
                                    ELSE due.leased_until
                               END) AS unresolved_for,
              due.leased_until IS NOT NULL AS is_taken_over,
              -- include: open_step_columns(payments)
)
SELECT claimed.id, attempt, faults, claimed.merchant_id, account_id, amount, claimed.currency,
       source, step, capture_amount, coalesce(basis_points, 0), coalesce(fixed, 0),
       network_state, unresolved_for, reversal_reason, network_reference, key_generation, sent_for,
       is_taken_over
  FROM claimed
  LEFT JOIN fee_schedules ON fee_schedules.merchant_id = claimed.merchant_id
                         AND fee_schedules.currency = claimed.currency
 ORDER BY was_due_at, claimed.id

-- name: claim_awaited_payments
-- Payments that wait for their customers, to inquire about them. A claim changes neither status nor
-- worker: it ends with its lease.
WITH due AS MATERIALIZED (
    SELECT id, due_at
      FROM payments
     WHERE network = %(network)s
       AND phase = 'REQUIRES_ACTION'
       AND due_at <= now()
       AND coalesce(leased_until, due_at) <= now()
     ORDER BY due_at, id
     LIMIT %(limit)s
       FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
    UPDATE payments
       SET attempt = payments.attempt + 1, leased_until = now() + %(lease)s::interval,
           updated_at = now()
      FROM due
     WHERE payments.id = due.id
    RETURNING payments.id, payments.attempt, payments.faults, payments.account_id,
              payments.amount, payments.currency, payments.source, payments.step,
              payments.capture_amount, payments.merchant_id, due.due_at AS was_due_at,
              payments.reversal_reason, payments.network_reference,
              coalesce(payments.key_generation, 0) AS key_generation
)
SELECT claimed.id, attempt, faults, claimed.merchant_id, account_id, amount, claimed.currency,
       source, step, capture_amount, coalesce(basis_points, 0), coalesce(fixed, 0),
       'requires_action', NULL::interval, reversal_reason, network_reference, key_generation,
       NULL::interval
  FROM claimed
  LEFT JOIN fee_schedules ON fee_schedules.merchant_id = claimed.merchant_id
                         AND fee_schedules.currency = claimed.currency
 ORDER BY was_due_at, claimed.id

-- name: claim_unresolved_payment
-- A higher attempt: a worker that has claimed it can no longer settle it.
WITH due AS MATERIALIZED (
    SELECT id, due_at, leased_until
      FROM payments
     WHERE id = %(id)s
       AND phase = 'OPEN'
       AND network_state IS NOT NULL
       FOR NO KEY UPDATE
), claimed AS (
    UPDATE payments
       SET attempt = payments.attempt + 1, leased_until = now() + %(lease)s::interval,
           claimed_by = NULL, updated_at = now(),
           sent_at = CASE WHEN due.leased_until IS NULL THEN payments.sent_at
                          ELSE greatest(payments.sent_at, least(due.leased_until, now()))
                     END
      FROM due
     WHERE payments.id = due.id
    RETURNING payments.id, payments.attempt, payments.faults, payments.account_id,
              payments.amount, payments.currency, payments.source, payments.step,
              payments.capture_amount, payments.merchant_id, payments.reversal_reason,
              payments.network_reference,
              -- Since the first claim: each that ended without a settlement may have sent the step.
              now() - coalesce(payments.unresolved_since,
                               CASE WHEN payments.step IN ('charge', 'authorize') AND due.leased_until IS NOT NULL
                                    THEN payments.claimed_at
                                    ELSE due.leased_until
                               END) AS unresolved_for,
              -- include: open_step_columns(payments)
)
SELECT claimed.id, attempt, faults, claimed.merchant_id, account_id, amount, claimed.currency,
       source, step, capture_amount, coalesce(basis_points, 0), coalesce(fixed, 0),
       network_state, unresolved_for, reversal_reason, network_reference, key_generation, sent_for
  FROM claimed
  LEFT JOIN fee_schedules ON fee_schedules.merchant_id = claimed.merchant_id
                         AND fee_schedules.currency = claimed.currency

-- name: renew_payment_leases
-- SKIP LOCKED: a payment that is locked is being claimed, captured or settled.
WITH current_claims AS MATERIALIZED (
    SELECT payments.id
      FROM payments
      JOIN unnest(%(ids)b::uuid[], %(attempts)b::integer[]) AS claim (id, attempt)
        ON claim.id = payments.id
     WHERE payments.attempt = claim.attempt
       AND payments.status IN ('PROCESSING', 'REQUIRES_ACTION')
     ORDER BY payments.id
       FOR NO KEY UPDATE OF payments SKIP LOCKED
)
UPDATE payments
   SET leased_until = now() + %(lease)s::interval
  FROM current_claims
 WHERE payments.id = current_claims.id

-- name: lock_claimed_payments
-- Locks, in id order like every lock, the payments whose latest claim is the given one. Returns the
-- claims' positions, from 1.
SELECT claim.position
  FROM payments
  JOIN unnest(%(ids)b::uuid[], %(attempts)b::integer[])
       WITH ORDINALITY AS claim (id, attempt, position)
    ON claim.id = payments.id
 WHERE payments.attempt = claim.attempt
   AND payments.status IN ('PROCESSING', 'REQUIRES_ACTION')
 ORDER BY payments.id
   FOR NO KEY UPDATE OF payments

-- name: settle_payments
UPDATE payments
   SET status = settled.status, failure_reason = settled.failure_reason,
       faults = settled.faults, updated_at = now(),
       due_at = coalesce(now() + settled.retry_after, payments.due_at),
       leased_until = NULL, claimed_by = NULL, fee_amount = settled.fee,
       network_state = settled.network_state,
       unresolved_since = CASE WHEN settled.network_state IS NULL THEN NULL
                               -- In doubt since the request without an answer, not since one before
                               -- it that was not sent.
                               WHEN settled.network_state = 'unknown'
                                    AND payments.network_state = 'not_sent'
                                    AND payments.sent_at IS NULL
                               THEN now()
                               WHEN payments.unresolved_since IS NOT NULL
                               THEN payments.unresolved_since
                               -- After a claim without a settlement, since the first claim, as in
                               -- claims: the age of the idempotency key.
                               WHEN payments.sent_at IS NOT NULL
                                    AND payments.step IN ('charge', 'authorize')
                               THEN payments.claimed_at
                               ELSE coalesce(payments.sent_at, now())
                          END,
       doubt_reported_at = CASE WHEN settled.network_state IN ('unknown', 'pending')
                                THEN payments.doubt_reported_at
                           END,
       -- The first reference stays: it names what the network holds.
       network_reference = coalesce(payments.network_reference, settled.network_reference),
       key_generation = coalesce(settled.key_generation, payments.key_generation),
       sent_at = CASE WHEN settled.network_state IS NULL THEN NULL
                      WHEN settled.was_sent THEN now()
                      ELSE payments.sent_at
                 END,
       step = CASE WHEN settled.reversal_reason IS NULL THEN payments.step ELSE 'reverse' END,
       reversal_reason = coalesce(settled.reversal_reason, payments.reversal_reason),
       expires_at = CASE settled.status
                        WHEN 'AUTHORIZED' THEN now() + %(hold_period)s::interval
                        -- The customer's time does not begin again.
                        WHEN 'REQUIRES_ACTION'
                        THEN coalesce(payments.expires_at, now() + settled.action_period)
                        ELSE payments.expires_at
                    END,
       -- An inquiry without an answer changes neither.
       next_action_type = CASE WHEN settled.status = 'REQUIRES_ACTION'
                               THEN coalesce(settled.action_type, payments.next_action_type)
                          END,
       next_action_url = CASE WHEN settled.status = 'REQUIRES_ACTION'
                              THEN coalesce(settled.action_url, payments.next_action_url)
                         END
  FROM unnest(%(ids)b::uuid[], %(statuses)b::text[], %(failure_reasons)b::text[],
              %(faults)b::smallint[], %(retries_after)b::interval[], %(fees)b::bigint[],
              %(network_states)b::text[], %(reversal_reasons)b::text[],
              %(network_references)b::text[], %(key_generations)b::smallint[],
              %(sent_flags)b::boolean[], %(action_types)b::text[], %(action_urls)b::text[],
              %(action_periods)b::interval[])
       AS settled (id, status, failure_reason, faults, retry_after, fee, network_state,
                   reversal_reason, network_reference, key_generation, was_sent, action_type,
                   action_url, action_period)
 WHERE payments.id = settled.id

-- name: lock_payment
-- NO KEY: the foreign-key checks of refunds do not wait for this lock.
SELECT
       -- include: payment_columns
  FROM payments
 WHERE id = %(id)s
   AND merchant_id = %(merchant_id)s
   FOR NO KEY UPDATE

-- name: resolve_hold
-- A higher attempt invalidates the claim under which the hold was placed: its worker may not know
-- yet that its commit succeeded. statement_timestamp(): this transaction may have begun before that
-- worker's, and waited for it.
UPDATE payments
   SET status = 'PROCESSING', step = %(step)s, capture_amount = %(amount)s,
       cancellation_reason = %(reason)s, attempt = attempt + 1, faults = 0,
       due_at = statement_timestamp(), updated_at = statement_timestamp(),
       leased_until = NULL, next_action_type = NULL, next_action_url = NULL
 WHERE id = %(id)s
   AND status = CASE %(step)s WHEN 'abandon' THEN 'REQUIRES_ACTION' ELSE 'AUTHORIZED' END
RETURNING
       -- include: payment_columns

-- name: expire_holds
-- MATERIALIZED: see purge_keys.
WITH expired AS MATERIALIZED (
    SELECT id
      FROM payments
     WHERE phase = 'AUTHORIZED'
       AND expires_at <= now()
     ORDER BY expires_at, id
     LIMIT %(limit)s
       FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE payments
   SET status = 'PROCESSING', step = 'expire', cancellation_reason = %(reason)s,
       attempt = payments.attempt + 1, faults = 0, due_at = now(), updated_at = now()
  FROM expired
 WHERE payments.id = expired.id
RETURNING payments.merchant_id, payments.id

-- name: abandon_awaited
-- As expire_holds. The claim of an inquiry that is under way is no longer current.
WITH expired AS MATERIALIZED (
    SELECT id
      FROM payments
     WHERE phase = 'REQUIRES_ACTION'
       AND expires_at <= now()
     ORDER BY expires_at, id
     LIMIT %(limit)s
       FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE payments
   SET status = 'PROCESSING', step = 'abandon', cancellation_reason = %(reason)s,
       attempt = payments.attempt + 1, faults = 0, due_at = now(), updated_at = now(),
       leased_until = NULL, next_action_type = NULL, next_action_url = NULL
  FROM expired
 WHERE payments.id = expired.id
RETURNING payments.merchant_id, payments.id

-- name: request_payment_inquiries
WITH
-- include: inquiry_requests(payments)

-- name: request_awaited_inquiries
-- The same for payments that wait for their customers.
WITH idle AS MATERIALIZED (
    SELECT id
      FROM payments
     WHERE id = ANY(%(ids)s)
       AND network = %(network)s
       AND phase = 'REQUIRES_ACTION'
       AND coalesce(leased_until, now()) <= now()
     ORDER BY id
       FOR NO KEY UPDATE SKIP LOCKED
), hastened AS (
    UPDATE payments
       SET due_at = least(due_at, now())
      FROM idle
     WHERE payments.id = idle.id
    RETURNING payments.id
)
SELECT id
  FROM payments
 WHERE id = ANY(%(ids)s)
   AND network = %(network)s
   AND phase = 'REQUIRES_ACTION'
   AND id <> ALL (ARRAY(SELECT hastened.id FROM hastened))

-- name: make_payment_due
-- As if the lease had ended. It is not removed: the next claim must see that the one before it ended
-- without a settlement. The attempt does not change: the worker that has the claim may still settle
-- it, until another worker claims it.
UPDATE payments
   SET due_at = least(due_at, now()), claimed_by = NULL,
       -- least() alone would give a lease to an item without one.
       leased_until = CASE WHEN leased_until IS NOT NULL THEN least(leased_until, now()) END
 WHERE id = %(id)s
   AND phase IN ('OPEN', 'REQUIRES_ACTION')

-- name: report_payment_doubts
-- SKIP LOCKED: the transaction that has locked one claims, settles or reports it.
WITH doubts AS MATERIALIZED (
    SELECT id
      FROM payments
     WHERE network_state = 'unknown'
       AND doubt_reported_at IS NULL
       AND unresolved_since <= now() - %(alarm)s::interval
     ORDER BY unresolved_since, id
     LIMIT %(limit)s
       FOR NO KEY UPDATE SKIP LOCKED
), reported AS (
    UPDATE payments
       SET doubt_reported_at = now()
      FROM doubts
     WHERE payments.id = doubts.id
    RETURNING payments.id, payments.merchant_id, payments.amount, payments.currency, payments.step,
              payments.network_state, payments.unresolved_since, payments.faults, payments.due_at
)
SELECT id AS payment_id, NULL::uuid AS refund_id, merchant_id, amount, currency, step,
       network_state, unresolved_since, faults, due_at
  FROM reported
 ORDER BY unresolved_since, id
