-- Accounts of merchants: types, limits, statuses, external ids, metadata, and trees of names.
-- depends: 0039.disputes
-- transactional: false

-- Runs while payments flow, also with the previous version of Atomic, for which all accounts stay as they
-- are. It does not know that an account is frozen or closed, and the guards below refuse what it would post
-- there: use these statuses once all processes are of the new version. Each statement commits by itself and
-- locks one table for a moment, accounts or entries; none rewrites a table. The validations read accounts
-- once, about a second per some million rows, and make no transaction wait.
--
-- Building an index reads accounts once while nothing can be written to it. With millions of accounts, run
-- the statement that adds the columns beforehand, and then CREATE INDEX CONCURRENTLY with the same
-- definitions: the migration skips what exists.
--
-- A statement that waits for its lock makes later transactions wait behind it. It gives up if a
-- transaction of another program, such as pg_dump, keeps it waiting. All statements can be repeated:
-- after that, or a kill, run the migration again.
SET lock_timeout = '5s';

ALTER TABLE accounts
    ADD COLUMN IF NOT EXISTS status text NOT NULL DEFAULT 'OPEN',
    -- Not before the last entry then. NULL: it has always been OPEN.
    ADD COLUMN IF NOT EXISTS status_changed_at timestamptz,
    -- The limits of a merchant's account, in minor units: of the balance less what is pending out of it, and
    -- of the balance with what is pending into it. NULL: none of its own. World needs no limit, because
    -- allow_negative, which the hashes of its entries cover, says so.
    ADD COLUMN IF NOT EXISTS min_balance bigint DEFAULT 0,
    ADD COLUMN IF NOT EXISTS max_balance bigint,
    ADD COLUMN IF NOT EXISTS external_id text COLLATE "C",
    ADD COLUMN IF NOT EXISTS metadata    jsonb;

-- Only World goes negative without a limit, and only system accounts are restricted in their type.
ALTER TABLE accounts
    DROP CONSTRAINT IF EXISTS accounts_only_world_goes_negative,
    DROP CONSTRAINT IF EXISTS accounts_type_of_owner,
    DROP CONSTRAINT IF EXISTS accounts_status_check,
    DROP CONSTRAINT IF EXISTS accounts_limits,
    DROP CONSTRAINT IF EXISTS accounts_external_id_check,
    DROP CONSTRAINT IF EXISTS accounts_of_the_system_have_no_terms,
    ADD CONSTRAINT accounts_only_world_goes_negative
        CHECK (allow_negative = (merchant_id IS NULL AND type = 'asset')) NOT VALID,
    ADD CONSTRAINT accounts_type_of_owner
        CHECK (merchant_id IS NOT NULL OR type IN ('asset', 'revenue')) NOT VALID,
    ADD CONSTRAINT accounts_status_check
        CHECK (status = 'OPEN'
               OR status IN ('FROZEN', 'CLOSED') AND status_changed_at IS NOT NULL) NOT VALID,
    -- A new account, which is empty, is within its limits; so is one that is closed.
    ADD CONSTRAINT accounts_limits
        CHECK (min_balance BETWEEN -9007199254740991 AND 0
               AND max_balance BETWEEN 0 AND 9007199254740991) NOT VALID,
    ADD CONSTRAINT accounts_external_id_check
        CHECK (octet_length(external_id) BETWEEN 1 AND 1020) NOT VALID,
    ADD CONSTRAINT accounts_of_the_system_have_no_terms
        CHECK (merchant_id IS NOT NULL
               OR status = 'OPEN' AND max_balance IS NULL AND external_id IS NULL AND metadata IS NULL)
        NOT VALID;
