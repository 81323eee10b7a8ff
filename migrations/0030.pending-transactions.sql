-- Pending journal transactions: their entries are reserved, and posted, in whole or in part, or released
-- later.
-- depends: 0028.network-events
-- transactional: false

-- Runs while payments flow, also with the previous version of Atomic, which posts no pending
-- transactions. Each statement commits by itself and locks one table for a moment:
-- journal_transactions against readers and writers. The validation and the index read
-- journal_transactions once, about a second per some million rows: payments flow meanwhile, and only
-- new journal transactions wait for the index. No table is rewritten.
--
-- A statement that waits for its lock makes later transactions wait behind it. It gives up if a
-- transaction of another program, such as pg_dump, keeps it waiting. All statements can be repeated:
-- after that, or a kill, run the migration again.
SET lock_timeout = '5s';

ALTER TABLE journal_transactions
    -- Of a transaction that is or was PENDING. NULL: it was posted at once.
    ADD COLUMN IF NOT EXISTS expires_at timestamptz,
    -- When it ceased to be PENDING.
    ADD COLUMN IF NOT EXISTS resolved_at timestamptz,
    -- NULL: when it is posted, and it is not.
    ALTER COLUMN effective_at DROP NOT NULL,
    DROP CONSTRAINT IF EXISTS journal_transactions_status_check,
    ADD CONSTRAINT journal_transactions_status_check
        CHECK (status IN ('PENDING', 'POSTED', 'VOIDED', 'EXPIRED')) NOT VALID,
    DROP CONSTRAINT IF EXISTS journal_transactions_pending_end,
    ADD CONSTRAINT journal_transactions_pending_end CHECK
        (CASE WHEN expires_at IS NULL THEN
                  status = 'POSTED' AND resolved_at IS NULL
              ELSE
                  isfinite(expires_at) AND reverses_id IS NULL
                  AND (status = 'PENDING') = (resolved_at IS NULL)
         END) NOT VALID,
    DROP CONSTRAINT IF EXISTS journal_transactions_posted_takes_effect,
    ADD CONSTRAINT journal_transactions_posted_takes_effect
        CHECK (status <> 'POSTED' OR effective_at IS NOT NULL) NOT VALID;
ALTER TABLE journal_transactions VALIDATE CONSTRAINT journal_transactions_status_check;
ALTER TABLE journal_transactions VALIDATE CONSTRAINT journal_transactions_pending_end;
ALTER TABLE journal_transactions VALIDATE CONSTRAINT journal_transactions_posted_takes_effect;

-- For the sweeper.
CREATE INDEX IF NOT EXISTS journal_transactions_pending
    ON journal_transactions (expires_at, id) WHERE status = 'PENDING';

-- What pending transactions reserve. As holds, with the columns of 0014; these have one account and a
-- sign: a transaction can have many entries.
CREATE TABLE IF NOT EXISTS journal_holds (
    transaction_id uuid        NOT NULL,
    account_id     uuid        NOT NULL,
    -- As in journal_entries. A debit is pending out of its account, a credit into it.
    amount         bigint      NOT NULL CHECK (amount <> 0),
    placed_at      timestamptz NOT NULL,
    released_at    timestamptz,
    changed_by     xid8,
    changed_since  timestamptz,
    was_live       boolean,
    PRIMARY KEY (transaction_id, account_id)
);

CREATE INDEX IF NOT EXISTS journal_holds_of_transaction
    ON journal_holds (changed_by) WHERE changed_by IS NOT NULL;

CREATE OR REPLACE TRIGGER journal_holds_record_change
    BEFORE INSERT OR UPDATE ON journal_holds
    FOR EACH ROW EXECUTE FUNCTION holds_record_change();

CREATE OR REPLACE TRIGGER journal_holds_are_released_once
    BEFORE UPDATE ON journal_holds
    FOR EACH ROW
    WHEN (OLD.released_at IS NOT NULL
          OR (OLD.transaction_id, OLD.account_id, OLD.amount, OLD.placed_at)
             IS DISTINCT FROM
             (NEW.transaction_id, NEW.account_id, NEW.amount, NEW.placed_at))
    EXECUTE FUNCTION refuse_change('a hold is released once, and nothing else of it changes');

CREATE OR REPLACE TRIGGER journal_holds_begin_live
    BEFORE INSERT ON journal_holds
    FOR EACH ROW
    WHEN (NEW.released_at IS NOT NULL)
    EXECUTE FUNCTION refuse_change('a hold is placed before it is released');

CREATE OR REPLACE TRIGGER journal_holds_are_kept
    BEFORE DELETE OR TRUNCATE ON journal_holds
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('holds are released, not deleted');

-- Holds are added with their transaction, as its entries are.
CREATE OR REPLACE FUNCTION journal_holds_of_new_transactions() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER
SET enable_seqscan = off AS $$
DECLARE
    offender uuid;
