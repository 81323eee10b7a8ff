-- Nothing is lost: the tables are empty between transactions.
SET LOCAL lock_timeout = '5s';

DROP TABLE account_checks;
DROP TRIGGER accounts_are_checked ON accounts;
DROP TRIGGER new_accounts_are_checked ON accounts;
DROP FUNCTION accounts_are_checked();
DROP TABLE stream_checks;
DROP TRIGGER event_counters_are_checked ON event_counters;
DROP TRIGGER new_event_counters_are_checked ON event_counters;
DROP FUNCTION event_counters_are_checked();

CREATE OR REPLACE FUNCTION account_must_follow_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM accounts a
      WHERE a.id = NEW.id
        AND NOT EXISTS (SELECT FROM entries e
                         WHERE e.account_id = a.id AND e.sequence = a.sequence + 1)
        AND CASE WHEN a.sequence = 0
                 THEN a.balance = 0 AND a.head = chain_start(a)
                 ELSE EXISTS (SELECT FROM entries e
                               WHERE e.account_id = a.id AND e.sequence = a.sequence
                                 AND e.balance_after = a.balance AND e.hash = a.head)
            END;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the balance of account % does not follow from its entries', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'account_must_follow_entries';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER account_must_follow_entries
    AFTER INSERT OR UPDATE OF balance, sequence, head ON accounts
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION account_must_follow_entries();

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

CREATE CONSTRAINT TRIGGER event_counters_count_events
    AFTER INSERT OR UPDATE ON event_counters
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION event_counters_count_events();

DO $$
DECLARE
    guard text;
BEGIN
    FOREACH guard IN ARRAY '{account_must_follow_entries, event_counters_count_events}'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = pg_catalog, %I, pg_temp',
                       guard, current_schema());
        EXECUTE format('GRANT EXECUTE ON FUNCTION %I() TO PUBLIC', guard);
    END LOOP;
END
$$;
