-- name: insert_events
-- Runs last in its transaction. The rows of event_counters are locked in merchant order, and until the
-- commit, so sequence numbers are in the order of commits and have no gaps. The time is read after
-- that: the numbers of a merchant are in order of time unless the clock is set back.
--
-- `counts` has the number of events in the stream of each of `counted_merchant_ids`, which are in
-- order; `offsets`, of each event, its number from 1 among those of its merchant.
WITH counted AS (
    SELECT merchant_id, number
      FROM unnest(%(counted_merchant_ids)b::uuid[], %(counts)b::bigint[])
           AS counted (merchant_id, number)
), counters AS (
    INSERT INTO event_counters AS counter (merchant_id, last_sequence)
    SELECT merchant_id, number
      FROM counted
        ON CONFLICT (merchant_id) DO UPDATE
       SET last_sequence = counter.last_sequence + excluded.last_sequence
    RETURNING counter.merchant_id, counter.last_sequence
), streams AS (
    SELECT counted.merchant_id, counters.last_sequence - counted.number AS previous
      FROM counted
      JOIN counters ON counters.merchant_id = counted.merchant_id
), first_id AS MATERIALIZED (
    -- uuidv7() reads random bytes from the system at each call, which takes longer than the rest of an
    -- event: the ids of a statement follow one another. A leading zero leaves room for them.
    SELECT substr(id, 1, 24) AS head, ('x0' || substr(id, 26))::bit(48)::bigint AS tail
      FROM (SELECT uuidv7()::text AS id) AS generated
)
INSERT INTO events (id, merchant_id, sequence, type, payment_id, refund_id, status, attempt, amount,
                    reason, actor, actor_id, client_address, request_id, server_request_id,
                    operator, data, occurred_at)
SELECT (first_id.head || lpad(to_hex(first_id.tail + ordinal), 12, '0'))::uuid,
       added.merchant_id, streams.previous + added.position, type, payment_id, refund_id, status,
       attempt, amount, reason, actor, actor_id, client_address::inet, request_id,
       server_request_id, operator, data::jsonb, clock_timestamp()
  FROM unnest(%(merchant_ids)b::uuid[], %(offsets)b::bigint[], %(types)b::text[],
              %(payment_ids)b::uuid[], %(refund_ids)b::uuid[], %(statuses)b::text[],
              %(attempts)b::integer[], %(amounts)b::bigint[], %(reasons)b::text[],
              %(actors)b::text[], %(actor_ids)b::uuid[], %(client_addresses)b::text[],
              %(request_ids)b::text[], %(server_request_ids)b::uuid[], %(operators)b::text[],
              %(data)b::text[])
       WITH ORDINALITY
       AS added (merchant_id, position, type, payment_id, refund_id, status, attempt, amount,
                 reason, actor, actor_id, client_address, request_id, server_request_id, operator,
                 data, ordinal)
 CROSS JOIN first_id
  LEFT JOIN streams ON streams.merchant_id = added.merchant_id

-- name: list_events_by_payment
SELECT merchant_id, type, payment_id, status, refund_id, attempt, amount, reason, occurred_at,
       actor, actor_id, host(client_address), request_id, server_request_id, operator
  FROM events
 WHERE payment_id = %(payment_id)s
 ORDER BY id
 LIMIT %(limit)s

-- name: list_stream
SELECT
       -- include: stream_event_columns
  FROM (SELECT id, merchant_id, sequence, type, payment_id, status, refund_id, attempt, amount,
               reason, actor, actor_id, client_address, request_id, server_request_id, operator,
               data, occurred_at
          FROM events
         WHERE merchant_id = %(merchant_id)s
           AND sequence > %(after_sequence)s
           AND sequence < %(before_sequence)s
         ORDER BY sequence
         LIMIT %(limit)s) AS page
-- include: event_subjects
 ORDER BY page.sequence

-- name: list_stream_newest_first
SELECT
       -- include: stream_event_columns
  FROM (SELECT id, merchant_id, sequence, type, payment_id, status, refund_id, attempt, amount,
               reason, actor, actor_id, client_address, request_id, server_request_id, operator,
               data, occurred_at
          FROM events
         WHERE merchant_id = %(merchant_id)s
           AND sequence > %(after_sequence)s
           AND sequence < %(before_sequence)s
         ORDER BY sequence DESC
         LIMIT %(limit)s) AS page
-- include: event_subjects
 ORDER BY page.sequence DESC

-- name: list_stream_by_type
-- A page of each type, merged: an index on several types at once is not in order of sequence.
SELECT
       -- include: stream_event_columns
  FROM (SELECT of_type.id, of_type.merchant_id, of_type.sequence, of_type.type,
               of_type.payment_id, of_type.status, of_type.refund_id, of_type.attempt,
               of_type.amount, of_type.reason, of_type.actor, of_type.actor_id,
               of_type.client_address, of_type.request_id, of_type.server_request_id,
               of_type.operator, of_type.data, of_type.occurred_at
          FROM unnest(%(types)b::text[]) AS requested (type)
         CROSS JOIN LATERAL (
                   SELECT id, merchant_id, sequence, type, payment_id, status, refund_id,
                          attempt, amount, reason, actor, actor_id, client_address, request_id,
                          server_request_id, operator, data, occurred_at
                     FROM events
                    WHERE events.merchant_id = %(merchant_id)s
                      AND events.type = requested.type
                      AND events.sequence > %(after_sequence)s
                      AND events.sequence < %(before_sequence)s
                    ORDER BY events.sequence
                    LIMIT %(limit)s) AS of_type
         ORDER BY of_type.sequence
         LIMIT %(limit)s) AS page
