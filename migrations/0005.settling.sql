-- Settlement: claims that write no index, and guards that check a whole statement at once.
-- depends: 0004.idempotency

-- A claim changes the status and takes a lease. With both outside of every index the row's new
-- version stays on its page (HOT), as long as there is room.
ALTER TABLE payments
    -- While it is PROCESSING: after this time another worker may claim it.
    ADD COLUMN leased_until timestamptz,
    ADD COLUMN is_open boolean NOT NULL
        GENERATED ALWAYS AS (status IN ('PENDING', 'PROCESSING')) STORED;

ALTER TABLE payments SET (
    -- Room on the page for the claimed version of each payment.
    fillfactor = 50,
    -- Claims skip the index entries of what was settled since the last vacuum: with the default, a
    -- fifth of a large table, these are too many.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02
);

DROP INDEX payments_open;
CREATE INDEX payments_open ON payments (due_at, id) WHERE is_open;

-- That the payment exists was checked by a foreign key, row by row. Payments can neither be deleted
-- nor get another id, so it is enough to check when the posting is made.
CREATE FUNCTION ledger_transactions_of_payment() RETURNS trigger LANGUAGE plpgsql
-- A plan is made while the table is small and kept when it is large: it must not read a whole table.
SET enable_seqscan = off AS $$
DECLARE
    posted   uuid[];
    offender text;
BEGIN
    SELECT array_agg(DISTINCT t.payment_id) INTO posted FROM new_transactions t;
    IF (SELECT count(*) FROM payments p WHERE p.id = ANY (posted)) < cardinality(posted) THEN
        SELECT t.id INTO offender
          FROM new_transactions t
         WHERE (SELECT true FROM payments p WHERE p.id = t.payment_id) IS NULL
         LIMIT 1;
        RAISE EXCEPTION 'ledger transaction % posts a payment that does not exist', offender
            USING ERRCODE = 'foreign_key_violation',
                  CONSTRAINT = 'ledger_transactions_of_payment';
    END IF;
    RETURN NULL;
END
$$;

ALTER TABLE ledger_transactions DROP CONSTRAINT ledger_transactions_of_payment;

CREATE TRIGGER ledger_transactions_of_payment
    AFTER INSERT ON ledger_transactions
    REFERENCING NEW TABLE AS new_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_transactions_of_payment();

-- The same rules as in 0002. But its transactions are looked up together, not one by one: which one
-- is wrong is determined only if a count is wrong.
CREATE OR REPLACE FUNCTION entries_must_balance() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
    touched  uuid[];
    added    bigint;
    offender text;
BEGIN
    SELECT array_agg(sums.id), sum(sums.legs), min(sums.id::text) FILTER (WHERE sums.wrong)
      INTO touched, added, offender
      FROM (SELECT e.transaction_id AS id, count(*) AS legs,
                   sum(e.amount) <> 0 OR count(*) < 2 OR min(a.currency) <> max(a.currency)
                   OR count(a.id) <> count(*) AS wrong
              FROM new_entries e
              LEFT JOIN accounts a ON a.id = e.account_id
             GROUP BY e.transaction_id) sums;
    IF offender IS NULL
       AND ((SELECT count(*) FROM ledger_transactions t WHERE t.id = ANY (touched))
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
        offender := coalesce(offender, 'among many');
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
