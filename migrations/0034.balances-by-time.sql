-- Balances as of a moment, on the posted and on the effective axis: snapshots per account and day, and
-- what the effective times of entries shift.
-- depends: 0033.doubt-reports
-- transactional: false

-- Runs while payments flow, also with the previous version of Atomic. Each statement commits by itself.
-- The trigger on entries makes new entries wait for a moment; it does nothing for those of payments and
-- refunds. The last statement reads the journal transactions once, about a second per some million, and
-- meanwhile locks the accounts of those whose effective time is not that of their posting. No table is
-- rewritten.
--
-- A statement that waits for its lock makes later transactions wait behind it. It gives up if a
-- transaction of another program, such as pg_dump, keeps it waiting. All statements can be repeated:
-- after that, or a kill, run the migration again.
SET lock_timeout = '5s';

-- Entry `sequence` was posted on this day, and left this balance. Usually it is the last entry of the day.
-- That stays true whatever is posted later, so that snapshots are taken without a lock: a reader searches
-- for the last entry before a moment from a snapshot on.
CREATE TABLE IF NOT EXISTS balance_snapshots (
    account_id uuid   NOT NULL,
    -- In UTC.
    day        date   NOT NULL,
    sequence   bigint NOT NULL,
    balance    bigint NOT NULL,
    PRIMARY KEY (account_id, day)
);

-- One row. The process that has locked it takes snapshots.
CREATE TABLE IF NOT EXISTS snapshot_progress (
    is_only  boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    -- Each account has its snapshots up to this day.
    through  date,
    -- Accounts up to this id have those of the following days.
    after_id uuid
);

-- What takes effect at another time than it was posted: each such entry adds its amount at its effective
-- time, and subtracts it at its posting time. So the balance on the effective axis is that on the posted
-- axis plus the sum of the rows before the moment. A late entry changes rows of its two times only,
-- whatever comes after them.
CREATE TABLE IF NOT EXISTS effective_shifts (
    account_id uuid        NOT NULL,
    -- The sum of a month, day or minute in UTC, or of one moment. A sum up to any moment reads months, then
    -- days of the last month, then minutes of its last day, then moments of its last minute.
    unit       text        NOT NULL CHECK (unit IN ('month', 'day', 'minute', 'moment')),
    starts_at  timestamptz NOT NULL,
    amount     numeric     NOT NULL,
    PRIMARY KEY (account_id, unit, starts_at)
);

CREATE OR REPLACE TRIGGER balance_snapshots_are_kept
    BEFORE DELETE OR TRUNCATE ON balance_snapshots
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('snapshots of balances are kept');

CREATE OR REPLACE FUNCTION snapshot_matches_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT e.balance_after = NEW.balance
               AND (SELECT (t.posted_at AT TIME ZONE 'UTC')::date = NEW.day
                      FROM ledger_transactions t
                     WHERE t.id = e.transaction_id)
          FROM entries e
         WHERE e.account_id = NEW.account_id
           AND e.sequence = NEW.sequence) IS NOT TRUE
    THEN
        RAISE EXCEPTION 'the snapshot of account % on % is not that of an entry',
                        NEW.account_id, NEW.day
            USING ERRCODE = 'check_violation', CONSTRAINT = 'snapshot_matches_entry';
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER snapshot_matches_entry
    AFTER INSERT OR UPDATE ON balance_snapshots
    FOR EACH ROW EXECUTE FUNCTION snapshot_matches_entry();

-- The rows of effective_shifts that entries add to. SQL: `atomic verify` computes them from all entries.
CREATE OR REPLACE FUNCTION shift_rows(amount bigint, effective_at timestamptz, posted_at timestamptz)
RETURNS TABLE (unit text, starts_at timestamptz, change bigint) LANGUAGE sql STABLE AS $$
    SELECT units.unit,
           CASE units.unit WHEN 'moment' THEN side.moment
                           ELSE date_trunc(units.unit, side.moment, 'UTC')
           END,
           side.change
      FROM (VALUES (effective_at, amount), (posted_at, -amount)) AS side (moment, change)
     CROSS JOIN (VALUES ('month'), ('day'), ('minute'), ('moment')) AS units (unit)
     WHERE effective_at <> posted_at
$$;

-- The transaction that adds entries has locked their accounts, and with them the rows of their shifts. As
-- in ledger_transactions_of_payment, journal transactions are in statements of their own: for payments the
-- trigger reads one row per statement.
CREATE OR REPLACE FUNCTION entries_are_shifted() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER
SET enable_seqscan = off AS $$
BEGIN
    IF (SELECT (SELECT t.kind FROM ledger_transactions t WHERE t.id = n.transaction_id)
          FROM new_entries n
         LIMIT 1) IS DISTINCT FROM 'journal'
    THEN
        RETURN NULL;
    END IF;
    INSERT INTO effective_shifts AS kept (account_id, unit, starts_at, amount)
    SELECT n.account_id, shifted.unit, shifted.starts_at, sum(shifted.change)
      FROM new_entries n
     CROSS JOIN LATERAL (SELECT (SELECT j.effective_at FROM journal_transactions j
                                  WHERE j.id = n.transaction_id) AS effective_at,
                                (SELECT t.posted_at FROM ledger_transactions t
                                  WHERE t.id = n.transaction_id) AS posted_at) AS times
     CROSS JOIN LATERAL shift_rows(n.amount, times.effective_at, times.posted_at) AS shifted
     GROUP BY n.account_id, shifted.unit, shifted.starts_at
        ON CONFLICT (account_id, unit, starts_at)
        DO UPDATE SET amount = kept.amount + excluded.amount;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER entries_are_shifted
    AFTER INSERT ON entries
    REFERENCING NEW TABLE AS new_entries
    FOR EACH STATEMENT EXECUTE FUNCTION entries_are_shifted();