ALTER TABLE accounts VALIDATE CONSTRAINT accounts_only_world_goes_negative;
ALTER TABLE accounts VALIDATE CONSTRAINT accounts_type_of_owner;
ALTER TABLE accounts VALIDATE CONSTRAINT accounts_status_check;
ALTER TABLE accounts VALIDATE CONSTRAINT accounts_limits;
ALTER TABLE accounts VALIDATE CONSTRAINT accounts_external_id_check;
ALTER TABLE accounts VALIDATE CONSTRAINT accounts_of_the_system_have_no_terms;

-- None of these columns changes when a balance does, so that postings still write no index.
CREATE UNIQUE INDEX IF NOT EXISTS accounts_external_id
    ON accounts (merchant_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS accounts_of_merchant_by_type
    ON accounts (merchant_id, type, created_at, id);
CREATE INDEX IF NOT EXISTS accounts_by_name ON accounts (merchant_id, name COLLATE "C");
-- Which account a payment credits: the oldest of these.
CREATE INDEX IF NOT EXISTS accounts_of_payments
    ON accounts (merchant_id, currency, created_at, id)
 WHERE type = 'liability' AND status <> 'CLOSED';

CREATE OR REPLACE TRIGGER accounts_keep_their_identity
    BEFORE UPDATE ON accounts
    FOR EACH ROW
    WHEN ((OLD.id, OLD.merchant_id, OLD.currency, OLD.type, OLD.allow_negative, OLD.created_at,
           OLD.min_balance, OLD.max_balance, OLD.external_id)
          IS DISTINCT FROM
          (NEW.id, NEW.merchant_id, NEW.currency, NEW.type, NEW.allow_negative, NEW.created_at,
           NEW.min_balance, NEW.max_balance, NEW.external_id))
    EXECUTE FUNCTION refuse_change('only the balance, the name, the metadata and the status of an account may change');

CREATE OR REPLACE TRIGGER accounts_begin_open
    BEFORE INSERT ON accounts
    FOR EACH ROW
    WHEN (NEW.status <> 'OPEN' OR NEW.status_changed_at IS NOT NULL)
    EXECUTE FUNCTION refuse_change('an account begins as OPEN');

CREATE OR REPLACE TRIGGER accounts_reserve_while_open
    BEFORE UPDATE OF pending_in, pending_out ON accounts
    FOR EACH ROW
    WHEN (NEW.status <> 'OPEN'
          AND (NEW.pending_in > OLD.pending_in OR NEW.pending_out > OLD.pending_out))
    EXECUTE FUNCTION refuse_change('nothing is reserved in an account that is frozen or closed');

-- At the commit: an account that was closed is empty. Later only disputes, and their reversals, are posted.
CREATE OR REPLACE FUNCTION accounts_are_closed_empty() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER
SET enable_seqscan = off AS $$
BEGIN
    IF (SELECT a.status <> 'CLOSED' OR (a.balance, a.pending_in, a.pending_out) = (0, 0, 0)
          FROM accounts a
         WHERE a.id = NEW.id) IS NOT TRUE
    THEN
        RAISE EXCEPTION 'account % is closed with a balance or pending amounts', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'accounts_are_closed_empty';
    END IF;
    RETURN NULL;
END
$$;

-- OR REPLACE is not possible for constraint triggers.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger
                    WHERE tgrelid = 'accounts'::regclass AND tgname = 'accounts_are_closed_empty')
    THEN
        CREATE CONSTRAINT TRIGGER accounts_are_closed_empty
            AFTER UPDATE OF status ON accounts
            DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW
            WHEN (NEW.status = 'CLOSED' AND OLD.status <> 'CLOSED')
            EXECUTE FUNCTION accounts_are_closed_empty();
    END IF;
END
$$;

-- As in 0039, down to the limit of the account instead of zero. One statement, so that the limit is guarded
-- at any time.
DO $$
BEGIN
    DROP TRIGGER IF EXISTS overdrafts_follow_disputes ON accounts;
    CREATE CONSTRAINT TRIGGER overdrafts_follow_disputes
        AFTER UPDATE ON accounts
        DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW
        WHEN (NOT NEW.allow_negative
              AND NEW.balance - NEW.pending_out < coalesce(NEW.min_balance, -9007199254740991)
              AND NEW.balance - NEW.pending_out < OLD.balance - OLD.pending_out)
        EXECUTE FUNCTION overdrafts_follow_disputes();
