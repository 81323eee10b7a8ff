-- name: plan_streams
-- Locks the counters as a commit that adds events does, in merchant order. Streams that another
-- worker plans at the same moment are planned again, which changes nothing.
SELECT merchant_id, last_sequence
  FROM event_counters
 WHERE merchant_id IN (SELECT merchant_id
                         FROM webhook_streams
                        WHERE is_due
                        ORDER BY merchant_id
                        LIMIT %(limit)s)
 ORDER BY merchant_id
   FOR NO KEY UPDATE

-- name: make_endpoints_due
-- `merchant_ids` are those whose streams this transaction has locked.
WITH planned AS (
    UPDATE webhook_streams
       SET is_due = false
     WHERE merchant_id = ANY(%(merchant_ids)b::uuid[])
       AND is_due
)
UPDATE webhook_endpoints
   SET target = grown.last_sequence,
       target_at = CASE WHEN webhook_endpoints.position < webhook_endpoints.target
                        THEN webhook_endpoints.target_at ELSE now() END
  FROM unnest(%(merchant_ids)b::uuid[], %(sequences)b::bigint[])
       AS grown (merchant_id, last_sequence)
 WHERE webhook_endpoints.merchant_id = grown.merchant_id
   AND webhook_endpoints.deleted_at IS NULL
   AND webhook_endpoints.target < grown.last_sequence

-- name: claim_endpoints
WITH
-- include: claiming_worker
, due AS MATERIALIZED (
    SELECT id
      FROM webhook_endpoints
     WHERE due_at <= now() - %(overdue_by)s::interval
     ORDER BY due_at
     LIMIT %(limit)s
       FOR NO KEY UPDATE SKIP LOCKED
),
-- Endpoints whose worker is dead: its advisory lock is free. They were due when it claimed them, and only
-- the lease postpones them now. due_at is NULL of one that was disabled or deleted meanwhile.
orphaned AS MATERIALIZED (
    SELECT id
      FROM webhook_endpoints
     WHERE claimed_by IS NOT NULL
       AND due_at > now() - %(overdue_by)s::interval
       AND pg_try_advisory_xact_lock_shared('claimants'::regclass::integer, claimed_by)
     LIMIT %(limit)s
       FOR NO KEY UPDATE SKIP LOCKED
), claimable AS (
    SELECT id FROM orphaned
     UNION ALL
    SELECT id FROM due
     LIMIT %(limit)s
)
UPDATE webhook_endpoints
   SET claim = claim + 1, claimed_until = now() + %(lease)s::interval, claimed_by = worker.id
  FROM claimable, worker
 WHERE webhook_endpoints.id = claimable.id
RETURNING webhook_endpoints.id, merchant_id, url, event_types, description, is_ordered, status,
          disabled_reason, position, created_at, updated_at,
          secret, CASE WHEN former_secret_until > now() THEN former_secret END,
          claim, target, consecutive_failures, failing_since, paused_until, now(), replays

-- name: list_retries
SELECT event_id, sequence, url, retries
  FROM webhook_deliveries
 WHERE endpoint_id = %(endpoint_id)s
   AND status = 'pending'
   AND next_attempt_at <= now()
 ORDER BY next_attempt_at
 LIMIT %(limit)s

-- name: list_first_pending
-- Of an ordered endpoint: what comes after it waits for it.
SELECT event_id, sequence, url, retries
  FROM webhook_deliveries
 WHERE endpoint_id = %(endpoint_id)s
   AND status = 'pending'
 ORDER BY sequence
 LIMIT 1

-- name: list_failures
-- Those that succeeded begin anew when they are replayed.
SELECT sequence, CASE WHEN status = 'succeeded' THEN 0 ELSE retries END
  FROM webhook_deliveries
 WHERE endpoint_id = %(endpoint_id)s
   AND sequence = ANY(%(sequences)b::bigint[])

-- name: list_payment_urls
SELECT id, webhook_url
  FROM payments
 WHERE id = ANY(%(payment_ids)b::uuid[])
   AND webhook_url IS NOT NULL

-- name: lock_claimed_endpoint
SELECT replays, position
  FROM webhook_endpoints
 WHERE id = %(id)s
   AND claim = %(claim)s
   AND deleted_at IS NULL
   FOR NO KEY UPDATE

