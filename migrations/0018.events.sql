-- Events: one append-only table for the stream of a merchant, which is numbered without gaps, and for
-- the timeline of a payment. It takes the place of payment_events.
-- depends: 0017.payment-totals
-- transactional: false

-- Runs while payments flow. Each statement commits by itself, and all can be repeated: after a kill
-- run the migration again. The trigger on payment_events locks that table against writers for a
-- moment. Copying what is there locks nothing: it takes about 10 s per million events. Workers of the
-- version before write to payment_events, whose trigger copies their events; a later migration drops
-- it.
SET lock_timeout = '5s';

-- The scope events:read. API keys never change, so those that exist do not get it. Locks api_keys for
-- a moment, and not while it is read.
ALTER TABLE api_keys
    DROP CONSTRAINT IF EXISTS api_keys_known_scopes,
    ADD CONSTRAINT api_keys_known_scopes
        CHECK (cardinality(scopes) > 0 AND scopes <@
               '{payments:write,payments:read,accounts:write,accounts:read,refunds:write,events:read}'::text[])
        NOT VALID;
ALTER TABLE api_keys VALIDATE CONSTRAINT api_keys_known_scopes;

-- The last sequence number of each merchant's stream. The row is locked last in a transaction and
-- until it commits, so that the order of sequence numbers is the order of commits.
CREATE TABLE IF NOT EXISTS event_counters (
    merchant_id   uuid   PRIMARY KEY REFERENCES merchants,
    last_sequence bigint NOT NULL CHECK (last_sequence > 0)
);

CREATE TABLE IF NOT EXISTS events (
    id          uuid        PRIMARY KEY DEFAULT uuidv7(),
    merchant_id uuid        NOT NULL,
    -- Without gaps per merchant. NULL: of the timeline only.
    sequence    bigint      CHECK (sequence > 0),
    type        text        NOT NULL,
    payment_id  uuid,
    refund_id   uuid,
    -- Of the payment, or of the refund if it is a refund's.
    status      text,
    attempt     integer,
    amount      bigint,
    reason      text,
    -- As in payments.
    actor             text,
    actor_id          uuid,
    client_address    inet,
    request_id        text,
    server_request_id uuid,
    operator          text,
    -- Of an event that is about neither a payment nor a refund: what it is about, as it was then.
    -- For the others it follows from this row and from what never changes of the payment or refund.
    data        jsonb,
    occurred_at timestamptz NOT NULL,
    CONSTRAINT events_actor_is_known CHECK
        (CASE WHEN actor IS NULL THEN
                  coalesce(actor_id, server_request_id) IS NULL
                  AND client_address IS NULL AND operator IS NULL
              WHEN actor IN ('key', 'session') THEN
                  actor_id IS NOT NULL AND operator IS NULL
              ELSE
                  actor IN ('operator', 'anonymous') AND actor_id IS NULL
                  AND octet_length(coalesce(operator, '-')) BETWEEN 1 AND 400
         END),
    CONSTRAINT events_are_about_something
        CHECK (CASE WHEN payment_id IS NULL THEN data IS NOT NULL AND sequence IS NOT NULL
                    ELSE data IS NULL AND status IS NOT NULL
               END)
);

CREATE UNIQUE INDEX IF NOT EXISTS events_by_sequence ON events (merchant_id, sequence)
    WHERE sequence IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS events_by_type ON events (merchant_id, type, sequence)
    WHERE sequence IS NOT NULL;
CREATE INDEX IF NOT EXISTS events_by_payment ON events (payment_id)
    WHERE payment_id IS NOT NULL;

CREATE OR REPLACE TRIGGER events_are_not_rewritten
    BEFORE UPDATE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('what happened is not rewritten');

-- The shortest retention that can be configured.
CREATE OR REPLACE TRIGGER events_are_kept
    BEFORE DELETE ON events
    FOR EACH ROW
    WHEN (OLD.occurred_at > now() - interval '30 days')
    EXECUTE FUNCTION refuse_change('events are kept for 30 days');

-- A statement continues the stream of each merchant: its numbers are the last ones, counted just now.
CREATE OR REPLACE FUNCTION events_continue_their_stream() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    offender uuid;
BEGIN
    SELECT added.merchant_id INTO offender
      FROM (SELECT merchant_id, min(sequence) AS first, max(sequence) AS last, count(*) AS number
              FROM new_events
             WHERE sequence IS NOT NULL
             GROUP BY merchant_id) AS added
     WHERE added.last - added.first + 1 <> added.number
        OR (SELECT event_counters.last_sequence
              FROM event_counters
             WHERE event_counters.merchant_id = added.merchant_id
               -- Counted in this transaction: the numbers of deleted events are not used again.
               AND event_counters.xmin = pg_current_xact_id()::xid) IS DISTINCT FROM added.last
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'events do not continue the stream of merchant %', offender
            USING ERRCODE = 'check_violation', CONSTRAINT = 'events_continue_their_stream';
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER events_continue_their_stream
    AFTER INSERT ON events
    REFERENCING NEW TABLE AS new_events
    FOR EACH STATEMENT EXECUTE FUNCTION events_continue_their_stream();

