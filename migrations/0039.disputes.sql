-- Disputes: what card networks withdraw again of succeeded payments.
-- depends: 0036.customer-actions
-- transactional: false

-- Runs while payments flow, also with the previous version of Atomic, which records no disputes. Each
-- statement commits by itself and locks one table for a moment: api_keys, accounts, network_events and
-- ledger_transactions against readers and writers. The validations read accounts and ledger_transactions
-- once, about a second per some million rows, and make no transaction wait. No table is rewritten.
--
-- A statement that waits for its lock makes later transactions wait behind it. It gives up if a
-- transaction of another program, such as pg_dump, keeps it waiting. All statements can be repeated:
-- after that, or a kill, run the migration again.
SET lock_timeout = '5s';

-- The scopes disputes:read and disputes:write. API keys never change, so those that exist do not get them.
ALTER TABLE api_keys
    DROP CONSTRAINT IF EXISTS api_keys_known_scopes,
    ADD CONSTRAINT api_keys_known_scopes
        CHECK (cardinality(scopes) > 0 AND scopes <@
               '{payments:write,payments:read,accounts:write,accounts:read,refunds:write,events:read,
                 webhooks:read,webhooks:write,ledger:read,ledger:write,disputes:read,disputes:write}'::text[])
        NOT VALID;
ALTER TABLE api_keys VALIDATE CONSTRAINT api_keys_known_scopes;

CREATE TABLE IF NOT EXISTS disputes (
    id                uuid        PRIMARY KEY,
    -- Its payment is this merchant's, in this account, currency and network: disputes_of_payment.
    merchant_id       uuid        NOT NULL,
    payment_id        uuid        NOT NULL,
    account_id        uuid        NOT NULL,
    network           text        COLLATE "C" NOT NULL CHECK (octet_length(network) BETWEEN 1 AND 30),
    -- The network's id of the dispute.
    network_reference text        COLLATE "C" NOT NULL
                                  CHECK (octet_length(network_reference) BETWEEN 1 AND 255),
    status            text        NOT NULL
                                  CHECK (status IN ('NEEDS_RESPONSE', 'UNDER_REVIEW', 'WON', 'LOST')),
    -- In minor units, as the fees.
    amount            bigint      NOT NULL CHECK (amount BETWEEN 1 AND 9007199254740991),
    currency          text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    -- Of the network, debited with the amount; and the part of it that a won dispute returned.
    fee               bigint      NOT NULL CHECK (fee BETWEEN 0 AND 9007199254740991),
    fee_returned      bigint      NOT NULL DEFAULT 0,
    -- The network's word.
    reason            text        NOT NULL CHECK (octet_length(reason) BETWEEN 1 AND 200),
    evidence_due_at   timestamptz CHECK (isfinite(evidence_due_at)),
    evidence          jsonb,
    -- What the merchant wants to be sent to the network, until it is confirmed.
    pending_response  text        CHECK (pending_response IN ('evidence', 'acceptance')),
    response_failure  text,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    closed_at         timestamptz,
    -- When the network is called next; NULL once it is closed.
    due_at            timestamptz,
    -- How often it was claimed, and the calls in a row without an answer.
    attempt           integer     NOT NULL DEFAULT 0,
    faults            smallint    NOT NULL DEFAULT 0 CHECK (faults >= 0),
    CONSTRAINT disputes_once_per_reference UNIQUE (network, network_reference),
    CONSTRAINT disputes_fee_returned_of_won
        CHECK (CASE WHEN status = 'WON' THEN fee_returned BETWEEN 0 AND fee ELSE fee_returned = 0 END),
    CONSTRAINT disputes_answered_while_open
        CHECK (pending_response IS NULL OR status = 'NEEDS_RESPONSE'),
    CONSTRAINT disputes_evidence_is_there
        CHECK (pending_response IS DISTINCT FROM 'evidence' OR evidence IS NOT NULL),
    CONSTRAINT disputes_closed_once
        CHECK (CASE WHEN status IN ('WON', 'LOST') THEN closed_at IS NOT NULL AND due_at IS NULL
                    ELSE closed_at IS NULL AND due_at IS NOT NULL
               END)
);

