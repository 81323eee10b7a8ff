-- Nothing is lost: these columns and this table describe transactions that are over. As in the
-- migration, each statement commits by itself and can be repeated.
SET lock_timeout = '5s';

DO $$
DECLARE
    guard text;
BEGIN
    FOREACH guard IN ARRAY '{
        account_must_follow_entries, ended_holds_nothing, entries_must_balance, holds_are_summed,
        payments_account_of_merchant_and_currency, payments_are_listed, refunds_are_listed,
        refunds_are_summed
    }'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %I() RESET search_path', guard);
    END LOOP;
END
$$;

DROP TRIGGER IF EXISTS refunds_match_ledger ON refunds;
DROP TRIGGER IF EXISTS payments_match_ledger ON payments;
DROP TRIGGER IF EXISTS accounts_match_holds ON accounts;
DROP TRIGGER IF EXISTS holds_record_change ON holds;

CREATE OR REPLACE TRIGGER payments_refunded_follows_refunds
    BEFORE UPDATE OF refunds_reserved, amount_refunded ON payments
    FOR EACH ROW
    WHEN (pg_trigger_depth() = 0
          AND (OLD.refunds_reserved, OLD.amount_refunded)
              IS DISTINCT FROM (NEW.refunds_reserved, NEW.amount_refunded))
    EXECUTE FUNCTION refuse_change('what is refunded follows from refunds');

CREATE OR REPLACE TRIGGER accounts_pending_follows_holds
    BEFORE UPDATE OF pending_in, pending_out ON accounts
    FOR EACH ROW
    WHEN (pg_trigger_depth() = 0
          AND (OLD.pending_in, OLD.pending_out) IS DISTINCT FROM (NEW.pending_in, NEW.pending_out))
    EXECUTE FUNCTION refuse_change('what is pending follows from holds');

CREATE OR REPLACE TRIGGER accounts_begin_without_pending
    BEFORE INSERT ON accounts
    FOR EACH ROW
    WHEN (NEW.pending_in <> 0 OR NEW.pending_out <> 0)
    EXECUTE FUNCTION refuse_change('what is pending follows from holds');

-- As in 0008.
CREATE OR REPLACE FUNCTION ledger_transactions_of_payment() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
    posted   uuid[];
    refunded bigint;
    offender text;
BEGIN
    SELECT array_agg(DISTINCT t.payment_id), count(t.refund_id) INTO posted, refunded
      FROM new_transactions t;
    IF (SELECT count(*) FROM payments p WHERE p.id = ANY (posted)) < cardinality(posted) THEN
        SELECT t.id INTO offender
          FROM new_transactions t
         WHERE (SELECT true FROM payments p WHERE p.id = t.payment_id) IS NULL
         LIMIT 1;
    ELSIF refunded > 0 THEN
        SELECT t.id INTO offender
          FROM new_transactions t
         WHERE t.refund_id IS NOT NULL
           AND (SELECT r.payment_id = t.payment_id
                  FROM refunds r
                 WHERE r.id = t.refund_id) IS NOT TRUE
         LIMIT 1;
    END IF;
    IF offender IS NOT NULL THEN
        RAISE EXCEPTION 'ledger transaction % posts a payment that does not exist', offender
            USING ERRCODE = 'foreign_key_violation',
                  CONSTRAINT = 'ledger_transactions_of_payment';
    END IF;
    RETURN NULL;
END
$$;

DROP TABLE IF EXISTS posting_checks;
DROP FUNCTION IF EXISTS posted_has_succeeded();
DROP FUNCTION IF EXISTS refunds_match_ledger();
DROP FUNCTION IF EXISTS payments_match_ledger();
DROP FUNCTION IF EXISTS payments_refunded_follows_refunds();
DROP FUNCTION IF EXISTS accounts_match_holds();
DROP FUNCTION IF EXISTS accounts_record_pending();
DROP FUNCTION IF EXISTS holds_record_change();

DROP INDEX IF EXISTS holds_of_transaction;
ALTER TABLE holds
    DROP COLUMN IF EXISTS changed_by, DROP COLUMN IF EXISTS changed_since,
    DROP COLUMN IF EXISTS was_live;
ALTER TABLE accounts
    DROP COLUMN IF EXISTS summed_by, DROP COLUMN IF EXISTS summed_since,
    DROP COLUMN IF EXISTS pending_in_before, DROP COLUMN IF EXISTS pending_out_before;
