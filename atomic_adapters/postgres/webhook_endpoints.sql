-- name: mark_streams_due
-- Runs after insert_events, as a statement of its own: its snapshot is later than the locks of the
-- streams, so that it sees whether they have been planned meanwhile.
UPDATE webhook_streams
   SET is_due = true
 WHERE merchant_id = ANY(%(merchant_ids)b::uuid[])
   AND NOT is_due

-- name: insert_stream
INSERT INTO webhook_streams (merchant_id)
VALUES (%(merchant_id)s)
    ON CONFLICT (merchant_id) DO NOTHING

-- name: lock_stream
-- No row if the merchant has no event yet.
SELECT last_sequence
  FROM event_counters
 WHERE merchant_id = %(merchant_id)s
   FOR NO KEY UPDATE

-- name: insert_endpoint
INSERT INTO webhook_endpoints (id, merchant_id, url, event_types, description, is_ordered, secret,
                               position, target)
VALUES (%(id)s, %(merchant_id)s, %(url)s, %(event_types)s, %(description)s, %(is_ordered)s,
        %(secret)s, %(position)s, %(position)s)
    ON CONFLICT DO NOTHING
RETURNING
       -- include: webhook_endpoint_columns

-- name: list_endpoints
SELECT
       -- include: webhook_endpoint_columns
  FROM webhook_endpoints
 WHERE merchant_id = %(merchant_id)s
   AND deleted_at IS NULL
 ORDER BY id

-- name: get_endpoint
SELECT
       -- include: webhook_endpoint_columns
  FROM webhook_endpoints
 WHERE id = %(id)s
   AND merchant_id = %(merchant_id)s
   AND deleted_at IS NULL

-- name: get_default_endpoint
SELECT
       -- include: webhook_endpoint_columns
  FROM webhook_endpoints
 WHERE merchant_id = %(merchant_id)s
   AND url IS NULL
   AND deleted_at IS NULL

-- name: lock_endpoint
SELECT
       -- include: webhook_endpoint_columns
  FROM webhook_endpoints
 WHERE id = %(id)s
   AND merchant_id = %(merchant_id)s
   AND deleted_at IS NULL
   FOR NO KEY UPDATE

-- name: change_endpoint
UPDATE webhook_endpoints
   SET url = coalesce(%(url)s, url),
       event_types = coalesce(%(event_types)s, event_types),
       description = coalesce(%(description)s, description),
       is_ordered = coalesce(%(is_ordered)s, is_ordered),
       status = coalesce(%(status)s, status),
       disabled_reason = CASE %(status)s::text WHEN 'disabled' THEN %(disabled_reason)s
                                              WHEN 'enabled' THEN NULL
                                              ELSE disabled_reason
                         END,
       consecutive_failures = CASE %(status)s::text WHEN 'enabled' THEN 0
                                                   ELSE consecutive_failures
                              END,
       failing_since = CASE WHEN %(status)s::text IS DISTINCT FROM 'enabled' THEN failing_since END,
       paused_until = CASE WHEN %(status)s::text IS DISTINCT FROM 'enabled' THEN paused_until END,
       updated_at = now()
 WHERE id = %(id)s
RETURNING
       -- include: webhook_endpoint_columns

-- name: get_secrets
SELECT secret, CASE WHEN former_secret_until > now() THEN former_secret END
  FROM webhook_endpoints
 WHERE id = %(id)s

-- name: rotate_secret
UPDATE webhook_endpoints
   SET former_secret = secret, former_secret_until = now() + %(overlap)s::interval,
       secret = %(secret)s, updated_at = now()
 WHERE id = %(id)s

-- name: replay_endpoint
UPDATE webhook_endpoints
   SET position = %(position)s, replays = replays + 1, target_at = now(), paused_until = NULL
 WHERE id = %(id)s

-- name: delete_endpoint
UPDATE webhook_endpoints
   SET deleted_at = now(), updated_at = now()
 WHERE id = %(id)s