CREATE INDEX IF NOT EXISTS disputes_of_merchant
    ON disputes (merchant_id, status, created_at, id);
CREATE INDEX IF NOT EXISTS disputes_by_time ON disputes (created_at, id);
CREATE INDEX IF NOT EXISTS disputes_of_payment ON disputes (payment_id);
CREATE INDEX IF NOT EXISTS disputes_due ON disputes (network, due_at, id) WHERE due_at IS NOT NULL;

CREATE OR REPLACE TRIGGER disputes_begin
    BEFORE INSERT ON disputes
    FOR EACH ROW
    WHEN (NEW.status <> 'NEEDS_RESPONSE' OR NEW.pending_response IS NOT NULL OR NEW.attempt <> 0)
    EXECUTE FUNCTION refuse_change('a dispute begins as NEEDS_RESPONSE');

CREATE OR REPLACE TRIGGER disputes_follow_their_states
    BEFORE UPDATE ON disputes
    FOR EACH ROW
    WHEN (OLD.status IN ('WON', 'LOST')
          OR OLD.status = 'UNDER_REVIEW' AND NEW.status = 'NEEDS_RESPONSE'
          OR NEW.attempt < OLD.attempt
          OR (OLD.id, OLD.merchant_id, OLD.payment_id, OLD.account_id, OLD.network,
              OLD.network_reference, OLD.amount, OLD.currency, OLD.fee, OLD.reason, OLD.created_at)
             IS DISTINCT FROM
             (NEW.id, NEW.merchant_id, NEW.payment_id, NEW.account_id, NEW.network,
              NEW.network_reference, NEW.amount, NEW.currency, NEW.fee, NEW.reason, NEW.created_at))
    EXECUTE FUNCTION refuse_change('a closed dispute is final, and no dispute goes back');

CREATE OR REPLACE TRIGGER disputes_are_kept
    BEFORE DELETE OR TRUNCATE ON disputes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('disputes are kept for ever');

-- A dispute is of a success, of which not more is disputed than was captured. Locks the payment, so that
-- concurrent disputes and refunds are seen.
CREATE OR REPLACE FUNCTION disputes_of_payment() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER
SET enable_seqscan = off AS $$
DECLARE
    captured bigint;
BEGIN
    SELECT coalesce(p.capture_amount, p.amount) INTO captured
      FROM payments p
     WHERE p.id = NEW.payment_id
       AND p.status = 'SUCCESS'
       AND (p.merchant_id, p.account_id, p.currency, p.network)
           = (NEW.merchant_id, NEW.account_id, NEW.currency, NEW.network)
       FOR NO KEY UPDATE;
    IF captured IS NULL
       OR (SELECT sum(d.amount) FROM disputes d
            WHERE d.payment_id = NEW.payment_id AND d.status <> 'WON') > captured
    THEN
        RAISE EXCEPTION 'dispute % is not of a success, or more is disputed than was captured', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'disputes_of_payment';
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER disputes_of_payment
    AFTER INSERT ON disputes
    FOR EACH ROW EXECUTE FUNCTION disputes_of_payment();

