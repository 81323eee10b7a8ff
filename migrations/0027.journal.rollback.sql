-- Refuses to drop data that cannot be restored. As in the migration, each statement commits by itself
-- and can be repeated.
SET lock_timeout = '5s';

CREATE TABLE IF NOT EXISTS journal_transactions ();
DO $$
BEGIN
    IF EXISTS (SELECT FROM journal_transactions) THEN
        RAISE EXCEPTION 'rolling back would drop journal transactions' USING ERRCODE = 'restrict_violation';
    END IF;
END
$$;

ALTER TABLE ledger_transactions
    DROP CONSTRAINT IF EXISTS ledger_transactions_kind_check,
    ADD CONSTRAINT ledger_transactions_kind_check CHECK
        (CASE kind WHEN 'payment' THEN refund_id IS NULL
                   WHEN 'refund' THEN refund_id IS NOT NULL
                   ELSE false
         END);

-- As in 0012.
CREATE OR REPLACE FUNCTION entries_must_balance() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
    touched   uuid[];
    added     bigint;
    last_time timestamptz;
    offender  text;
BEGIN
    SELECT array_agg(sums.id), sum(sums.legs), min(sums.id::text) FILTER (WHERE sums.wrong),
           max(sums.last_time)
      INTO touched, added, offender, last_time
      FROM (SELECT e.transaction_id AS id, count(*) AS legs, max(a.last_posted_at) AS last_time,
                   sum(e.amount) <> 0 OR count(*) < 2 OR min(a.currency) <> max(a.currency)
                   OR count(a.id) <> count(*) AS wrong
              FROM new_entries e
              LEFT JOIN accounts a ON a.id = e.account_id
             GROUP BY e.transaction_id) sums;
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

-- As in 0014 and 0015.
CREATE OR REPLACE FUNCTION ledger_transactions_of_payment() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER AS $$
BEGIN
    INSERT INTO posting_checks (payment_ids, refunded_payment_ids, refund_ids)
    SELECT coalesce(array_agg(t.payment_id) FILTER (WHERE t.refund_id IS NULL), '{}'),
           coalesce(array_agg(t.payment_id) FILTER (WHERE t.refund_id IS NOT NULL), '{}'),
           coalesce(array_agg(t.refund_id) FILTER (WHERE t.refund_id IS NOT NULL), '{}')
      FROM new_transactions t
    HAVING count(*) > 0;
    RETURN NULL;
END
$$;

DO $$
DECLARE
    guard text;
BEGIN
    FOREACH guard IN ARRAY '{entries_must_balance, ledger_transactions_of_payment}'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = pg_catalog, %I, pg_temp',
                       guard, current_schema());
    END LOOP;
END
$$;

DROP TABLE IF EXISTS journal_checks;
DROP FUNCTION IF EXISTS journal_matches_ledger();
DROP TABLE IF EXISTS journal_entries;
DROP FUNCTION IF EXISTS journal_entries_of_new_transactions();
DROP TABLE IF EXISTS journal_transactions;
DROP FUNCTION IF EXISTS journal_transactions_are_checked();

-- The version before does not know the scopes of the ledger: keys lose them, and those that have no
-- other are revoked.
DO $$
BEGIN
    ALTER TABLE api_keys DROP CONSTRAINT api_keys_known_scopes;
    ALTER TABLE api_keys DISABLE TRIGGER api_keys_stay_whose_they_are;
    UPDATE api_keys
       SET scopes = array_remove(array_remove(scopes, 'ledger:read'), 'ledger:write')
     WHERE scopes && '{ledger:read,ledger:write}'
       AND NOT scopes <@ '{ledger:read,ledger:write}';
    UPDATE api_keys
       SET revoked_at = coalesce(revoked_at, now()), scopes = '{payments:read}'
     WHERE scopes <@ '{ledger:read,ledger:write}';
    ALTER TABLE api_keys ENABLE TRIGGER api_keys_stay_whose_they_are;
    ALTER TABLE api_keys
        ADD CONSTRAINT api_keys_known_scopes
        CHECK (cardinality(scopes) > 0 AND scopes <@
               '{payments:write,payments:read,accounts:write,accounts:read,refunds:write,events:read,
                 webhooks:read,webhooks:write}'::text[]);
END
$$;
