-- Checks at the commit run once per statement, not once per row: of accounts, and of the numbers of
-- streams. A batch of settled payments changes a hundred of each.
-- depends: 0021.delivery-workers

-- Runs while payments flow, also with the previous version of Atomic. Locks accounts and event_counters
-- exclusively for a moment, and rewrites nothing. One transaction, so that no commit is unchecked.
SET LOCAL lock_timeout = '5s';

-- As posting_checks (0014): a deferred trigger runs for each row, so each statement inserts one row with
-- what it changed, and the deferred trigger runs for this row. It gets the row as it was inserted, even if
-- the row is deleted. No row outlives its transaction, so the tables need no write-ahead log.
CREATE UNLOGGED TABLE account_checks (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_ids uuid[] STORAGE EXTERNAL NOT NULL
);

CREATE UNLOGGED TABLE stream_checks (
    id           bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    merchant_ids uuid[]   STORAGE EXTERNAL NOT NULL,
    -- The last number of each stream before and after the statement.
    befores      bigint[] STORAGE EXTERNAL NOT NULL,
    lasts        bigint[] STORAGE EXTERNAL NOT NULL
);

CREATE FUNCTION accounts_are_checked() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER
-- The planner does not know how many rows a statement changes: it must not compare each with each.
SET enable_nestloop = off AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO account_checks (account_ids)
        SELECT array_agg(n.id) FROM new_accounts n HAVING count(*) > 0;
    ELSE
        INSERT INTO account_checks (account_ids)
        SELECT array_agg(n.id)
          FROM new_accounts n
          JOIN old_accounts o ON o.id = n.id
         WHERE (n.balance, n.sequence, n.head) IS DISTINCT FROM (o.balance, o.sequence, o.head)
        HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER new_accounts_are_checked
    AFTER INSERT ON accounts
    REFERENCING NEW TABLE AS new_accounts
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_are_checked();

CREATE TRIGGER accounts_are_checked
    AFTER UPDATE ON accounts
    REFERENCING OLD TABLE AS old_accounts NEW TABLE AS new_accounts
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_are_checked();

DROP TRIGGER account_must_follow_entries ON accounts;

-- The rule of 0002: a balance is that of the account's last entry.
CREATE OR REPLACE FUNCTION account_must_follow_entries() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER
SET enable_seqscan = off AS $$
DECLARE
    offender uuid;
BEGIN
    DELETE FROM account_checks WHERE account_checks.id = NEW.id;
    SELECT checked.id INTO offender
      FROM unnest(NEW.account_ids) AS checked (id)
     -- Scalar subqueries, not EXISTS: those the planner may answer by reading a whole table.
     WHERE (SELECT (SELECT true
                      FROM entries e
                     WHERE e.account_id = a.id AND e.sequence = a.sequence + 1) IS NULL
                   AND CASE WHEN a.sequence = 0
                            THEN a.balance = 0 AND a.head = chain_start(a)
                            ELSE (SELECT (e.balance_after, e.hash) = (a.balance, a.head)
                                    FROM entries e
                                   WHERE e.account_id = a.id AND e.sequence = a.sequence)
                       END
              FROM accounts a
             WHERE a.id = checked.id) IS NOT TRUE
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the balance of account % does not follow from its entries', offender
            USING ERRCODE = 'check_violation', CONSTRAINT = 'account_must_follow_entries';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER account_must_follow_entries
    AFTER INSERT ON account_checks
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION account_must_follow_entries();

CREATE FUNCTION event_counters_are_checked() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER
SET enable_nestloop = off AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO stream_checks (merchant_ids, befores, lasts)
        SELECT array_agg(n.merchant_id), array_agg(0), array_agg(n.last_sequence)
          FROM new_counters n
        HAVING count(*) > 0;
    ELSE
        INSERT INTO stream_checks (merchant_ids, befores, lasts)
        SELECT array_agg(n.merchant_id), array_agg(o.last_sequence), array_agg(n.last_sequence)
          FROM new_counters n
          JOIN old_counters o ON o.merchant_id = n.merchant_id
        HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER new_event_counters_are_checked
    AFTER INSERT ON event_counters
    REFERENCING NEW TABLE AS new_counters
    FOR EACH STATEMENT EXECUTE FUNCTION event_counters_are_checked();

CREATE TRIGGER event_counters_are_checked
    AFTER UPDATE ON event_counters
    REFERENCING OLD TABLE AS old_counters NEW TABLE AS new_counters
    FOR EACH STATEMENT EXECUTE FUNCTION event_counters_are_checked();

DROP TRIGGER event_counters_count_events ON event_counters;

-- The rule of 0018: each number was given to an event.
CREATE OR REPLACE FUNCTION event_counters_count_events() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER
SET enable_seqscan = off AS $$
DECLARE
    offender      uuid;
    offender_last bigint;
BEGIN
    DELETE FROM stream_checks WHERE stream_checks.id = NEW.id;
    SELECT counted.merchant_id, counted.before INTO offender, offender_last
      FROM unnest(NEW.merchant_ids, NEW.befores, NEW.lasts) AS counted (merchant_id, before, last)
     WHERE (SELECT count(*)
              FROM events
             WHERE events.merchant_id = counted.merchant_id
               AND events.sequence > counted.before
               AND events.sequence <= counted.last) <> counted.last - counted.before
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the stream of merchant % has a gap after %', offender, offender_last
            USING ERRCODE = 'check_violation', CONSTRAINT = 'event_counters_count_events';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER event_counters_count_events
    AFTER INSERT ON stream_checks
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION event_counters_count_events();

-- Without a search_path of its own a function reads the caller's temporary tables first.
DO $$
DECLARE
    guard text;
BEGIN
    FOREACH guard IN ARRAY '{
        account_must_follow_entries, accounts_are_checked, event_counters_are_checked,
        event_counters_count_events
    }'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = pg_catalog, %I, pg_temp',
                       guard, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %I() FROM PUBLIC', guard);
    END LOOP;
END
$$;
