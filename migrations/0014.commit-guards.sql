-- Guards that compare what is in the tables, not who writes it. pg_trigger_depth() is 1 in any
-- trigger, also in one that the caller puts on a temporary table.
-- depends: 0013.access
-- transactional: false

-- Runs while payments flow. Each statement commits by itself and locks one table, so it cannot
-- deadlock with payments or settlement. New columns lock accounts, then holds, against readers and
-- writers, for a moment; new triggers lock their table against writers, for a moment. The index locks
-- holds against writers while holds is read, about a second for some million holds: captures and
-- refunds wait. No table is rewritten.
--
-- A statement that waits for its lock makes later transactions wait behind it. It gives up if a
-- transaction of another program, such as pg_dump, keeps it waiting. All statements can be repeated:
-- after that, or a kill, run the migration again.
SET lock_timeout = '5s';

-- An account's pending amounts follow from its holds. Adding up all live holds takes longer the more
-- there are, and World has all of them. So a hold records the transaction that changed it last, and an
-- account its pending amounts before the transaction that changed them last. A guard compares the
-- difference with the holds that the same transaction changed.
--
-- A transaction is identified by its number and its start: a cluster that is restored from a dump
-- assigns the same numbers again.
ALTER TABLE accounts
    ADD COLUMN IF NOT EXISTS summed_by xid8,
    ADD COLUMN IF NOT EXISTS summed_since timestamptz,
    ADD COLUMN IF NOT EXISTS pending_in_before bigint,
    ADD COLUMN IF NOT EXISTS pending_out_before bigint;

ALTER TABLE holds
    ADD COLUMN IF NOT EXISTS changed_by xid8,
    ADD COLUMN IF NOT EXISTS changed_since timestamptz,
    -- Whether the hold was live before that transaction.
    ADD COLUMN IF NOT EXISTS was_live boolean;

-- Only the present transaction's holds are looked up. Not CONCURRENTLY: that waits for every other
-- statement, also for the one by which a second migrator waits for this one.
CREATE INDEX IF NOT EXISTS holds_of_transaction ON holds (changed_by)
    WHERE changed_by IS NOT NULL;

CREATE OR REPLACE FUNCTION holds_record_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.was_live := TG_OP = 'UPDATE';
    NEW.changed_by := pg_current_xact_id();
    NEW.changed_since := now();
    IF TG_OP = 'UPDATE' AND OLD.changed_by = NEW.changed_by
       AND OLD.changed_since = NEW.changed_since
    THEN
        NEW.was_live := OLD.was_live;
    END IF;
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER holds_record_change
    BEFORE INSERT OR UPDATE ON holds
    FOR EACH ROW EXECUTE FUNCTION holds_record_change();

CREATE OR REPLACE FUNCTION accounts_record_pending() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.summed_by := pg_current_xact_id();
    NEW.summed_since := now();
    IF OLD.summed_by = NEW.summed_by AND OLD.summed_since = NEW.summed_since THEN
        NEW.pending_in_before := OLD.pending_in_before;
        NEW.pending_out_before := OLD.pending_out_before;
    ELSE
        NEW.pending_in_before := OLD.pending_in;
        NEW.pending_out_before := OLD.pending_out;
    END IF;
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER accounts_begin_without_pending
    BEFORE INSERT ON accounts
    FOR EACH ROW
    WHEN (NEW.pending_in <> 0 OR NEW.pending_out <> 0 OR NEW.summed_by IS NOT NULL)
    EXECUTE FUNCTION refuse_change('what is pending follows from holds');

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

CREATE OR REPLACE TRIGGER accounts_match_holds
    AFTER UPDATE ON accounts
    REFERENCING NEW TABLE AS new_accounts
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_match_holds();

-- Replaces the trigger that compared pg_trigger_depth(). It runs only for statements that name one of
-- these columns: posting names none. After the trigger
-- above, which checks only accounts with a record: pending amounts are guarded at any time.
CREATE OR REPLACE TRIGGER accounts_pending_follows_holds
    BEFORE UPDATE OF pending_in, pending_out, summed_by, summed_since, pending_in_before,
                     pending_out_before
    ON accounts
    FOR EACH ROW EXECUTE FUNCTION accounts_record_pending();

-- A payment's refunded amounts follow from its refunds; it has at most a hundred. Their trigger locks
-- the payment before it changes the sums, so this guard sees all refunds that count.
CREATE OR REPLACE FUNCTION payments_refunded_follows_refunds() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
BEGIN
    IF (NEW.refunds_reserved, NEW.amount_refunded)
       IS DISTINCT FROM
       (SELECT (CASE WHEN count(*) > 0
                     THEN coalesce(sum(r.amount) FILTER (WHERE r.phase <> 'FAILED'), 0)::bigint
                END,
                CASE WHEN count(*) FILTER (WHERE r.phase <> 'OPEN') > 0
                     THEN coalesce(sum(r.amount) FILTER (WHERE r.phase = 'SUCCESS'), 0)::bigint
                END)
          FROM refunds r
         WHERE r.payment_id = NEW.id)
    THEN
        RAISE EXCEPTION 'what is refunded of payment % does not follow from its refunds', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payments_refunded_follows_refunds';
    END IF;
    RETURN NULL;
