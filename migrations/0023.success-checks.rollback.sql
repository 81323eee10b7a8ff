-- Nothing is lost: the table is empty between transactions. Workers of the version that this migration
-- suits must have ended: they change payments before they post.
SET LOCAL lock_timeout = '5s';

DROP TABLE success_checks;
DROP FUNCTION successes_match_ledger();
DROP TRIGGER payments_are_checked ON payments;
DROP FUNCTION payments_are_checked();

CREATE FUNCTION payments_match_ledger() RETURNS trigger LANGUAGE plpgsql
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

CREATE TRIGGER payments_match_ledger
    AFTER UPDATE ON payments
    REFERENCING NEW TABLE AS new_payments
    FOR EACH STATEMENT EXECUTE FUNCTION payments_match_ledger();

DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION payments_match_ledger() SET search_path = pg_catalog, %I, pg_temp',
                   current_schema());
END
$$;
