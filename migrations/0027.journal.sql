-- Journal transactions: ledger transactions that merchants post between their own accounts.
-- depends: 0026.networks
-- transactional: false

-- Runs while payments flow, also with the previous version of Atomic. Each statement commits by itself
-- and locks one table for a moment: api_keys and ledger_transactions against readers and writers. The
-- validation reads ledger_transactions once, about a second per some million rows, and makes no
-- transaction wait. No table is rewritten.
--
-- A statement that waits for its lock makes later transactions wait behind it. It gives up if a
-- transaction of another program, such as pg_dump, keeps it waiting. All statements can be repeated:
-- after that, or a kill, run the migration again.
SET lock_timeout = '5s';

-- The scopes ledger:read and ledger:write. API keys never change, so those that exist do not get them.
ALTER TABLE api_keys
    DROP CONSTRAINT IF EXISTS api_keys_known_scopes,
    ADD CONSTRAINT api_keys_known_scopes
        CHECK (cardinality(scopes) > 0 AND scopes <@
               '{payments:write,payments:read,accounts:write,accounts:read,refunds:write,events:read,
                 webhooks:read,webhooks:write,ledger:read,ledger:write}'::text[])
        NOT VALID;
ALTER TABLE api_keys VALIDATE CONSTRAINT api_keys_known_scopes;

CREATE TABLE IF NOT EXISTS journal_transactions (
    -- That of its ledger transaction.
    id                uuid        PRIMARY KEY,
    -- Its accounts are this merchant's, which journal_matches_ledger checks: no foreign key is needed.
    merchant_id       uuid        NOT NULL,
    status            text        NOT NULL,
    description       text,
    metadata          jsonb,
    external_id       text        CHECK (external_id <> ''),
    -- When it takes effect in the merchant's books. The hashes of its entries cover it.
    effective_at      timestamptz NOT NULL CHECK (isfinite(effective_at)),
    created_at        timestamptz NOT NULL CHECK (isfinite(created_at)),
    reverses_id       uuid,
    idempotency_key   text,
    -- As in payments.
    actor             text,
    actor_id          uuid,
    client_address    inet,
    request_id        text,
    server_request_id uuid,
    operator          text,
    CONSTRAINT journal_transactions_status_check CHECK (status IN ('POSTED')),
    CONSTRAINT journal_transactions_reverses_another CHECK (reverses_id <> id),
    CONSTRAINT journal_transactions_actor_is_known CHECK
        (CASE WHEN actor IS NULL THEN
                  coalesce(actor_id, server_request_id) IS NULL
                  AND client_address IS NULL AND operator IS NULL
              WHEN actor IN ('key', 'session') THEN
                  actor_id IS NOT NULL AND operator IS NULL
              ELSE
                  actor = 'operator' AND actor_id IS NULL
                  AND octet_length(coalesce(operator, '-')) BETWEEN 1 AND 400
         END)
);

CREATE INDEX IF NOT EXISTS journal_transactions_of_merchant
    ON journal_transactions (merchant_id, created_at, id);
CREATE UNIQUE INDEX IF NOT EXISTS journal_transactions_external_id
    ON journal_transactions (merchant_id, external_id) WHERE external_id IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS journal_transactions_reversed_once
    ON journal_transactions (reverses_id) WHERE reverses_id IS NOT NULL;

-- The entries as they were requested, in their order.
CREATE TABLE IF NOT EXISTS journal_entries (
    transaction_id uuid        NOT NULL,
    account_id     uuid        NOT NULL,
    position       smallint    NOT NULL CHECK (position BETWEEN 0 AND 99),
    amount         bigint      NOT NULL CHECK (amount <> 0),
    -- That of its transaction.
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (transaction_id, account_id)
);

CREATE INDEX IF NOT EXISTS journal_entries_of_account
    ON journal_entries (account_id, created_at, transaction_id);

CREATE OR REPLACE TRIGGER journal_transactions_are_final
    BEFORE UPDATE OR DELETE OR TRUNCATE ON journal_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('the books are append-only');

CREATE OR REPLACE TRIGGER journal_entries_are_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON journal_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('the books are append-only');

-- As posting_checks (0014): what the statements of a transaction added, checked at its commit.
CREATE UNLOGGED TABLE IF NOT EXISTS journal_checks (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction_ids uuid[] STORAGE EXTERNAL NOT NULL
);

CREATE OR REPLACE FUNCTION journal_transactions_are_checked() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER AS $$
BEGIN
    INSERT INTO journal_checks (transaction_ids)
    SELECT array_agg(n.id) FROM new_transactions n HAVING count(*) > 0;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER journal_transactions_are_checked
    AFTER INSERT ON journal_transactions
    REFERENCING NEW TABLE AS new_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION journal_transactions_are_checked();

-- Entries are added with their transaction: the check at its commit sees them, and none comes later.
CREATE OR REPLACE FUNCTION journal_entries_of_new_transactions() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER
SET enable_seqscan = off AS $$
DECLARE
    offender uuid;
BEGIN
    SELECT n.transaction_id INTO offender
      FROM new_entries n
     WHERE (SELECT j.xmin = pg_current_xact_id()::xid AND j.created_at = n.created_at
              FROM journal_transactions j
             WHERE j.id = n.transaction_id) IS NOT TRUE
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'an entry is added to journal transaction %, which is not new', offender
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entries_of_new_transactions';
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER journal_entries_of_new_transactions
    AFTER INSERT ON journal_entries
    REFERENCING NEW TABLE AS new_entries
    FOR EACH STATEMENT EXECUTE FUNCTION journal_entries_of_new_transactions();

