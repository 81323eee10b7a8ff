-- Nothing is lost: last_posted_at follows from the entries.
DROP TRIGGER accounts_times_never_fall ON accounts;
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

ALTER TABLE accounts DROP COLUMN last_posted_at;
