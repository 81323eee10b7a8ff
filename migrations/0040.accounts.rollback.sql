-- Refuses while an account is what the version before does not know. As in the migration, each statement
-- commits by itself and can be repeated.
SET lock_timeout = '5s';

DO $$
DECLARE
    is_used boolean;
BEGIN
    -- By name, because a repeated rollback finds no such columns.
    IF EXISTS (SELECT FROM pg_attribute
                WHERE attrelid = 'accounts'::regclass AND attname = 'metadata' AND NOT attisdropped)
    THEN
        EXECUTE 'SELECT EXISTS (SELECT FROM accounts
                                 WHERE merchant_id IS NOT NULL
                                   AND (type <> ''liability'' OR status <> ''OPEN''
                                        OR min_balance IS DISTINCT FROM 0 OR max_balance IS NOT NULL
                                        OR external_id IS NOT NULL OR metadata IS NOT NULL))' INTO is_used;
        IF is_used THEN
            RAISE EXCEPTION 'rolling back would drop types, limits, statuses, external ids or metadata of accounts'
                USING ERRCODE = 'restrict_violation';
        END IF;
    END IF;
END
$$;

-- As in 0027.
CREATE OR REPLACE FUNCTION entries_must_balance() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
    touched   uuid[];
    added     bigint;
    last_time timestamptz;
    offender  text;
    are_mixed boolean;
BEGIN
    SELECT array_agg(sums.id), sum(sums.legs), min(sums.id::text) FILTER (WHERE sums.wrong),
           max(sums.last_time), bool_or(sums.is_mixed)
      INTO touched, added, offender, last_time, are_mixed
      FROM (SELECT e.transaction_id AS id, count(*) AS legs, max(a.last_posted_at) AS last_time,
                   min(a.currency) <> max(a.currency) AS is_mixed,
                   sum(e.amount) <> 0 OR count(*) < 2 OR count(a.id) <> count(*) AS wrong
              FROM new_entries e
              LEFT JOIN accounts a ON a.id = e.account_id
             GROUP BY e.transaction_id) sums;
    IF offender IS NULL AND are_mixed THEN
        SELECT min(sums.id::text) INTO offender
          FROM (SELECT e.transaction_id AS id
                  FROM new_entries e
                  JOIN accounts a ON a.id = e.account_id
                 GROUP BY e.transaction_id, a.currency
                HAVING sum(e.amount) <> 0) sums;
    END IF;
    IF offender IS NULL
       AND ((SELECT count(*) FROM ledger_transactions t
              WHERE t.id = ANY (touched) AND t.posted_at >= coalesce(last_time, t.posted_at))
            < cardinality(touched)
            -- All of it at once: nothing is added to a transaction later.
            OR (SELECT count(*) FROM entries whole WHERE whole.transaction_id = ANY (touched))
               <> added)
    THEN
        SELECT sums.id INTO offender
          FROM (SELECT e.transaction_id AS id, count(*) AS legs
                  FROM new_entries e
                 GROUP BY e.transaction_id) sums
         WHERE (SELECT true FROM ledger_transactions t WHERE t.id = sums.id) IS NULL
            OR sums.legs <> (SELECT count(*) FROM entries whole
                              WHERE whole.transaction_id = sums.id)
         LIMIT 1;
        IF offender IS NULL THEN
            RAISE EXCEPTION 'a ledger transaction is posted before %, the time of an entry of its accounts',
                            last_time
                USING ERRCODE = 'check_violation', CONSTRAINT = 'entries_in_order_of_time';
        END IF;
    END IF;
    IF offender IS NOT NULL THEN
        RAISE EXCEPTION 'ledger transaction % does not balance', offender
            USING ERRCODE = 'check_violation', CONSTRAINT = 'entries_must_balance';
    END IF;

    SELECT format('%s#%s', n.account_id, n.sequence) INTO offender
      FROM (SELECT e.account_id, e.sequence, e.amount, e.balance_after, e.hash,
                   lag(e.sequence) OVER chain AS previous_sequence,
                   lag(e.balance_after) OVER chain AS previous_balance,
                   lead(e.sequence) OVER chain IS NULL AS is_last
              FROM new_entries e
            WINDOW chain AS (PARTITION BY e.account_id ORDER BY e.sequence)) n
     -- Scalar subqueries, not EXISTS: those the planner may answer by reading a whole table.
     WHERE n.sequence <> coalesce(n.previous_sequence + 1, n.sequence)
        OR n.balance_after - n.amount IS DISTINCT FROM CASE
               WHEN n.previous_sequence IS NOT NULL THEN n.previous_balance
               WHEN n.sequence = 1 THEN 0
               ELSE (SELECT p.balance_after FROM entries p
                      WHERE p.account_id = n.account_id AND p.sequence = n.sequence - 1)
           END
        OR n.is_last AND (SELECT (a.sequence, a.balance, a.head)
                                 = (n.sequence, n.balance_after, n.hash)
                            FROM accounts a
                           WHERE a.id = n.account_id) IS NOT TRUE
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'entry % does not continue its account', offender
            USING ERRCODE = 'check_violation', CONSTRAINT = 'entries_must_balance';
    END IF;
    RETURN NULL;
