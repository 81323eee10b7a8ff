-- Retention of events, and indexes for the metrics of webhooks.
-- depends: 0019.webhooks

-- Runs while payments flow, also with the previous version of Atomic, which deletes no events. Locks
-- events, webhook_endpoints and webhook_deliveries against writers for a moment; the indexes read the
-- tables of webhooks, which are new.
SET LOCAL lock_timeout = '5s';

-- Events younger than 30 days cannot be deleted since 0018. What may be deleted of a stream is its
-- beginning, without its last event: then the first event that is kept tells a reader whether events
-- are missing. No endpoint loses an event that it has not passed, or a delivery the event it sends.
CREATE FUNCTION streams_lose_their_beginning_only() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
    offender uuid;
BEGIN
    SELECT purged.merchant_id INTO offender
      FROM (SELECT merchant_id, max(sequence) AS last
              FROM deleted_events
             WHERE sequence IS NOT NULL
             GROUP BY merchant_id) AS purged
     WHERE EXISTS (SELECT FROM events
                    WHERE events.merchant_id = purged.merchant_id
                      AND events.sequence < purged.last)
        OR NOT EXISTS (SELECT FROM events
                        WHERE events.merchant_id = purged.merchant_id
                          AND events.sequence > purged.last)
        OR EXISTS (SELECT FROM webhook_endpoints
                    WHERE webhook_endpoints.merchant_id = purged.merchant_id
                      AND webhook_endpoints.status = 'enabled'
                      AND webhook_endpoints.deleted_at IS NULL
                      AND webhook_endpoints.position < purged.last)
        OR EXISTS (SELECT FROM webhook_endpoints
                     JOIN webhook_deliveries
                       ON webhook_deliveries.endpoint_id = webhook_endpoints.id
                    WHERE webhook_endpoints.merchant_id = purged.merchant_id
                      AND webhook_deliveries.sequence <= purged.last)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'events of merchant % are still needed', offender
            USING ERRCODE = 'restrict_violation',
                  CONSTRAINT = 'streams_lose_their_beginning_only';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER streams_lose_their_beginning_only
    AFTER DELETE ON events
    REFERENCING OLD TABLE AS deleted_events
    FOR EACH STATEMENT EXECUTE FUNCTION streams_lose_their_beginning_only();

-- Without a search_path of its own a function reads the caller's temporary tables first.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION streams_lose_their_beginning_only()'
                   ' SET search_path = pg_catalog, %I, pg_temp', current_schema());
END
$$;

-- Dead letters are counted. Those that succeed, nearly all, are in neither index.
CREATE INDEX webhook_deliveries_failed ON webhook_deliveries (updated_at) WHERE status = 'failed';
CREATE INDEX webhook_endpoints_stopped ON webhook_endpoints (disabled_reason)
    WHERE deleted_at IS NULL AND (status = 'disabled' OR paused_until IS NOT NULL);