BEGIN
    SELECT n.transaction_id INTO offender
      FROM new_holds n
     WHERE (SELECT j.xmin = pg_current_xact_id()::xid AND j.status = 'PENDING'
              FROM journal_transactions j
             WHERE j.id = n.transaction_id) IS NOT TRUE
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a hold is placed for journal transaction %, which is not new and PENDING',
                        offender
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_holds_of_new_transactions';
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER journal_holds_of_new_transactions
    AFTER INSERT ON journal_holds
    REFERENCING NEW TABLE AS new_holds
    FOR EACH STATEMENT EXECUTE FUNCTION journal_holds_of_new_transactions();

-- As holds_are_summed (0008). A release is checked at the commit, with its transaction.
CREATE OR REPLACE FUNCTION journal_holds_are_summed() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER
SET enable_seqscan = off AS $$
BEGIN
    UPDATE accounts
       SET pending_in = accounts.pending_in + sums.incoming,
           pending_out = accounts.pending_out + sums.outgoing
      FROM (SELECT n.account_id,
                   sum(greatest(n.amount, 0)
                       * CASE WHEN n.released_at IS NULL THEN 1 ELSE -1 END)::bigint AS incoming,
                   sum(greatest(-n.amount, 0)
                       * CASE WHEN n.released_at IS NULL THEN 1 ELSE -1 END)::bigint AS outgoing
              FROM new_holds n
             GROUP BY n.account_id) sums
     WHERE accounts.id = sums.account_id;
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO journal_checks (transaction_ids)
        SELECT array_agg(DISTINCT n.transaction_id) FROM new_holds n HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER journal_holds_are_summed_when_placed
    AFTER INSERT ON journal_holds
    REFERENCING NEW TABLE AS new_holds
    FOR EACH STATEMENT EXECUTE FUNCTION journal_holds_are_summed();

CREATE OR REPLACE TRIGGER journal_holds_are_summed_when_released
    AFTER UPDATE ON journal_holds
    REFERENCING NEW TABLE AS new_holds
    FOR EACH STATEMENT EXECUTE FUNCTION journal_holds_are_summed();

-- As in 0014, with the holds of journal transactions. Runs only for statements that change pending
-- amounts, so settlement of charges does no more work.
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
                   FROM (SELECT ends.account_id, ends.incoming, ends.outgoing
                           FROM (SELECT changed.credit_account_id, changed.debit_account_id,
                                        CASE WHEN changed.released_at IS NULL THEN changed.amount ELSE 0 END
                                        - CASE WHEN changed.was_live THEN changed.amount ELSE 0 END AS change
                                   FROM holds changed
                                  WHERE changed.changed_by = this_transaction
                                    AND changed.changed_since = now()) h
                          CROSS JOIN LATERAL (VALUES
                              (h.credit_account_id, h.change, 0::bigint),
                              (h.debit_account_id, 0::bigint, h.change)
                          ) AS ends (account_id, incoming, outgoing)
                         UNION ALL
                         SELECT changed.account_id, greatest(changed.amount, 0) * reserved.change,
                                greatest(-changed.amount, 0) * reserved.change
                           FROM journal_holds changed
                          CROSS JOIN LATERAL (VALUES
                              (CASE WHEN changed.released_at IS NULL THEN 1 ELSE 0 END
                               - CASE WHEN changed.was_live THEN 1 ELSE 0 END)
                          ) AS reserved (change)
                          WHERE changed.changed_by = this_transaction
                            AND changed.changed_since = now()) side
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

-- As in 0027. A pending transaction that is resolved is written by this transaction too, and no longer
-- new.
CREATE OR REPLACE FUNCTION journal_entries_of_new_transactions() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER
SET enable_seqscan = off AS $$
DECLARE
    offender uuid;