-- name: record_deliveries
-- A delivery that is known already counts on.
WITH recorded AS (
    INSERT INTO webhook_deliveries AS delivery
           (endpoint_id, merchant_id, event_id, sequence, type, url, status, attempts, retries,
            next_attempt_at)
    SELECT %(endpoint_id)s, %(merchant_id)s, event_id, sequence, type, url, status, 1, retries,
           next_attempt_at
      FROM unnest(%(event_ids)b::uuid[], %(sequences)b::bigint[], %(types)b::text[],
                  %(urls)b::text[], %(statuses)b::text[], %(retries)b::integer[],
                  %(next_attempts_at)b::timestamptz[])
           AS outcome (event_id, sequence, type, url, status, retries, next_attempt_at)
     ORDER BY sequence
        ON CONFLICT (endpoint_id, sequence) DO UPDATE
       SET url = excluded.url, status = excluded.status, attempts = delivery.attempts + 1,
           retries = excluded.retries, next_attempt_at = excluded.next_attempt_at,
           updated_at = now()
    RETURNING delivery.id, delivery.sequence, delivery.attempts
)
INSERT INTO webhook_attempts (delivery_id, number, at, status_code, duration_ms, error, response)
SELECT recorded.id, recorded.attempts, attempt.at, attempt.status_code, attempt.duration_ms,
       attempt.error, attempt.response
  FROM unnest(%(sequences)b::bigint[], %(times)b::timestamptz[], %(status_codes)b::integer[],
              %(durations)b::integer[], %(errors)b::text[], %(responses)b::text[])
       AS attempt (sequence, at, status_code, duration_ms, error, response)
  JOIN recorded ON recorded.sequence = attempt.sequence

-- name: release_endpoint
UPDATE webhook_endpoints
   SET position = CASE WHEN replays = %(replays)s THEN %(position)s ELSE position END,
       retry_at = (SELECT min(next_attempt_at)
                     FROM webhook_deliveries
                    WHERE endpoint_id = %(id)s
                      AND status = 'pending'),
       claimed_until = NULL, claimed_by = NULL, target_at = now(),
       consecutive_failures = %(consecutive_failures)s, failing_since = %(failing_since)s,
       paused_until = CASE WHEN replays = %(replays)s THEN %(paused_until)s::timestamptz END
 WHERE id = %(id)s

-- name: list_deliveries
SELECT
       -- include: webhook_delivery_columns
-- include: listed_deliveries
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s

-- name: list_deliveries_by_status
-- A page of each status, merged: an index on several at once is not in order of time.
SELECT
       -- include: webhook_delivery_columns
  FROM unnest(%(statuses)b::text[]) AS requested (requested_status)
 CROSS JOIN LATERAL (
           SELECT
                  -- include: webhook_delivery_columns
           -- include: listed_deliveries
              AND status = requested_status
              AND type = ANY(%(types)b::text[])
            ORDER BY created_at DESC, id DESC
            LIMIT %(limit)s) AS listed
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s

-- name: list_deliveries_by_type
SELECT
       -- include: webhook_delivery_columns
  FROM unnest(%(types)b::text[]) AS requested (requested_type)
 CROSS JOIN LATERAL (
           SELECT
                  -- include: webhook_delivery_columns
           -- include: listed_deliveries
              AND type = requested_type
            ORDER BY created_at DESC, id DESC
            LIMIT %(limit)s) AS listed
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s

-- name: get_delivery
SELECT
       -- include: webhook_delivery_columns
  FROM webhook_deliveries
 WHERE id = %(id)s
   AND merchant_id = %(merchant_id)s
   AND EXISTS (SELECT
                 FROM webhook_endpoints
                WHERE webhook_endpoints.id = webhook_deliveries.endpoint_id
                  AND webhook_endpoints.deleted_at IS NULL)

-- name: list_attempts
SELECT number, at, status_code, duration_ms, error, response
  FROM (SELECT number, at, status_code, duration_ms, error, response
          FROM webhook_attempts
         WHERE delivery_id = %(delivery_id)s
         ORDER BY number DESC
         LIMIT %(limit)s) AS latest
 ORDER BY number

-- name: lock_endpoint_of_delivery
SELECT webhook_endpoints.is_ordered
  FROM webhook_deliveries
  JOIN webhook_endpoints ON webhook_endpoints.id = webhook_deliveries.endpoint_id
 WHERE webhook_deliveries.id = %(id)s
   AND webhook_deliveries.merchant_id = %(merchant_id)s
   AND webhook_endpoints.deleted_at IS NULL
   AND webhook_endpoints.status = 'enabled'
   FOR NO KEY UPDATE OF webhook_endpoints

