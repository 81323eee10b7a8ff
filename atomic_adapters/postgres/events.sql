-- name: insert_payment_events
-- statement_timestamp(), not now(): the payment is locked when the statement begins, so its events
-- are in order of time; the transaction may have begun before the lock was granted.
INSERT INTO payment_events (payment_id, refund_id, event, status, at, attempt, amount, reason,
                            request_id)
SELECT payment_id, refund_id, event, status, statement_timestamp(), attempt, amount, reason,
       request_id
  FROM unnest(%(payment_ids)b::uuid[], %(refund_ids)b::uuid[], %(events)b::text[],
              %(statuses)b::text[], %(attempts)b::integer[], %(amounts)b::bigint[],
              %(reasons)b::text[], %(request_ids)b::text[])
       AS new (payment_id, refund_id, event, status, attempt, amount, reason, request_id)

-- name: list_events_by_payment
SELECT payment_id, event, status, refund_id, attempt, amount, reason, request_id, at
  FROM payment_events
 WHERE payment_id = %(payment_id)s
 ORDER BY sequence
 LIMIT %(limit)s