-- The sum of the entries of accounts before a moment each. posted_at is not indexed, but never falls from
-- one entry of an account to the next: binary search between two snapshots finds the last entry before the
-- moment. A function: its plans are made once, and one call serves many accounts.
CREATE OR REPLACE FUNCTION balances_before(
    account_ids uuid[], moments timestamptz[], is_effective boolean
) RETURNS TABLE (id uuid, before timestamptz, last_sequence bigint, total numeric)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off AS $$
DECLARE
    account record;
    found_entry record;
    low    bigint;
    high   bigint;
    middle bigint;
BEGIN
    FOR account IN
        SELECT a.id, requested.moment, a.sequence, a.balance, a.last_posted_at,
               (SELECT s.sequence FROM balance_snapshots s
                 WHERE s.account_id = a.id
                   AND s.day < (requested.moment AT TIME ZONE 'UTC')::date
                 ORDER BY s.day DESC LIMIT 1) AS snapshot_before,
               (SELECT s.sequence FROM balance_snapshots s
                 WHERE s.account_id = a.id
                   AND s.day >= ((requested.moment AT TIME ZONE 'UTC')
                                 + interval '1 day' - interval '1 microsecond')::date
                 ORDER BY s.day LIMIT 1) AS snapshot_after
          FROM unnest(account_ids, moments) WITH ORDINALITY AS requested (account_id, moment, place)
          JOIN accounts a ON a.id = requested.account_id
         ORDER BY requested.place
    LOOP
        id := account.id;
        before := account.moment;
        IF account.last_posted_at < before OR account.sequence = 0 THEN
            last_sequence := account.sequence;
            total := account.balance;
        ELSE
            low := coalesce(account.snapshot_before, 0);
            high := coalesce(account.snapshot_after, account.sequence + 1);
            -- Usually the entry after the snapshot is later.
            middle := low + 1;
            WHILE low + 1 < high LOOP
                IF (SELECT (SELECT t.posted_at FROM ledger_transactions t
                             WHERE t.id = e.transaction_id) < before
                      FROM entries e
                     WHERE e.account_id = account.id AND e.sequence = middle)
                THEN
                    low := middle;
                ELSE
                    high := middle;
                END IF;
                middle := (low + high) / 2;
            END LOOP;
            last_sequence := low;
            total := coalesce((SELECT e.balance_after FROM entries e
                                WHERE e.account_id = account.id AND e.sequence = low), 0);
        END IF;
        IF is_effective THEN
            total := total + coalesce((
                SELECT sum(s.amount)
                  FROM (VALUES ('month', timestamptz '-infinity',
                                date_trunc('month', before, 'UTC')),
                               ('day', date_trunc('month', before, 'UTC'),
                                date_trunc('day', before, 'UTC')),
                               ('minute', date_trunc('day', before, 'UTC'),
                                date_trunc('minute', before, 'UTC')),
                               ('moment', date_trunc('minute', before, 'UTC'), before))
                       AS part (unit, starts_at, ends_at)
                  JOIN effective_shifts s ON s.account_id = account.id
                                         AND s.unit = part.unit
                                         AND s.starts_at >= part.starts_at
                                         AND s.starts_at < part.ends_at), 0);
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

-- The shifts of what was posted before this migration. Their accounts are locked: those of later entries
-- are added by the trigger, afterwards.
DROP TRIGGER IF EXISTS effective_shifts_are_kept ON effective_shifts;

DO $$
DECLARE
    shifted_ids uuid[];
BEGIN
    SELECT array_agg(locked.id) INTO shifted_ids
      FROM (SELECT a.id
              FROM accounts a
             WHERE a.id IN (SELECT e.account_id
                              FROM journal_transactions j
                              JOIN ledger_transactions t ON t.id = j.id
                              JOIN entries e ON e.transaction_id = t.id
                             WHERE j.effective_at <> t.posted_at)
             ORDER BY a.id
               FOR NO KEY UPDATE) locked;
    DELETE FROM effective_shifts WHERE account_id = ANY (shifted_ids);
    INSERT INTO effective_shifts (account_id, unit, starts_at, amount)
    SELECT e.account_id, shifted.unit, shifted.starts_at, sum(shifted.change)
      FROM journal_transactions j
      JOIN ledger_transactions t ON t.id = j.id
      JOIN entries e ON e.transaction_id = t.id
     CROSS JOIN LATERAL shift_rows(e.amount, j.effective_at, t.posted_at) AS shifted
     WHERE e.account_id = ANY (shifted_ids)
     GROUP BY e.account_id, shifted.unit, shifted.starts_at;
END
$$;

CREATE TRIGGER effective_shifts_are_kept
    BEFORE DELETE OR TRUNCATE ON effective_shifts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('the shifts of effective times are kept');

-- Without a search_path of its own a function reads the caller's temporary tables first.
DO $$
DECLARE
    guard text;
BEGIN
    FOREACH guard IN ARRAY '{
        "balances_before(uuid[], timestamptz[], boolean)", "entries_are_shifted()",
        "snapshot_matches_entry()"
    }'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, %I, pg_temp',
                       guard, current_schema());
    END LOOP;
END
$$;

REVOKE EXECUTE ON FUNCTION entries_are_shifted() FROM PUBLIC;