-- name: retry_delivery
WITH delivery AS (
    UPDATE webhook_deliveries
       SET status = 'pending', next_attempt_at = now(), updated_at = now(),
           retries = CASE WHEN %(is_ordered)s AND status = 'pending' THEN retries
                          WHEN %(is_ordered)s THEN %(last_retry)s ELSE 0 END
     WHERE id = %(id)s
    RETURNING
       -- include: webhook_delivery_columns
), endpoint AS (
    UPDATE webhook_endpoints
       SET retry_at = least(retry_at, now()), paused_until = NULL
      FROM delivery
     WHERE webhook_endpoints.id = delivery.endpoint_id
)
SELECT
       -- include: webhook_delivery_columns
  FROM delivery

-- name: purge_deliveries
WITH ended AS MATERIALIZED (
    SELECT id
      FROM webhook_deliveries
     WHERE status <> 'pending'
       AND updated_at < %(before)s
     ORDER BY updated_at
     LIMIT %(limit)s
       FOR UPDATE SKIP LOCKED
)
-- An array: the planner expects few rows, whatever the limit of a generic plan.
DELETE FROM webhook_deliveries
 WHERE id = ANY(ARRAY(SELECT id FROM ended))

-- name: purge_deleted_deliveries
WITH orphaned AS MATERIALIZED (
    SELECT webhook_deliveries.id
      FROM webhook_endpoints
      JOIN webhook_deliveries ON webhook_deliveries.endpoint_id = webhook_endpoints.id
     WHERE webhook_endpoints.deleted_at < now() - interval '5 minutes'
     LIMIT %(limit)s
       FOR UPDATE OF webhook_deliveries SKIP LOCKED
)
DELETE FROM webhook_deliveries
 WHERE id = ANY(ARRAY(SELECT id FROM orphaned))

-- name: purge_deleted_endpoints
DELETE FROM webhook_endpoints
 WHERE deleted_at < now() - interval '5 minutes'
   AND NOT EXISTS (SELECT
                     FROM webhook_deliveries
                    WHERE webhook_deliveries.endpoint_id = webhook_endpoints.id)

-- name: measure_backlog
-- Of endpoints with something to send, also if nothing has made them due yet. Few of them are behind
-- at a time: both parts read partial indexes.
WITH lagging AS (
    SELECT merchant_id, position
      FROM webhook_endpoints
     WHERE due_at IS NOT NULL
       AND position < target
     UNION
    SELECT webhook_endpoints.merchant_id, webhook_endpoints.position
      FROM webhook_streams
      JOIN webhook_endpoints ON webhook_endpoints.merchant_id = webhook_streams.merchant_id
     WHERE webhook_streams.is_due
       AND webhook_endpoints.status = 'enabled'
       AND webhook_endpoints.deleted_at IS NULL
), slowest AS (
    SELECT merchant_id, min(position) AS position
      FROM lagging
     GROUP BY merchant_id
), lag AS (
    SELECT coalesce(max(event_counters.last_sequence - slowest.position), 0) AS events,
           coalesce(max(extract(epoch FROM now() - events.occurred_at)), 0) AS seconds
      FROM slowest
      JOIN event_counters ON event_counters.merchant_id = slowest.merchant_id
      LEFT JOIN events ON events.merchant_id = slowest.merchant_id
                      AND events.sequence = slowest.position + 1
), stopped AS (
    SELECT count(*) FILTER (WHERE status = 'enabled' AND paused_until > now()) AS paused,
           count(*) FILTER (WHERE disabled_reason = 'requested') AS requested,
           count(*) FILTER (WHERE disabled_reason = 'gone') AS gone,
           count(*) FILTER (WHERE disabled_reason = 'failing') AS failing
      FROM webhook_endpoints
     WHERE deleted_at IS NULL
       AND (status = 'disabled' OR paused_until IS NOT NULL)
)
SELECT lag.events, lag.seconds::double precision,
       (SELECT count(*)
          FROM (SELECT FROM webhook_deliveries
                 WHERE status = 'pending'
                 LIMIT %(limit)s) AS pending),
       (SELECT count(*)
          FROM (SELECT FROM webhook_deliveries
                 WHERE status = 'failed'
                 LIMIT %(limit)s) AS failed),
       stopped.paused, stopped.requested, stopped.gone, stopped.failing
  FROM lag
 CROSS JOIN stopped