END
$$;

-- Replaces the trigger that compared pg_trigger_depth(). Claiming and settling name neither column.
CREATE OR REPLACE TRIGGER payments_refunded_follows_refunds
    AFTER UPDATE OF refunds_reserved, amount_refunded ON payments
    FOR EACH ROW
    WHEN ((OLD.refunds_reserved, OLD.amount_refunded)
          IS DISTINCT FROM (NEW.refunds_reserved, NEW.amount_refunded))
    EXECUTE FUNCTION payments_refunded_follows_refunds();

-- A payment that succeeds has a ledger transaction: World is debited, the merchant's account credited
-- less the fee, and the fee account credited with the fee. A payment has at most one
-- (ledger_transactions_once_per_payment), and nothing is added to it later (entries_must_balance). So
-- what is true after the statement stays true. The posting comes first, then the success.
CREATE OR REPLACE FUNCTION payments_match_ledger() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_nestloop = off AS $$
DECLARE
    succeeded    uuid[];
    transactions uuid[];
    posted       uuid[];
    offender     uuid;
BEGIN
    -- Without refunded amounts: an update of these does not check the success again. None can succeed
    -- with them: they need refunds (payments_refunded_follows_refunds), which need a success.
    SELECT array_agg(n.id) INTO succeeded
      FROM new_payments n
     WHERE n.status = 'SUCCESS' AND n.refunds_reserved IS NULL;
    IF succeeded IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT array_agg(t.id), array_agg(t.payment_id) INTO transactions, posted
      FROM ledger_transactions t
     WHERE t.payment_id = ANY (succeeded) AND t.kind = 'payment';
    SELECT (array_agg(sums.id))[1] INTO offender
      FROM (SELECT n.id
              FROM (SELECT p.id, p.account_id, p.currency,
                           coalesce(p.capture_amount, p.amount) AS captured,
                           coalesce(p.fee_amount, 0) AS fee
                      FROM new_payments p
                     WHERE p.status = 'SUCCESS' AND p.refunds_reserved IS NULL) n
              LEFT JOIN accounts world
                ON world.currency = n.currency
                   AND world.merchant_id IS NULL AND world.type = 'asset'
              LEFT JOIN accounts fees
                ON fees.currency = n.currency
                   AND fees.merchant_id IS NULL AND fees.type = 'revenue'
              LEFT JOIN unnest(transactions, posted) AS t (id, payment_id)
                ON t.payment_id = n.id
              LEFT JOIN entries e
                ON e.transaction_id = t.id AND e.transaction_id = ANY (transactions)
             GROUP BY n.id, n.captured, n.fee
            -- One leg of each kind. The sum and the count together allow no other legs.
            HAVING sum(CASE WHEN e.account_id = world.id AND e.amount = -n.captured THEN 1
                            WHEN e.account_id = n.account_id AND e.amount = n.captured - n.fee THEN 2
                            WHEN e.account_id = fees.id AND e.amount = n.fee THEN 4
                            ELSE 8
                       END)
                   <> 1 + CASE WHEN n.captured > n.fee THEN 2 ELSE 0 END
                      + CASE WHEN n.fee > 0 THEN 4 ELSE 0 END
                OR count(*) <> 1 + CASE WHEN n.captured > n.fee THEN 1 ELSE 0 END
                               + CASE WHEN n.fee > 0 THEN 1 ELSE 0 END) sums;
    IF offender IS NOT NULL THEN
        RAISE EXCEPTION 'the success of payment % does not match the ledger', offender
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payments_match_ledger';
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER payments_match_ledger
    AFTER UPDATE ON payments
    REFERENCING NEW TABLE AS new_payments
    FOR EACH STATEMENT EXECUTE FUNCTION payments_match_ledger();

CREATE OR REPLACE FUNCTION refunds_match_ledger() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_nestloop = off AS $$
DECLARE
    succeeded    uuid[];
    refunded     uuid[];
    transactions uuid[];
    posted       uuid[];
    offender     uuid;
