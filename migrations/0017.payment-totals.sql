-- Totals of payments by merchant, UTC day, currency and status, for the dashboard, which summed up to
-- 100,000 payments per request.
-- depends: 0016.origins
-- transactional: false

-- Runs while payments flow, also with the previous version of Atomic: a trigger keeps the totals. Each
-- statement commits by itself. The trigger locks payments against writers for a moment. The last
-- statement reads all payments once, about 3 seconds per million, and makes no transaction wait.
--
-- A statement that waits for its lock makes later transactions wait behind it. It gives up if a
-- transaction of another program, such as pg_dump, keeps it waiting. All statements can be repeated:
-- after that, or a kill, run the migration again.
SET lock_timeout = '5s';

-- Only payments that are not open: what is PENDING or PROCESSING is counted from its rows, of which
-- there are few. Accepting and claiming payments, and refunds that are not settled, change no total.
--
-- A total is the sum of its slots. A transaction takes a slot that no other open transaction has, so
-- that workers and requests do not wait for one another's totals, and cannot deadlock on them. A slot
-- contains what its transactions added less what they removed, and may be negative.
CREATE TABLE IF NOT EXISTS payment_totals (
    merchant_id uuid    NOT NULL,
    -- The UTC day on which the payments were created.
    day         date    NOT NULL,
    currency    text    NOT NULL,
    status      text    NOT NULL,
    slot        integer NOT NULL,
    payments    bigint  NOT NULL,
    -- In minor units. numeric: a thousand of the largest payments do not fit into a bigint.
    -- What was captured of payments that are SUCCESS, what was requested of the others.
    amount      numeric NOT NULL,
    refunded    numeric NOT NULL,
    fees        numeric NOT NULL,
    PRIMARY KEY (merchant_id, day, currency, status, slot)
)
-- Room on each page for new row versions: totals change in place, without touching the index.
WITH (fillfactor = 50);

-- What a payment contributes follows from its row, and that from the ledger (payments_match_ledger,
-- refunds_match_ledger, payments_refunded_follows_refunds). A statement adds what its new rows contribute
-- and subtracts what the old ones did.
-- With the rights of the owner, as in 0015: the application's role cannot change totals.
CREATE OR REPLACE FUNCTION payments_are_totaled() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER AS $$
DECLARE
    slots constant integer := 16;
    -- If all slots are taken: unique, because no two sessions have the same process.
    free_slot      integer := slots + pg_backend_pid();
BEGIN
    -- A claim, for example.
    IF NOT EXISTS (SELECT FROM new_payments n WHERE n.phase <> 'OPEN')
       AND NOT EXISTS (SELECT FROM old_payments o WHERE o.phase <> 'OPEN')
    THEN
        RETURN NULL;
    END IF;
    -- Does not wait. A later statement of the same transaction gets this slot or another free one.
    FOR number IN 0 .. slots - 1 LOOP
        IF pg_try_advisory_xact_lock('payment_totals'::regclass::integer,
                                     (pg_backend_pid() + number) % slots)
        THEN
            free_slot := (pg_backend_pid() + number) % slots;
            EXIT;
        END IF;
    END LOOP;
    INSERT INTO payment_totals AS total
           (merchant_id, day, currency, status, slot, payments, amount, refunded, fees)
    SELECT change.merchant_id, (change.created_at AT TIME ZONE 'UTC')::date, change.currency,
           change.status, free_slot, sum(change.payments), sum(change.amount), sum(change.refunded),
           sum(change.fees)
      FROM (SELECT n.merchant_id, n.created_at, n.currency, n.status, 1 AS payments,
                   CASE n.status WHEN 'SUCCESS' THEN coalesce(n.capture_amount, n.amount)
                                 ELSE n.amount
                   END AS amount,
                   coalesce(n.amount_refunded, 0) AS refunded, coalesce(n.fee_amount, 0) AS fees
              FROM new_payments n
             WHERE n.phase <> 'OPEN'
            UNION ALL
            SELECT o.merchant_id, o.created_at, o.currency, o.status, -1,
                   -CASE o.status WHEN 'SUCCESS' THEN coalesce(o.capture_amount, o.amount)
                                  ELSE o.amount
                    END,
                   -coalesce(o.amount_refunded, 0), -coalesce(o.fee_amount, 0)
              FROM old_payments o
             WHERE o.phase <> 'OPEN') change
     GROUP BY 1, 2, 3, 4
    HAVING (sum(change.payments), sum(change.amount), sum(change.refunded), sum(change.fees))
           <> (0, 0, 0, 0)
        ON CONFLICT (merchant_id, day, currency, status, slot) DO UPDATE
       SET payments = total.payments + excluded.payments, amount = total.amount + excluded.amount,
           refunded = total.refunded + excluded.refunded, fees = total.fees + excluded.fees;
    RETURN NULL;