-- include: event_subjects
 ORDER BY page.sequence

-- name: list_stream_by_type_newest_first
SELECT
       -- include: stream_event_columns
  FROM (SELECT of_type.id, of_type.merchant_id, of_type.sequence, of_type.type,
               of_type.payment_id, of_type.status, of_type.refund_id, of_type.attempt,
               of_type.amount, of_type.reason, of_type.actor, of_type.actor_id,
               of_type.client_address, of_type.request_id, of_type.server_request_id,
               of_type.operator, of_type.data, of_type.occurred_at
          FROM unnest(%(types)b::text[]) AS requested (type)
         CROSS JOIN LATERAL (
                   SELECT id, merchant_id, sequence, type, payment_id, status, refund_id,
                          attempt, amount, reason, actor, actor_id, client_address, request_id,
                          server_request_id, operator, data, occurred_at
                     FROM events
                    WHERE events.merchant_id = %(merchant_id)s
                      AND events.type = requested.type
                      AND events.sequence > %(after_sequence)s
                      AND events.sequence < %(before_sequence)s
                    ORDER BY events.sequence DESC
                    LIMIT %(limit)s) AS of_type
         ORDER BY of_type.sequence DESC
         LIMIT %(limit)s) AS page
-- include: event_subjects
 ORDER BY page.sequence DESC

-- name: list_stream_by_payment
-- A payment has few events. `direction` is 1 for oldest first, -1 for newest first.
SELECT
       -- include: stream_event_columns
  FROM (SELECT id, merchant_id, sequence, type, payment_id, status, refund_id, attempt, amount,
               reason, actor, actor_id, client_address, request_id, server_request_id, operator,
               data, occurred_at
          FROM events
         WHERE payment_id = %(payment_id)s
           AND merchant_id = %(merchant_id)s
           AND type = ANY (%(types)b::text[])
           AND sequence > %(after_sequence)s
           AND sequence < %(before_sequence)s
         ORDER BY sequence * %(direction)s
         LIMIT %(limit)s) AS page
-- include: event_subjects
 ORDER BY page.sequence * %(direction)s

-- name: get_event
SELECT
       -- include: stream_event_columns
  FROM (SELECT id, merchant_id, sequence, type, payment_id, status, refund_id, attempt, amount,
               reason, actor, actor_id, client_address, request_id, server_request_id, operator,
               data, occurred_at
          FROM events
         WHERE id = %(id)s
           AND merchant_id = %(merchant_id)s
           AND sequence IS NOT NULL) AS page
-- include: event_subjects

-- name: get_last_sequences
SELECT merchant_id, last_sequence
  FROM event_counters
 WHERE merchant_id = ANY (%(merchant_ids)b::uuid[])

-- name: count_events
-- Settlement counts the events of each stream anyway. Reads one row per merchant.
SELECT coalesce(sum(last_sequence), 0)::bigint
  FROM event_counters

-- name: list_purgeable_streams
-- Those whose first event is old and is needed by nothing: probes one event per stream.
SELECT event_counters.merchant_id
  FROM event_counters
 CROSS JOIN LATERAL (
           SELECT events.sequence, events.occurred_at
             FROM events
            WHERE events.merchant_id = event_counters.merchant_id
              AND events.sequence < event_counters.last_sequence
            ORDER BY events.sequence
            LIMIT 1) AS oldest
 CROSS JOIN LATERAL (
-- include: first_needed_event
 ) AS needed
 WHERE oldest.occurred_at < %(before)s
   AND oldest.sequence < needed.sequence
 LIMIT %(limit)s

-- name: purge_stream
-- The beginning of a stream, up to the first event that is young or needed: times are not strictly in
-- the order of sequence numbers. The last event is kept.
WITH beginning AS MATERIALIZED (
    SELECT events.id, events.sequence, events.occurred_at
      FROM event_counters
     CROSS JOIN LATERAL (
-- include: first_needed_event
     ) AS needed
      JOIN events ON events.merchant_id = event_counters.merchant_id
                 AND events.sequence < needed.sequence
     WHERE event_counters.merchant_id = %(merchant_id)s
     ORDER BY events.sequence
     LIMIT %(limit)s
)
DELETE FROM events
 WHERE id = ANY(ARRAY(
           SELECT beginning.id
             FROM beginning
            WHERE NOT EXISTS (SELECT
                                FROM beginning AS young
                               WHERE young.occurred_at >= %(before)s
                                 AND young.sequence <= beginning.sequence)))

-- name: purge_timelines
-- Ids begin with the time, so that the primary key finds the oldest events.
DELETE FROM events
 WHERE id = ANY(ARRAY(
           SELECT id
             FROM events
            WHERE id < %(before_id)s
              AND sequence IS NULL
              AND occurred_at < %(before)s
            ORDER BY id
            LIMIT %(limit)s))