CREATE OR REPLACE TRIGGER event_counters_never_fall
    BEFORE UPDATE ON event_counters
    FOR EACH ROW
    WHEN (NEW.merchant_id <> OLD.merchant_id OR NEW.last_sequence <= OLD.last_sequence)
    EXECUTE FUNCTION refuse_change('sequence numbers only grow');

CREATE OR REPLACE TRIGGER event_counters_are_kept
    BEFORE DELETE OR TRUNCATE ON event_counters
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('sequence numbers are not used again');

-- At commit: each number was given to an event.
CREATE OR REPLACE FUNCTION event_counters_count_events() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
    before constant bigint := CASE TG_OP WHEN 'UPDATE' THEN OLD.last_sequence ELSE 0 END;
BEGIN
    IF (SELECT count(*)
          FROM events
         WHERE events.merchant_id = NEW.merchant_id
           AND events.sequence > before
           AND events.sequence <= NEW.last_sequence) <> NEW.last_sequence - before
    THEN
        RAISE EXCEPTION 'the stream of merchant % has a gap after %', NEW.merchant_id, before
            USING ERRCODE = 'check_violation', CONSTRAINT = 'event_counters_count_events';
    END IF;
    RETURN NULL;
END
$$;

-- OR REPLACE is not possible for constraint triggers.
DROP TRIGGER IF EXISTS event_counters_count_events ON event_counters;
CREATE CONSTRAINT TRIGGER event_counters_count_events
    AFTER INSERT OR UPDATE ON event_counters
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION event_counters_count_events();

-- The id follows from the row, so that copying twice adds nothing. Like other ids it begins with the
-- time in milliseconds (UUID version 7); the order within a millisecond is kept.
CREATE OR REPLACE FUNCTION copied_event_id(payment_id uuid, sequence bigint, at timestamptz)
RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
            || lpad(to_hex(sequence % 4096), 3, '0') || '8'
            || substr(md5(payment_id || '#' || sequence), 1, 15))::uuid
$$;

-- With the rights of the owner: a role of the version before may have none on events.
CREATE OR REPLACE FUNCTION payment_events_are_copied() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER
SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO events (id, merchant_id, type, payment_id, refund_id, status, attempt, amount,
                        reason, actor, actor_id, client_address, request_id, server_request_id,
                        operator, occurred_at)
    SELECT copied_event_id(copied.payment_id, copied.sequence, copied.at), payments.merchant_id,
           CASE WHEN copied.event LIKE 'refund\_%' THEN 'refund.' || substr(copied.event, 8)
                ELSE 'payment.' || copied.event
           END,
           copied.payment_id, copied.refund_id, copied.status, copied.attempt, copied.amount,
           copied.reason,
           copied.actor, copied.actor_id, copied.client_address, copied.request_id,
           copied.server_request_id, copied.operator, copied.at
      FROM new_events AS copied
      JOIN payments ON payments.id = copied.payment_id
     ORDER BY copied.sequence
        ON CONFLICT (id) DO NOTHING;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER payment_events_are_copied
    AFTER INSERT ON payment_events
    REFERENCING NEW TABLE AS new_events
    FOR EACH STATEMENT EXECUTE FUNCTION payment_events_are_copied();

INSERT INTO events (id, merchant_id, type, payment_id, refund_id, status, attempt, amount, reason,
                    actor, actor_id, client_address, request_id, server_request_id, operator,
                    occurred_at)
SELECT copied_event_id(copied.payment_id, copied.sequence, copied.at), payments.merchant_id,
       CASE WHEN copied.event LIKE 'refund\_%' THEN 'refund.' || substr(copied.event, 8)
            ELSE 'payment.' || copied.event
       END,
       copied.payment_id, copied.refund_id, copied.status, copied.attempt, copied.amount,
       copied.reason,
       copied.actor, copied.actor_id, copied.client_address, copied.request_id,
       copied.server_request_id, copied.operator, copied.at
  FROM payment_events AS copied
  JOIN payments ON payments.id = copied.payment_id
 ORDER BY copied.sequence
    ON CONFLICT (id) DO NOTHING;

-- Without a search_path of its own a function reads the caller's temporary tables first.
DO $$
DECLARE
    guard text;
BEGIN
    FOREACH guard IN ARRAY '{
        event_counters_count_events, events_continue_their_stream, payment_events_are_copied
    }'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = pg_catalog, %I, pg_temp',
                       guard, current_schema());
    END LOOP;
END
$$;

REVOKE EXECUTE ON FUNCTION payment_events_are_copied() FROM PUBLIC;