END
$$;

-- Adds to the totals what is missing, in a slot of its own; returns how many totals were wrong. The
-- statement sees payments and totals at the same moment. What other transactions commit meanwhile
-- changes both by the same amount, so the difference stays right. The second of two concurrent calls
-- waits, and sees what the first has corrected.
CREATE OR REPLACE FUNCTION correct_payment_totals() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    correction_slot constant integer := -1;
    corrected       bigint;
BEGIN
    PERFORM pg_advisory_xact_lock('payment_totals'::regclass::integer, correction_slot);
    INSERT INTO payment_totals AS total
           (merchant_id, day, currency, status, slot, payments, amount, refunded, fees)
    SELECT difference.merchant_id, difference.day, difference.currency, difference.status,
           correction_slot, sum(difference.payments), sum(difference.amount),
           sum(difference.refunded), sum(difference.fees)
      FROM (SELECT p.merchant_id, (p.created_at AT TIME ZONE 'UTC')::date AS day, p.currency, p.status,
                   count(*) AS payments,
                   sum(CASE p.status WHEN 'SUCCESS' THEN coalesce(p.capture_amount, p.amount)
                                     ELSE p.amount
                       END) AS amount,
                   coalesce(sum(p.amount_refunded), 0) AS refunded,
                   coalesce(sum(p.fee_amount), 0) AS fees
              FROM payments p
             WHERE p.phase <> 'OPEN'
             GROUP BY 1, 2, 3, 4
            UNION ALL
            SELECT t.merchant_id, t.day, t.currency, t.status, -t.payments, -t.amount, -t.refunded,
                   -t.fees
              FROM payment_totals t) difference
     GROUP BY 1, 2, 3, 4
    HAVING (sum(difference.payments), sum(difference.amount), sum(difference.refunded),
            sum(difference.fees)) <> (0, 0, 0, 0)
        ON CONFLICT (merchant_id, day, currency, status, slot) DO UPDATE
       SET payments = total.payments + excluded.payments,
           amount = total.amount + excluded.amount,
           refunded = total.refunded + excluded.refunded,
           fees = total.fees + excluded.fees;
    GET DIAGNOSTICS corrected = ROW_COUNT;
    RETURN corrected;
END
$$;

-- Without a search_path of its own a function reads the caller's temporary tables first.
DO $$
DECLARE
    own_function text;
BEGIN
    FOREACH own_function IN ARRAY '{payments_are_totaled, correct_payment_totals}'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = pg_catalog, %I, pg_temp',
                       own_function, current_schema());
    END LOOP;
END
$$;

-- Not for INSERT: a payment begins as PENDING (payments_begin_pending).
CREATE OR REPLACE TRIGGER payments_are_totaled
    AFTER UPDATE ON payments
    REFERENCING OLD TABLE AS old_payments NEW TABLE AS new_payments
    FOR EACH STATEMENT EXECUTE FUNCTION payments_are_totaled();

CREATE OR REPLACE TRIGGER payment_totals_are_kept
    BEFORE DELETE OR TRUNCATE ON payment_totals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('they follow from payments');

-- What was there before the trigger.
DO $$
BEGIN
    PERFORM correct_payment_totals();
END
$$;

REVOKE EXECUTE ON FUNCTION payments_are_totaled(), correct_payment_totals() FROM PUBLIC;
