-- transactional: false
-- The timeline's events since the migration are copied back. The stream ends, and its sequence numbers
-- are forgotten: after another upgrade it begins at 1, and its consumers have to begin again. As in the
-- migration, each statement commits by itself and can be repeated.
SET lock_timeout = '5s';

-- The version before does not know the scope events:read: keys lose it, and those that have no other
-- are revoked.
DO $$
BEGIN
    ALTER TABLE api_keys DROP CONSTRAINT IF EXISTS api_keys_known_scopes;
    ALTER TABLE api_keys DISABLE TRIGGER api_keys_stay_whose_they_are;
    UPDATE api_keys
       SET scopes = array_remove(scopes, 'events:read')
     WHERE 'events:read' = ANY(scopes)
       AND scopes <> '{events:read}';
    UPDATE api_keys
       SET revoked_at = coalesce(revoked_at, now()), scopes = '{payments:read}'
     WHERE scopes = '{events:read}';
    ALTER TABLE api_keys ENABLE TRIGGER api_keys_stay_whose_they_are;
    ALTER TABLE api_keys
        ADD CONSTRAINT api_keys_known_scopes
        CHECK (cardinality(scopes) > 0 AND scopes <@
               '{payments:write,payments:read,accounts:write,accounts:read,refunds:write}'::text[]);
END
$$;

DROP TRIGGER IF EXISTS payment_events_are_copied ON payment_events;
DROP FUNCTION IF EXISTS payment_events_are_copied();

DO $$
BEGIN
    -- A repeated rollback may find the table gone.
    IF to_regclass('events') IS NOT NULL THEN
        -- The end of a charge follows from its row and its ledger transaction.
        INSERT INTO payment_events (payment_id, refund_id, event, status, at, attempt, amount, reason,
                                    actor, actor_id, client_address, request_id,
                                    server_request_id, operator)
        SELECT events.payment_id, events.refund_id,
               CASE WHEN events.type LIKE 'refund.%' THEN replace(events.type, '.', '_')
                    ELSE substr(events.type, 9)
               END,
               events.status, events.occurred_at, events.attempt, events.amount, events.reason,
               events.actor, events.actor_id, events.client_address, events.request_id,
               events.server_request_id, events.operator
          FROM events
          JOIN payments ON payments.id = events.payment_id
         WHERE (payments.step <> 'charge' OR events.refund_id IS NOT NULL
                OR events.type NOT IN ('payment.succeeded', 'payment.failed'))
           AND NOT EXISTS (SELECT FROM payment_events AS old
                            WHERE old.payment_id = events.payment_id
                              AND copied_event_id(old.payment_id, old.sequence, old.at) = events.id)
         ORDER BY events.id;
        DROP TABLE events;
    END IF;
END
$$;

DROP TABLE IF EXISTS event_counters;
DROP FUNCTION IF EXISTS events_continue_their_stream();
DROP FUNCTION IF EXISTS event_counters_count_events();
DROP FUNCTION IF EXISTS copied_event_id(uuid, bigint, timestamptz);
