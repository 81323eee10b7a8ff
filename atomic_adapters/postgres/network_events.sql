-- name: insert_network_event
INSERT INTO network_events (network, id, type, payment_id, refund_id, dispute_reference)
VALUES (%(network)s, %(id)s, %(type)s, %(payment_id)s, %(refund_id)s, %(dispute_reference)s)
    ON CONFLICT (network, id) DO NOTHING

-- name: lock_due_network_events
SELECT network, id, type, payment_id, refund_id, postponements, dispute_reference
  FROM network_events
 WHERE due_at <= now()
   AND dispute_reference IS NULL
 ORDER BY due_at, network, id
 LIMIT %(limit)s
   FOR NO KEY UPDATE SKIP LOCKED

-- name: lock_due_events_of_disputes
SELECT network, id, type, payment_id, refund_id, postponements, dispute_reference
  FROM network_events
 WHERE network = %(network)s
   AND due_at <= now()
   AND dispute_reference IS NOT NULL
 ORDER BY due_at, id
 LIMIT %(limit)s
   FOR NO KEY UPDATE SKIP LOCKED

-- name: finish_network_events
UPDATE network_events
   SET due_at = NULL
  FROM unnest(%(networks)b::text[], %(ids)b::text[]) AS finished (network, id)
 WHERE network_events.network = finished.network
   AND network_events.id = finished.id

-- name: postpone_network_events
UPDATE network_events
   SET due_at = now() + %(delay)s::interval,
       -- Those of disputes are postponed without end.
       postponements = least(postponements + 1, 30000)
  FROM unnest(%(networks)b::text[], %(ids)b::text[]) AS postponed (network, id)
 WHERE network_events.network = postponed.network
   AND network_events.id = postponed.id

-- name: lease_network_events
UPDATE network_events
   SET due_at = now() + %(delay)s::interval
  FROM unnest(%(networks)b::text[], %(ids)b::text[]) AS leased (network, id)
 WHERE network_events.network = leased.network
   AND network_events.id = leased.id

-- name: purge_network_events
-- By their places in the table, which their locks keep: a join by id would be planned for a tenth of the
-- table, whatever the limit.
WITH old AS MATERIALIZED (
    SELECT ctid AS place
      FROM network_events
     WHERE due_at IS NULL
       AND received_at <= now() - %(age)s::interval
     ORDER BY received_at, network, id
     LIMIT %(limit)s
       FOR UPDATE SKIP LOCKED
)
DELETE FROM network_events
 WHERE ctid = ANY (ARRAY(SELECT place FROM old))
