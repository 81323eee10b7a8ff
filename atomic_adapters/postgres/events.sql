-- name: insert_payment_events
-- statement_timestamp(), not now(): the payment is locked when the statement begins, so its events
-- are in order of time; the transaction may have begun before the lock was granted.
INSERT INTO payment_events (payment_id, refund_id, event, status, at, attempt, amount, reason,
                            actor, actor_id, client_address, request_id, server_request_id,
                            operator)
SELECT payment_id, refund_id, event, status, statement_timestamp(), attempt, amount, reason,
       actor, actor_id, client_address::inet, request_id, server_request_id, operator
  FROM unnest(%(payment_ids)b::uuid[], %(refund_ids)b::uuid[], %(events)b::text[],
              %(statuses)b::text[], %(attempts)b::integer[], %(amounts)b::bigint[],
              %(reasons)b::text[], %(actors)b::text[], %(actor_ids)b::uuid[],
              %(client_addresses)b::text[], %(request_ids)b::text[],
              %(server_request_ids)b::uuid[], %(operators)b::text[])
       AS new (payment_id, refund_id, event, status, attempt, amount, reason, actor, actor_id,
               client_address, request_id, server_request_id, operator)

-- name: list_events_by_payment
SELECT at, payment_id, event, status, refund_id, attempt, amount, reason, actor, actor_id,
       host(client_address), request_id, server_request_id, operator
  FROM payment_events
 WHERE payment_id = %(payment_id)s
 ORDER BY sequence
 LIMIT %(limit)s