BEGIN
    SELECT array_agg(n.id), array_agg(n.payment_id) INTO succeeded, refunded
      FROM new_refunds n
     WHERE n.status = 'SUCCESS';
    IF succeeded IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT array_agg(t.id), array_agg(t.refund_id) INTO transactions, posted
      FROM ledger_transactions t
     WHERE t.payment_id = ANY (refunded) AND t.kind = 'refund' AND t.refund_id = ANY (succeeded);
    SELECT (array_agg(sums.id))[1] INTO offender
      FROM (SELECT n.id
              FROM new_refunds n
              LEFT JOIN accounts world
                ON world.currency = n.currency
                   AND world.merchant_id IS NULL AND world.type = 'asset'
              LEFT JOIN unnest(transactions, posted) AS t (id, refund_id)
                ON t.refund_id = n.id
              LEFT JOIN entries e
                ON e.transaction_id = t.id AND e.transaction_id = ANY (transactions)
             WHERE n.status = 'SUCCESS'
             GROUP BY n.id
            HAVING count(*) <> 2
                OR sum(CASE WHEN e.account_id = world.id AND e.amount = n.amount THEN 1
                            WHEN e.account_id = n.account_id AND e.amount = -n.amount THEN 2
                            ELSE 8
                       END) <> 3) sums;
    IF offender IS NOT NULL THEN
        RAISE EXCEPTION 'the success of refund % does not match the ledger', offender
            USING ERRCODE = 'check_violation', CONSTRAINT = 'refunds_match_ledger';
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER refunds_match_ledger
    AFTER UPDATE ON refunds
    REFERENCING NEW TABLE AS new_refunds
    FOR EACH STATEMENT EXECUTE FUNCTION refunds_match_ledger();

-- The other direction, when the transaction commits: a payment or refund that is posted succeeded. A
-- deferred trigger runs for each row, which is too slow for ledger_transactions. So each statement
-- inserts one row with all its payments here, and the deferred trigger runs for this row. Deleting the
-- row does not help: the trigger gets it as it was inserted.
--
-- No row outlives its transaction, so the table needs no write-ahead log.
CREATE UNLOGGED TABLE IF NOT EXISTS posting_checks (
    id                   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Payments whose charge or capture is posted.
    payment_ids          uuid[] STORAGE EXTERNAL NOT NULL,
    -- Refunds that are posted, and the payment of each.
    refunded_payment_ids uuid[] STORAGE EXTERNAL NOT NULL,
    refund_ids           uuid[] STORAGE EXTERNAL NOT NULL
);

CREATE OR REPLACE FUNCTION posted_has_succeeded() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
    offender uuid;
BEGIN
    DELETE FROM posting_checks WHERE posting_checks.id = NEW.id;
    IF (SELECT count(*) FROM payments p
         WHERE p.id = ANY (NEW.payment_ids) AND p.status = 'SUCCESS')
       < cardinality(NEW.payment_ids)
    THEN
        SELECT posted.id INTO offender
          FROM unnest(NEW.payment_ids) AS posted (id)
         WHERE (SELECT p.status FROM payments p WHERE p.id = posted.id)
               IS DISTINCT FROM 'SUCCESS'
         LIMIT 1;
        RAISE EXCEPTION 'payment % is posted and did not succeed', offender
            USING ERRCODE = 'foreign_key_violation',
                  CONSTRAINT = 'ledger_transactions_of_payment';
    END IF;
    SELECT posted.refund_id INTO offender
      FROM unnest(NEW.refunded_payment_ids, NEW.refund_ids) AS posted (payment_id, refund_id)
     WHERE (SELECT r.payment_id = posted.payment_id AND r.status = 'SUCCESS'
              FROM refunds r
             WHERE r.id = posted.refund_id) IS NOT TRUE
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'refund % is posted and did not succeed', offender
            USING ERRCODE = 'foreign_key_violation',
                  CONSTRAINT = 'ledger_transactions_of_payment';
    END IF;
    RETURN NULL;
END
$$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger
                    WHERE tgrelid = 'posting_checks'::regclass
                      AND tgname = 'posted_has_succeeded')
    THEN
        CREATE CONSTRAINT TRIGGER posted_has_succeeded
            AFTER INSERT ON posting_checks
            DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION posted_has_succeeded();
    END IF;
END
$$;

-- Replaces the check of 0008, which ran at once: a payment that does not exist did not succeed.
CREATE OR REPLACE FUNCTION ledger_transactions_of_payment() RETURNS trigger LANGUAGE plpgsql AS $$
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

-- Without a search_path of its own a function reads the caller's temporary tables first.
DO $$
DECLARE
    guard text;
BEGIN
    FOREACH guard IN ARRAY '{
        account_must_follow_entries, accounts_match_holds, accounts_record_pending,
        ended_holds_nothing, entries_must_balance, holds_are_summed, holds_record_change,
        ledger_transactions_of_payment, payments_account_of_merchant_and_currency,
        payments_are_listed, payments_match_ledger, payments_refunded_follows_refunds,
        posted_has_succeeded, refunds_are_listed, refunds_are_summed, refunds_match_ledger
    }'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = pg_catalog, %I, pg_temp',
                       guard, current_schema());
    END LOOP;
END
$$;
