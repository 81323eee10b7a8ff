-- Refuses to drop data that cannot be restored: transactions that are or were PENDING, and their holds.
-- As in the migration, each statement commits by itself and can be repeated.
SET lock_timeout = '5s';

DO $$
BEGIN
    -- By name, because a repeated rollback finds no such column.
    IF EXISTS (SELECT FROM journal_transactions j WHERE to_jsonb(j) ->> 'expires_at' IS NOT NULL) THEN
        RAISE EXCEPTION 'rolling back would drop pending journal transactions'
            USING ERRCODE = 'restrict_violation';
    END IF;
END
$$;

CREATE OR REPLACE TRIGGER journal_transactions_are_final
    BEFORE UPDATE OR DELETE OR TRUNCATE ON journal_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('the books are append-only');
DROP TRIGGER IF EXISTS journal_transactions_are_kept ON journal_transactions;
DROP TRIGGER IF EXISTS journal_transactions_are_checked_when_resolved ON journal_transactions;
DROP TRIGGER IF EXISTS journal_transactions_begin ON journal_transactions;

-- As in 0027.
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

-- As in 0014.
CREATE OR REPLACE FUNCTION accounts_match_holds() RETURNS trigger LANGUAGE plpgsql
-- The planner does not know how many rows a statement changes. No plan may read a whole table, or
-- compare each account with each hold.
SET enable_seqscan = off
SET enable_nestloop = off AS $$
DECLARE
    this_transaction constant xid8 := pg_current_xact_id();
    offender         uuid;
BEGIN
    IF NOT EXISTS (SELECT FROM new_accounts n
                    WHERE n.summed_by = this_transaction AND n.summed_since = now())
    THEN
        RETURN NULL;
    END IF;
    SELECT (array_agg(n.id))[1] INTO offender
      FROM new_accounts n
      LEFT JOIN (SELECT side.account_id, sum(side.incoming) AS incoming, sum(side.outgoing) AS outgoing
                   FROM (SELECT changed.credit_account_id, changed.debit_account_id,
                                CASE WHEN changed.released_at IS NULL THEN changed.amount ELSE 0 END
                                - CASE WHEN changed.was_live THEN changed.amount ELSE 0 END AS change
                           FROM holds changed
                          WHERE changed.changed_by = this_transaction
                            AND changed.changed_since = now()) h
                  CROSS JOIN LATERAL (VALUES
                      (h.credit_account_id, h.change, 0::bigint),
                      (h.debit_account_id, 0::bigint, h.change)
                  ) AS side (account_id, incoming, outgoing)
                  GROUP BY side.account_id) changes
        ON changes.account_id = n.id
     WHERE n.summed_by = this_transaction
       AND n.summed_since = now()
       AND (n.pending_in, n.pending_out)
           IS DISTINCT FROM (n.pending_in_before + coalesce(changes.incoming, 0),
                             n.pending_out_before + coalesce(changes.outgoing, 0));
    IF offender IS NOT NULL THEN
        RAISE EXCEPTION 'what is pending in account % does not follow from its holds', offender
            USING ERRCODE = 'check_violation', CONSTRAINT = 'accounts_match_holds';
    END IF;
    RETURN NULL;
END
$$;

DO $$
DECLARE
    guard text;
BEGIN
    FOREACH guard IN ARRAY '{
        accounts_match_holds, journal_entries_of_new_transactions, journal_matches_ledger,
        ledger_transactions_of_payment
    }'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = pg_catalog, %I, pg_temp',
                       guard, current_schema());
    END LOOP;
END
$$;

DROP TABLE IF EXISTS journal_holds;
DROP FUNCTION IF EXISTS journal_holds_are_summed();
DROP FUNCTION IF EXISTS journal_holds_of_new_transactions();

DROP INDEX IF EXISTS journal_transactions_pending;
ALTER TABLE journal_transactions
    DROP CONSTRAINT IF EXISTS journal_transactions_posted_takes_effect,
    DROP CONSTRAINT IF EXISTS journal_transactions_pending_end,
    DROP CONSTRAINT IF EXISTS journal_transactions_status_check,
    ADD CONSTRAINT journal_transactions_status_check CHECK (status IN ('POSTED')) NOT VALID,
    ALTER COLUMN effective_at SET NOT NULL,
    DROP COLUMN IF EXISTS resolved_at,
    DROP COLUMN IF EXISTS expires_at;
ALTER TABLE journal_transactions VALIDATE CONSTRAINT journal_transactions_status_check;
