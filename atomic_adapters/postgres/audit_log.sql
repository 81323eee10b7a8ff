-- name: insert_audit_event
INSERT INTO audit_log (id, merchant_id, event, actor, actor_id, address, request_id,
                       server_request_id, email_hash, details)
VALUES (%(id)s, %(merchant_id)s, %(event)s, %(actor)s, %(actor_id)s, %(address)s, %(request_id)s,
        %(server_request_id)s, %(email_hash)s, %(details)s)

-- name: list_audit_events
-- Newest first, before a position; without one, before a position after all others.
SELECT id, event AS type, actor, actor_id, address, request_id, server_request_id, details, at
  FROM audit_log
 WHERE merchant_id = %(merchant_id)s
   AND (at, id) < (coalesce(%(before_at)s::timestamptz, 'infinity'),
                   coalesce(%(before_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
 ORDER BY at DESC, id DESC
 LIMIT %(limit)s
