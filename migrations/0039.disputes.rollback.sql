-- Refuses to drop data that cannot be restored: disputes, and what was posted for them. As in the
-- migration, each statement commits by itself and can be repeated.
SET lock_timeout = '5s';

DO $$
DECLARE
    has_disputes boolean;
BEGIN
    -- By name, because a repeated rollback finds no such table.
    IF to_regclass('disputes') IS NOT NULL THEN
        EXECUTE 'SELECT EXISTS (SELECT FROM disputes)' INTO has_disputes;
        IF has_disputes THEN
            RAISE EXCEPTION 'rolling back would drop disputes' USING ERRCODE = 'restrict_violation';
        END IF;
    END IF;
END
$$;

ALTER TABLE ledger_transactions
    DROP CONSTRAINT IF EXISTS ledger_transactions_kind_check,
    ADD CONSTRAINT ledger_transactions_kind_check CHECK
        (CASE kind WHEN 'payment' THEN refund_id IS NULL
                   WHEN 'refund' THEN refund_id IS NOT NULL
                   WHEN 'journal' THEN refund_id IS NULL AND payment_id = id
                   ELSE false
         END) NOT VALID;
ALTER TABLE ledger_transactions VALIDATE CONSTRAINT ledger_transactions_kind_check;

-- As in 0030.
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

DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION ledger_transactions_of_payment()'
                   ' SET search_path = pg_catalog, %I, pg_temp', current_schema());
END
$$;

-- Network events of disputes were acted on, or would be dropped by the version before.
DELETE FROM network_events WHERE payment_id IS NULL;
DROP INDEX IF EXISTS network_events_of_disputes;
ALTER TABLE network_events
    DROP CONSTRAINT IF EXISTS network_events_are_about_something,
    DROP COLUMN IF EXISTS dispute_reference,
    ALTER COLUMN payment_id SET NOT NULL;

ALTER TABLE accounts
    DROP CONSTRAINT IF EXISTS accounts_balance_in_bounds,
    ADD CONSTRAINT accounts_balance_in_bounds CHECK
        (allow_negative
         OR balance >= pending_out
            AND (merchant_id IS NULL OR balance + pending_in <= 9007199254740991)) NOT VALID;
ALTER TABLE accounts VALIDATE CONSTRAINT accounts_balance_in_bounds;
DROP TRIGGER IF EXISTS overdrafts_follow_disputes ON accounts;
DROP FUNCTION IF EXISTS overdrafts_follow_disputes();

DROP TRIGGER IF EXISTS refunds_leave_disputed ON payments;
DROP FUNCTION IF EXISTS refunds_leave_disputed();

DROP TABLE IF EXISTS disputes;
DROP FUNCTION IF EXISTS disputes_match_ledger();
DROP FUNCTION IF EXISTS disputes_of_payment();

-- The version before does not know the scopes of disputes: keys lose them, and those that have no other are
-- revoked.
DO $$
BEGIN
    ALTER TABLE api_keys DROP CONSTRAINT IF EXISTS api_keys_known_scopes;
    ALTER TABLE api_keys DISABLE TRIGGER api_keys_stay_whose_they_are;
    UPDATE api_keys
       SET scopes = array_remove(array_remove(scopes, 'disputes:read'), 'disputes:write')
     WHERE scopes && '{disputes:read,disputes:write}'
       AND NOT scopes <@ '{disputes:read,disputes:write}';
    UPDATE api_keys
       SET revoked_at = coalesce(revoked_at, now()), scopes = '{payments:read}'
     WHERE scopes <@ '{disputes:read,disputes:write}';
    ALTER TABLE api_keys ENABLE TRIGGER api_keys_stay_whose_they_are;
    ALTER TABLE api_keys
        ADD CONSTRAINT api_keys_known_scopes
        CHECK (cardinality(scopes) > 0 AND scopes <@
               '{payments:write,payments:read,accounts:write,accounts:read,refunds:write,events:read,
                 webhooks:read,webhooks:write,ledger:read,ledger:write}'::text[]);
END
$$;