-- At the commit: its opening debits the merchant's account by amount and fee and credits World; if it is
-- WON, and only then, its reversal returns the amount and the part of the fee that was returned. Each is
-- posted at most once (ledger_transactions_once_per_payment), and nothing is added to it later
-- (entries_must_balance).
CREATE OR REPLACE FUNCTION disputes_match_ledger() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER
SET enable_seqscan = off AS $$
BEGIN
    IF (SELECT (SELECT count(*)
                  FROM ledger_transactions t
                 WHERE t.payment_id = d.id AND t.kind IN ('dispute', 'dispute_reversal'))
               = CASE d.status WHEN 'WON' THEN 2 ELSE 1 END
               AND (SELECT count(*) = CASE d.status WHEN 'WON' THEN 4 ELSE 2 END
                           AND sum(CASE
                                       WHEN t.kind = 'dispute'
                                            AND e.account_id = d.account_id
                                            AND e.amount = -d.amount - d.fee THEN 1
                                       WHEN t.kind = 'dispute' AND a.merchant_id IS NULL
                                            AND (a.type, a.currency) = ('asset', d.currency)
                                            AND e.amount = d.amount + d.fee THEN 2
                                       WHEN t.kind = 'dispute_reversal'
                                            AND e.account_id = d.account_id
                                            AND e.amount = d.amount + d.fee_returned THEN 4
                                       WHEN t.kind = 'dispute_reversal' AND a.merchant_id IS NULL
                                            AND (a.type, a.currency) = ('asset', d.currency)
                                            AND e.amount = -d.amount - d.fee_returned THEN 8
                                       ELSE 100
                                   END)
                               = CASE d.status WHEN 'WON' THEN 15 ELSE 3 END
                      FROM ledger_transactions t
                      JOIN entries e ON e.transaction_id = t.id
                      JOIN accounts a ON a.id = e.account_id
                     WHERE t.payment_id = d.id AND t.kind IN ('dispute', 'dispute_reversal'))
          FROM disputes d
         WHERE d.id = NEW.id) IS NOT TRUE
    THEN
        RAISE EXCEPTION 'dispute % does not match the ledger', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'disputes_match_ledger';
    END IF;
    RETURN NULL;
END
$$;

-- OR REPLACE is not possible for constraint triggers.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger
                    WHERE tgrelid = 'disputes'::regclass AND tgname = 'disputes_match_ledger')
    THEN
        CREATE CONSTRAINT TRIGGER disputes_match_ledger
            AFTER INSERT OR UPDATE OF status, fee_returned ON disputes
            DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION disputes_match_ledger();
    END IF;
END
$$;

-- A new refund leaves what is disputed. A dispute of what has been refunded is not refused: the network
-- decides, and its word is recorded.
CREATE OR REPLACE FUNCTION refunds_leave_disputed() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER
SET enable_seqscan = off AS $$
BEGIN
    IF NEW.refunds_reserved
       + coalesce((SELECT sum(d.amount) FROM disputes d
                    WHERE d.payment_id = NEW.id AND d.status <> 'WON'), 0)
       > coalesce(NEW.capture_amount, NEW.amount)
    THEN
        RAISE EXCEPTION 'a refund of payment % would pay out what is disputed', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'refunds_leave_disputed';
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER refunds_leave_disputed
    AFTER UPDATE OF refunds_reserved ON payments
    FOR EACH ROW
    WHEN (coalesce(NEW.refunds_reserved, 0) > coalesce(OLD.refunds_reserved, 0))
    EXECUTE FUNCTION refunds_leave_disputed();

-- At the commit: only disputes take a merchant's account below what is reserved of it, or below zero. An
-- account that is there may change if no less of it is available than before.
CREATE OR REPLACE FUNCTION overdrafts_follow_disputes() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER
SET enable_seqscan = off AS $$
DECLARE
    -- Holds are released before what they reserve is posted: both are one change.
    reserved_before constant bigint :=
        CASE WHEN NEW.summed_by = pg_current_xact_id() AND NEW.summed_since = now()
             THEN NEW.pending_out_before
             ELSE OLD.pending_out
        END;
    disputed        bigint;
BEGIN
    SELECT coalesce(sum(e.amount), 0) INTO disputed
      FROM entries e
      JOIN ledger_transactions t ON t.id = e.transaction_id
     WHERE e.account_id = NEW.id
       AND e.sequence > OLD.sequence
       AND e.sequence <= NEW.sequence
       AND t.kind = 'dispute';
    IF NEW.balance - NEW.pending_out < OLD.balance - reserved_before + disputed THEN
        RAISE EXCEPTION 'account % would have less than is reserved of it', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'accounts_balance_in_bounds';
    END IF;
    RETURN NULL;
END
$$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger
                    WHERE tgrelid = 'accounts'::regclass AND tgname = 'overdrafts_follow_disputes')
    THEN
        CREATE CONSTRAINT TRIGGER overdrafts_follow_disputes
            AFTER UPDATE ON accounts
            DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW
            WHEN (NOT NEW.allow_negative
                  AND NEW.balance < NEW.pending_out
                  AND NEW.balance - NEW.pending_out < OLD.balance - OLD.pending_out)
            EXECUTE FUNCTION overdrafts_follow_disputes();
    END IF;
