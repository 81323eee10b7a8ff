-- Nothing is lost. Events that were purged do not come back.
SET LOCAL lock_timeout = '5s';

DROP INDEX webhook_endpoints_stopped;
DROP INDEX webhook_deliveries_failed;
DROP TRIGGER streams_lose_their_beginning_only ON events;
DROP FUNCTION streams_lose_their_beginning_only();