END
$$;

-- The same for the upper limit of an account: only the reversal of a dispute exceeds it, because the network
-- has returned the money. A CHECK cannot tell it from other credits, and would refuse every posting to an
-- account that is above its limit, also those that bring it down. accounts_balance_in_bounds (0039) still
-- checks what no account may exceed.
CREATE OR REPLACE FUNCTION upper_limits_follow_disputes() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER
SET enable_seqscan = off AS $$
DECLARE
    -- Holds are released before what they reserve is posted: both are one change.
    reserved_before constant bigint :=
        CASE WHEN NEW.summed_by = pg_current_xact_id() AND NEW.summed_since = now()
             THEN NEW.pending_in_before
             ELSE OLD.pending_in
        END;
    returned        bigint;
BEGIN
    SELECT coalesce(sum(e.amount), 0) INTO returned
      FROM entries e
      JOIN ledger_transactions t ON t.id = e.transaction_id
     WHERE e.account_id = NEW.id
       AND e.sequence > OLD.sequence
       AND e.sequence <= NEW.sequence
       AND t.kind = 'dispute_reversal';
    IF NEW.balance + NEW.pending_in > OLD.balance + reserved_before + returned THEN
        RAISE EXCEPTION 'account % would have more than its limit', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'accounts_balance_in_bounds';
    END IF;
    RETURN NULL;
END
$$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger
                    WHERE tgrelid = 'accounts'::regclass AND tgname = 'upper_limits_follow_disputes')
    THEN
        CREATE CONSTRAINT TRIGGER upper_limits_follow_disputes
            AFTER UPDATE ON accounts
            DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW
            WHEN (NEW.balance + NEW.pending_in > NEW.max_balance
                  AND NEW.balance + NEW.pending_in > OLD.balance + OLD.pending_in)
            EXECUTE FUNCTION upper_limits_follow_disputes();
    END IF;
END
$$;

-- As payment_metadata (0010), but the metadata of an account may change.
CREATE TABLE IF NOT EXISTS account_metadata (
    merchant_id uuid        NOT NULL,
    key         text        NOT NULL,
    value       text        NOT NULL,
    -- That of the account.
    created_at  timestamptz NOT NULL,
    account_id  uuid        NOT NULL,
    PRIMARY KEY (merchant_id, key, value, created_at, account_id)
);

CREATE OR REPLACE TRIGGER account_metadata_is_kept
    BEFORE UPDATE OR TRUNCATE ON account_metadata
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('it follows from accounts');

-- At the commit a pair is listed if, and only if, its account has it.
CREATE OR REPLACE FUNCTION account_metadata_follows_accounts() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER
SET enable_seqscan = off AS $$
DECLARE
    pair      account_metadata := coalesce(NEW, OLD);
    is_listed boolean;
    is_had    boolean;
BEGIN
    SELECT EXISTS (SELECT FROM account_metadata m
                    WHERE (m.merchant_id, m.key, m.value, m.created_at, m.account_id)
                          = (pair.merchant_id, pair.key, pair.value, pair.created_at, pair.account_id)),
           EXISTS (SELECT FROM accounts a
                    WHERE a.id = pair.account_id
                      AND (a.merchant_id, a.created_at, a.metadata ->> pair.key)
                          = (pair.merchant_id, pair.created_at, pair.value))
      INTO is_listed, is_had;
    IF is_listed <> is_had THEN
        RAISE EXCEPTION 'account_metadata differs from the metadata of account %', pair.account_id
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'account_metadata_follows_accounts';
    END IF;
    RETURN NULL;