END
$$;

-- After the trigger, so that the lower bound of a merchant's account is guarded at any time. It is below
-- what JSON readers keep exact in no case.
ALTER TABLE accounts
    DROP CONSTRAINT IF EXISTS accounts_balance_in_bounds,
    ADD CONSTRAINT accounts_balance_in_bounds CHECK
        (allow_negative
         OR CASE WHEN merchant_id IS NULL THEN balance >= pending_out
                 ELSE balance >= -9007199254740991 AND balance + pending_in <= 9007199254740991
            END) NOT VALID;
ALTER TABLE accounts VALIDATE CONSTRAINT accounts_balance_in_bounds;

-- Events of disputes name no payment of ours: the network knows it.
ALTER TABLE network_events
    ADD COLUMN IF NOT EXISTS dispute_reference text COLLATE "C"
        CHECK (octet_length(dispute_reference) BETWEEN 1 AND 255),
    ALTER COLUMN payment_id DROP NOT NULL,
    DROP CONSTRAINT IF EXISTS network_events_are_about_something,
    ADD CONSTRAINT network_events_are_about_something
        CHECK (payment_id IS NOT NULL OR dispute_reference IS NOT NULL);
CREATE INDEX IF NOT EXISTS network_events_of_disputes
    ON network_events (network, due_at, id)
    WHERE due_at IS NOT NULL AND dispute_reference IS NOT NULL;

-- As in 0030, and for disputes: the subject of their ledger transactions, which is in payment_id, is the
-- dispute. It is there before its opening is posted, and WON before its reversal is, so that
-- disputes_match_ledger checks both at the commit.
CREATE OR REPLACE FUNCTION ledger_transactions_of_payment() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER
SET enable_seqscan = off AS $$
DECLARE
    offender uuid;
BEGIN
    IF (SELECT t.kind FROM new_transactions t LIMIT 1) IN ('journal', 'dispute', 'dispute_reversal') THEN
        SELECT t.id INTO offender
          FROM new_transactions t
         WHERE CASE t.kind
                   WHEN 'journal'
                   THEN (SELECT j.status = 'POSTED' FROM journal_transactions j WHERE j.id = t.id)
                   WHEN 'dispute'
                   THEN (SELECT true FROM disputes d WHERE d.id = t.payment_id)
                   WHEN 'dispute_reversal'
                   THEN (SELECT d.status = 'WON' FROM disputes d WHERE d.id = t.payment_id)
               END IS NOT TRUE
         LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'ledger transaction % posts a journal transaction that does not exist or is not POSTED, or a dispute that does not exist or is not WON',
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

-- Last: from here on disputes can be posted.
ALTER TABLE ledger_transactions
    DROP CONSTRAINT IF EXISTS ledger_transactions_kind_check,
    ADD CONSTRAINT ledger_transactions_kind_check CHECK
        (CASE kind WHEN 'payment' THEN refund_id IS NULL
                   WHEN 'refund' THEN refund_id IS NOT NULL
                   WHEN 'journal' THEN refund_id IS NULL AND payment_id = id
                   WHEN 'dispute' THEN refund_id IS NULL
                   WHEN 'dispute_reversal' THEN refund_id IS NULL
                   ELSE false
         END) NOT VALID;
ALTER TABLE ledger_transactions VALIDATE CONSTRAINT ledger_transactions_kind_check;

-- Without a search_path of its own a function reads the caller's temporary tables first.
DO $$
DECLARE
    guard text;
BEGIN
    FOREACH guard IN ARRAY '{
        disputes_match_ledger, disputes_of_payment, ledger_transactions_of_payment,
        overdrafts_follow_disputes, refunds_leave_disputed
    }'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = pg_catalog, %I, pg_temp',
                       guard, current_schema());
    END LOOP;
END
$$;

REVOKE EXECUTE ON FUNCTION
    disputes_match_ledger(), disputes_of_payment(), overdrafts_follow_disputes(),
    refunds_leave_disputed()
    FROM PUBLIC;