BEGIN
    SELECT n.transaction_id INTO offender
      FROM new_entries n
     WHERE (SELECT j.xmin = pg_current_xact_id()::xid AND j.resolved_at IS NULL
                   AND j.created_at = n.created_at
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

-- As in 0027: a journal transaction becomes POSTED before its posting, so that its check at the commit
-- sees both.
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
            OR (SELECT j.status = 'POSTED' FROM journal_transactions j WHERE j.id = t.id) IS NOT TRUE
         LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'ledger transaction % posts a journal transaction that does not exist or is not POSTED',
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

-- As in 0027, and for pending transactions: while one is PENDING, a live hold reserves each entry.
-- Afterwards none is live, and a posting has each entry with at most its amount, or none.
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
     WHERE (SELECT CASE WHEN j.status = 'POSTED' THEN
                             (SELECT t.kind = 'journal' FROM ledger_transactions t WHERE t.id = j.id)
                             AND (SELECT count(*)
                                    FROM journal_entries requested
                                    JOIN entries e ON e.transaction_id = requested.transaction_id
                                                  AND e.account_id = requested.account_id
                                    JOIN accounts a ON a.id = e.account_id
                                                   AND a.merchant_id = j.merchant_id
                                   WHERE requested.transaction_id = j.id
                                     AND CASE WHEN j.expires_at IS NULL
                                              THEN e.amount = requested.amount
                                              ELSE sign(e.amount) = sign(requested.amount)
                                                   AND abs(e.amount) <= abs(requested.amount)
                                         END)
                                 = (SELECT count(*) FROM entries e WHERE e.transaction_id = j.id)
                             AND (j.expires_at IS NOT NULL
                                  OR (SELECT count(*) FROM entries e WHERE e.transaction_id = j.id)
                                     = (SELECT count(*) FROM journal_entries requested
                                         WHERE requested.transaction_id = j.id))
                        ELSE (SELECT true FROM ledger_transactions t WHERE t.id = j.id) IS NULL
                   END
                   AND CASE WHEN j.expires_at IS NULL THEN
                                 (SELECT count(*) FROM journal_holds h
                                   WHERE h.transaction_id = j.id) = 0
                            ELSE (SELECT count(*)
                                    FROM journal_entries requested
                                    JOIN journal_holds h
                                         ON h.transaction_id = requested.transaction_id
                                        AND h.account_id = requested.account_id
                                        AND h.amount = requested.amount
                                        AND (h.released_at IS NULL) = (j.status = 'PENDING')
                                    JOIN accounts a ON a.id = requested.account_id
                                                   AND a.merchant_id = j.merchant_id
                                   WHERE requested.transaction_id = j.id)
                                 = ALL (ARRAY[
                                       (SELECT count(*) FROM journal_entries requested
                                         WHERE requested.transaction_id = j.id),
                                       (SELECT count(*) FROM journal_holds h
                                         WHERE h.transaction_id = j.id)])
                                 -- At least two entries, and those of each currency balance.
                                 AND (SELECT count(*) >= 2 FROM journal_entries requested
                                       WHERE requested.transaction_id = j.id)
                                 AND (SELECT count(*)
                                        FROM (SELECT FROM journal_entries requested
                                                JOIN accounts a ON a.id = requested.account_id
                                               WHERE requested.transaction_id = j.id
                                               GROUP BY a.currency
                                              HAVING sum(requested.amount) <> 0) unbalanced) = 0
                       END
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

CREATE OR REPLACE TRIGGER journal_transactions_begin
    BEFORE INSERT ON journal_transactions
    FOR EACH ROW
    WHEN (NEW.status NOT IN ('PENDING', 'POSTED') OR NEW.resolved_at IS NOT NULL)
    EXECUTE FUNCTION refuse_change('a journal transaction begins as PENDING or POSTED');

CREATE OR REPLACE TRIGGER journal_transactions_are_checked_when_resolved
    AFTER UPDATE ON journal_transactions
    REFERENCING NEW TABLE AS new_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION journal_transactions_are_checked();

CREATE OR REPLACE TRIGGER journal_transactions_are_kept
    BEFORE DELETE OR TRUNCATE ON journal_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('the books are append-only');

-- Last: from here on pending transactions can be resolved, once.
CREATE OR REPLACE TRIGGER journal_transactions_are_final
    BEFORE UPDATE ON journal_transactions
    FOR EACH ROW
    WHEN (OLD.status <> 'PENDING' OR NEW.status = 'PENDING'
          OR NEW.status = 'EXPIRED' AND OLD.expires_at > now()
          OR NEW.effective_at IS DISTINCT FROM OLD.effective_at
             AND (OLD.effective_at IS NOT NULL OR NEW.status <> 'POSTED')
          OR (OLD.id, OLD.merchant_id, OLD.description, OLD.metadata, OLD.external_id, OLD.created_at,
              OLD.expires_at, OLD.reverses_id, OLD.idempotency_key, OLD.actor, OLD.actor_id,
              OLD.client_address, OLD.request_id, OLD.server_request_id, OLD.operator)
             IS DISTINCT FROM
             (NEW.id, NEW.merchant_id, NEW.description, NEW.metadata, NEW.external_id, NEW.created_at,
              NEW.expires_at, NEW.reverses_id, NEW.idempotency_key, NEW.actor, NEW.actor_id,
              NEW.client_address, NEW.request_id, NEW.server_request_id, NEW.operator))
    EXECUTE FUNCTION refuse_change('a journal transaction is posted, voided or expired once');

-- Without a search_path of its own a function reads the caller's temporary tables first.
DO $$
DECLARE
    guard text;
BEGIN
    FOREACH guard IN ARRAY '{
        accounts_match_holds, journal_entries_of_new_transactions, journal_holds_are_summed,
        journal_holds_of_new_transactions, journal_matches_ledger, ledger_transactions_of_payment
    }'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = pg_catalog, %I, pg_temp',
                       guard, current_schema());
    END LOOP;
END
$$;

REVOKE EXECUTE ON FUNCTION journal_holds_are_summed(), journal_holds_of_new_transactions() FROM PUBLIC;
