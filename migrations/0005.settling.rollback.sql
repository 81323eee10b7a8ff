DROP INDEX payments_open;
-- The end of a lease becomes due_at again.
UPDATE payments SET due_at = leased_until WHERE is_open AND leased_until IS NOT NULL;
ALTER TABLE payments DROP COLUMN leased_until, DROP COLUMN is_open;
ALTER TABLE payments
    RESET (fillfactor, autovacuum_vacuum_scale_factor, autovacuum_analyze_scale_factor);
CREATE INDEX payments_open ON payments (due_at, id)
    WHERE status IN ('PENDING', 'PROCESSING');

DROP TRIGGER ledger_transactions_of_payment ON ledger_transactions;
DROP FUNCTION ledger_transactions_of_payment();
ALTER TABLE ledger_transactions
    ADD CONSTRAINT ledger_transactions_of_payment
    FOREIGN KEY (payment_id) REFERENCES payments (id);

-- As in 0002.
CREATE OR REPLACE FUNCTION entries_must_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    offender text;
BEGIN
    SELECT e.transaction_id INTO offender
      FROM new_entries e
      LEFT JOIN accounts a ON a.id = e.account_id
     GROUP BY e.transaction_id
    HAVING sum(e.amount) <> 0 OR count(*) < 2 OR min(a.currency) <> max(a.currency)
        OR count(a.id) <> count(*)
        OR (SELECT true FROM ledger_transactions t WHERE t.id = e.transaction_id) IS NULL
        -- All of it at once: nothing is added to a transaction later.
        OR count(*) <> (SELECT count(*) FROM entries whole
                         WHERE whole.transaction_id = e.transaction_id)
     LIMIT 1;
    IF FOUND THEN
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