END
$$;

DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION entries_must_balance() SET search_path = pg_catalog, %I, pg_temp',
                   current_schema());
END
$$;

DROP TRIGGER IF EXISTS accounts_are_listed_when_opened ON accounts;
DROP TRIGGER IF EXISTS accounts_are_listed_when_changed ON accounts;
DROP FUNCTION IF EXISTS accounts_are_listed();
DROP TABLE IF EXISTS account_metadata;
DROP FUNCTION IF EXISTS account_metadata_follows_accounts();

DROP TRIGGER IF EXISTS upper_limits_follow_disputes ON accounts;
DROP FUNCTION IF EXISTS upper_limits_follow_disputes();

-- As in 0039.
DO $$
BEGIN
    DROP TRIGGER IF EXISTS overdrafts_follow_disputes ON accounts;
    CREATE CONSTRAINT TRIGGER overdrafts_follow_disputes
        AFTER UPDATE ON accounts
        DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW
        WHEN (NOT NEW.allow_negative
              AND NEW.balance < NEW.pending_out
              AND NEW.balance - NEW.pending_out < OLD.balance - OLD.pending_out)
        EXECUTE FUNCTION overdrafts_follow_disputes();
END
$$;

DROP TRIGGER IF EXISTS accounts_are_closed_empty ON accounts;
DROP FUNCTION IF EXISTS accounts_are_closed_empty();
DROP TRIGGER IF EXISTS accounts_reserve_while_open ON accounts;
DROP TRIGGER IF EXISTS accounts_begin_open ON accounts;

CREATE OR REPLACE TRIGGER accounts_keep_their_identity
    BEFORE UPDATE ON accounts
    FOR EACH ROW
    WHEN ((OLD.id, OLD.merchant_id, OLD.currency, OLD.type, OLD.allow_negative, OLD.created_at)
          IS DISTINCT FROM
          (NEW.id, NEW.merchant_id, NEW.currency, NEW.type, NEW.allow_negative, NEW.created_at))
    EXECUTE FUNCTION refuse_change('only the balance and the name of an account may change');

DROP INDEX IF EXISTS accounts_of_payments;
DROP INDEX IF EXISTS accounts_by_name;
DROP INDEX IF EXISTS accounts_of_merchant_by_type;
DROP INDEX IF EXISTS accounts_external_id;

ALTER TABLE accounts
    DROP CONSTRAINT IF EXISTS accounts_of_the_system_have_no_terms,
    DROP CONSTRAINT IF EXISTS accounts_external_id_check,
    DROP CONSTRAINT IF EXISTS accounts_limits,
    DROP CONSTRAINT IF EXISTS accounts_status_check,
    DROP CONSTRAINT IF EXISTS accounts_type_of_owner,
    DROP CONSTRAINT IF EXISTS accounts_only_world_goes_negative,
    ADD CONSTRAINT accounts_only_world_goes_negative CHECK (allow_negative = (type = 'asset')),
    ADD CONSTRAINT accounts_type_of_owner CHECK ((merchant_id IS NOT NULL) = (type = 'liability')),
    DROP COLUMN IF EXISTS metadata,
    DROP COLUMN IF EXISTS external_id,
    DROP COLUMN IF EXISTS max_balance,
    DROP COLUMN IF EXISTS min_balance,
    DROP COLUMN IF EXISTS status_changed_at,
    DROP COLUMN IF EXISTS status;