END
$$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger
                    WHERE tgrelid = 'account_metadata'::regclass
                      AND tgname = 'account_metadata_follows_accounts')
    THEN
        CREATE CONSTRAINT TRIGGER account_metadata_follows_accounts
            AFTER INSERT OR DELETE ON account_metadata
            DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW
            EXECUTE FUNCTION account_metadata_follows_accounts();
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION accounts_are_listed() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER
SET enable_seqscan = off AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM account_metadata m
         USING jsonb_each_text(OLD.metadata) AS pair (key, value)
         WHERE (m.merchant_id, m.key, m.value, m.created_at, m.account_id)
               = (OLD.merchant_id, pair.key, pair.value, OLD.created_at, OLD.id);
    END IF;
    INSERT INTO account_metadata (merchant_id, key, value, created_at, account_id)
    SELECT NEW.merchant_id, pair.key, pair.value, NEW.created_at, NEW.id
      FROM jsonb_each_text(NEW.metadata) AS pair (key, value);
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER accounts_are_listed_when_opened
    AFTER INSERT ON accounts
    FOR EACH ROW
    WHEN (NEW.metadata IS NOT NULL)
    EXECUTE FUNCTION accounts_are_listed();

CREATE OR REPLACE TRIGGER accounts_are_listed_when_changed
    AFTER UPDATE OF metadata ON accounts
    FOR EACH ROW
    WHEN (OLD.metadata IS DISTINCT FROM NEW.metadata)
    EXECUTE FUNCTION accounts_are_listed();

-- As in 0027, and for the status of accounts: nothing is posted to one that is frozen or closed, but for
-- what the network has moved already, which is disputes and what a hold had reserved. All are open nearly
-- always, which the first query finds in the rows that it reads anyway.
CREATE OR REPLACE FUNCTION entries_must_balance() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
    touched   uuid[];
    added     bigint;
    last_time timestamptz;
    offender  text;
    are_mixed boolean;
    are_open  boolean;
BEGIN
    SELECT array_agg(sums.id), sum(sums.legs), min(sums.id::text) FILTER (WHERE sums.wrong),
           max(sums.last_time), bool_or(sums.is_mixed), bool_and(sums.is_open)
      INTO touched, added, offender, last_time, are_mixed, are_open
      FROM (SELECT e.transaction_id AS id, count(*) AS legs, max(a.last_posted_at) AS last_time,
                   min(a.currency) <> max(a.currency) AS is_mixed,
                   bool_and(a.status = 'OPEN') AS is_open,
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

    IF NOT are_open THEN
        SELECT format('%s#%s', e.account_id, e.sequence) INTO offender
          FROM new_entries e
          JOIN accounts a ON a.id = e.account_id AND a.status <> 'OPEN'
          JOIN ledger_transactions t ON t.id = e.transaction_id
         WHERE t.kind NOT IN ('dispute', 'dispute_reversal')
           AND (SELECT true
                  FROM holds h
                 WHERE h.payment_id = t.payment_id
                   AND h.refund_id IS NOT DISTINCT FROM t.refund_id
                 LIMIT 1) IS NULL
         LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'entry % is of an account that is frozen or closed', offender
                USING ERRCODE = 'check_violation', CONSTRAINT = 'entries_of_open_accounts';
        END IF;
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

-- Without a search_path of its own a function reads the caller's temporary tables first.
DO $$
DECLARE
    guard text;
BEGIN
    FOREACH guard IN ARRAY '{
        account_metadata_follows_accounts, accounts_are_closed_empty, accounts_are_listed,
        entries_must_balance, upper_limits_follow_disputes
    }'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = pg_catalog, %I, pg_temp',
                       guard, current_schema());
    END LOOP;
END
$$;

REVOKE EXECUTE ON FUNCTION
    account_metadata_follows_accounts(), accounts_are_closed_empty(), accounts_are_listed(),
    upper_limits_follow_disputes()
    FROM PUBLIC;