-- A journal transaction has a ledger transaction with its entries, all in accounts of its merchant. A
-- reversal negates the entries of another transaction of the merchant, which is no reversal.
CREATE OR REPLACE FUNCTION journal_matches_ledger() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER
SET enable_seqscan = off AS $$
DECLARE
    offender uuid;
BEGIN
    DELETE FROM journal_checks WHERE journal_checks.id = NEW.id;
    SELECT checked.id INTO offender
      FROM unnest(NEW.transaction_ids) AS checked (id)
     -- Scalar subqueries, not EXISTS: those the planner may answer by reading a whole table.
     WHERE (SELECT (SELECT t.kind = 'journal' FROM ledger_transactions t WHERE t.id = j.id)
                   AND (SELECT count(*)
                          FROM journal_entries requested
                          JOIN entries e ON e.transaction_id = requested.transaction_id
                                        AND e.account_id = requested.account_id
                                        AND e.amount = requested.amount
                          JOIN accounts a ON a.id = e.account_id AND a.merchant_id = j.merchant_id
                         WHERE requested.transaction_id = j.id)
                       = ALL (ARRAY[
                             (SELECT count(*) FROM entries e WHERE e.transaction_id = j.id),
                             (SELECT count(*) FROM journal_entries requested
                               WHERE requested.transaction_id = j.id)])
                   AND (j.reverses_id IS NULL
                        OR (SELECT o.merchant_id = j.merchant_id AND o.reverses_id IS NULL
                              FROM journal_transactions o
                             WHERE o.id = j.reverses_id)
                           AND (SELECT count(*)
                                  FROM entries e
                                  JOIN entries o ON o.transaction_id = j.reverses_id
                                                AND o.account_id = e.account_id
                                                AND o.amount = -e.amount
                                 WHERE e.transaction_id = j.id)
                               = ALL (ARRAY[
                                     (SELECT count(*) FROM entries e
                                       WHERE e.transaction_id = j.id),
                                     (SELECT count(*) FROM entries o
                                       WHERE o.transaction_id = j.reverses_id)]))
              FROM journal_transactions j
             WHERE j.id = checked.id) IS NOT TRUE
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % does not match the ledger', offender
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_matches_ledger';
    END IF;
    RETURN NULL;
END
$$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger
                    WHERE tgrelid = 'journal_checks'::regclass
                      AND tgname = 'journal_matches_ledger')
    THEN
        CREATE CONSTRAINT TRIGGER journal_matches_ledger
            AFTER INSERT ON journal_checks
            DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION journal_matches_ledger();
    END IF;
END
$$;

-- As in 0014 for payments and refunds. A statement inserts either these or journal transactions: one
-- that mixes them is refused, because no payment has the id of a journal transaction. So settlement
-- reads one row more per statement. The journal transaction is there before its posting, and
-- journal_matches_ledger checks both at the commit.
CREATE OR REPLACE FUNCTION ledger_transactions_of_payment() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER
SET enable_seqscan = off AS $$
DECLARE
    offender uuid;
BEGIN
    IF (SELECT t.kind FROM new_transactions t LIMIT 1) = 'journal' THEN
        SELECT t.id INTO offender
          FROM new_transactions t
         WHERE t.kind <> 'journal'
            OR (SELECT true FROM journal_transactions j WHERE j.id = t.id) IS NULL
         LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'ledger transaction % posts a journal transaction that does not exist',
                            offender
                USING ERRCODE = 'foreign_key_violation',
                      CONSTRAINT = 'ledger_transactions_of_payment';
        END IF;
        RETURN NULL;
    END IF;
    INSERT INTO posting_checks (payment_ids, refunded_payment_ids, refund_ids)
    SELECT coalesce(array_agg(t.payment_id) FILTER (WHERE t.refund_id IS NULL), '{}'),
           coalesce(array_agg(t.payment_id) FILTER (WHERE t.refund_id IS NOT NULL), '{}'),
           coalesce(array_agg(t.refund_id) FILTER (WHERE t.refund_id IS NOT NULL), '{}')
      FROM new_transactions t
    HAVING count(*) > 0;
    RETURN NULL;
END
$$;

-- As in 0012; a ledger transaction may have several currencies, each of which balances.
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

-- Last: from here on journal transactions can be posted. The subject of one, which is in payment_id, is
-- its own id, so that ledger_transactions_once_per_payment needs no change.
ALTER TABLE ledger_transactions
    DROP CONSTRAINT IF EXISTS ledger_transactions_kind_check,
    ADD CONSTRAINT ledger_transactions_kind_check CHECK
        (CASE kind WHEN 'payment' THEN refund_id IS NULL
                   WHEN 'refund' THEN refund_id IS NOT NULL
                   WHEN 'journal' THEN refund_id IS NULL AND payment_id = id
                   ELSE false
         END) NOT VALID;
ALTER TABLE ledger_transactions VALIDATE CONSTRAINT ledger_transactions_kind_check;

-- Without a search_path of its own a function reads the caller's temporary tables first.
DO $$
DECLARE
    guard text;
BEGIN
    FOREACH guard IN ARRAY '{
        entries_must_balance, journal_entries_of_new_transactions, journal_matches_ledger,
        journal_transactions_are_checked, ledger_transactions_of_payment
    }'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = pg_catalog, %I, pg_temp',
                       guard, current_schema());
    END LOOP;
END
$$;

REVOKE EXECUTE ON FUNCTION
    journal_entries_of_new_transactions(), journal_matches_ledger(),
    journal_transactions_are_checked()
    FROM PUBLIC;
