-- All steps of a payment: holds, captures, voids, refunds, fees.
-- depends: 0007.claimants

-- Accounts get a type and pending amounts.
ALTER TABLE accounts
    ADD COLUMN type text NOT NULL DEFAULT 'liability'
        CHECK (type IN ('asset', 'liability', 'equity', 'revenue', 'expense')),
    -- Sums of the account's live holds: into the account, and out of it.
    ADD COLUMN pending_in  bigint NOT NULL DEFAULT 0,
    ADD COLUMN pending_out bigint NOT NULL DEFAULT 0;

UPDATE accounts SET type = 'asset' WHERE merchant_id IS NULL;

ALTER TABLE accounts
    DROP CONSTRAINT accounts_balance_in_bounds,
    DROP CONSTRAINT accounts_only_world_goes_negative,
    -- An amount that is held is not available; there must be room for one that may come in.
    ADD CONSTRAINT accounts_balance_in_bounds
        CHECK (allow_negative
               OR balance >= pending_out
                  AND (merchant_id IS NULL OR balance + pending_in <= 9007199254740991)),
    ADD CONSTRAINT accounts_pending_not_negative CHECK (pending_in >= 0 AND pending_out >= 0),
    ADD CONSTRAINT accounts_only_world_goes_negative CHECK (allow_negative = (type = 'asset')),
    -- The balance of a merchant's account is owed to the merchant.
    ADD CONSTRAINT accounts_type_of_owner CHECK ((merchant_id IS NOT NULL) = (type = 'liability'));

DROP INDEX accounts_one_world_per_currency;
CREATE UNIQUE INDEX accounts_one_of_the_house
    ON accounts (currency, type) WHERE merchant_id IS NULL;

DROP TRIGGER accounts_keep_their_identity ON accounts;
CREATE TRIGGER accounts_keep_their_identity
    BEFORE UPDATE ON accounts
    FOR EACH ROW
    WHEN ((OLD.id, OLD.merchant_id, OLD.currency, OLD.type, OLD.allow_negative, OLD.created_at)
          IS DISTINCT FROM
          (NEW.id, NEW.merchant_id, NEW.currency, NEW.type, NEW.allow_negative, NEW.created_at))
    EXECUTE FUNCTION refuse_change('only the balance and the name of an account may change');

CREATE TRIGGER accounts_pending_follows_holds
    BEFORE UPDATE OF pending_in, pending_out ON accounts
    FOR EACH ROW
    WHEN (pg_trigger_depth() = 0
          AND (OLD.pending_in, OLD.pending_out) IS DISTINCT FROM (NEW.pending_in, NEW.pending_out))
    EXECUTE FUNCTION refuse_change('what is pending follows from holds');

CREATE TRIGGER accounts_begin_without_pending
    BEFORE INSERT ON accounts
    FOR EACH ROW
    WHEN (NEW.pending_in <> 0 OR NEW.pending_out <> 0)
    EXECUTE FUNCTION refuse_change('what is pending follows from holds');

-- A merchant's fee per payment in a currency; without a row there is none.
CREATE TABLE fee_schedules (
    merchant_id  uuid        NOT NULL REFERENCES merchants (id),
    currency     text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    basis_points integer     NOT NULL CHECK (basis_points BETWEEN 0 AND 10000),
    -- In minor units.
    fixed        bigint      NOT NULL CHECK (fixed BETWEEN 0 AND 9007199254740991),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (merchant_id, currency)
);

-- Payments. A column that most of them do not use is NULL: it then takes no space in the row.
DROP INDEX payments_open;
ALTER TABLE payments
    DROP CONSTRAINT payments_status_check,
    DROP COLUMN is_open,
    ADD COLUMN capture text NOT NULL DEFAULT 'automatic'
        CHECK (capture IN ('automatic', 'manual')),
    -- Its current step, or its last one.
    ADD COLUMN step text NOT NULL DEFAULT 'charge'
        CHECK (step IN ('charge', 'authorize', 'capture', 'void', 'expire')),
    ADD COLUMN metadata jsonb,
    -- Of the request that created it.
    ADD COLUMN request_id text,
    -- The time of its first claim.
    ADD COLUMN claimed_at timestamptz,
    -- The end of its hold, if it has one.
    ADD COLUMN expires_at timestamptz,
    -- The part of the hold that is to be captured.
    ADD COLUMN capture_amount bigint,
    ADD COLUMN cancellation_reason text,
    -- The fee, a part of the captured amount.
    ADD COLUMN fee_amount bigint,
    -- Sums of its refunds: of those that have not failed, and of those that succeeded.
    ADD COLUMN refunds_reserved bigint,
    ADD COLUMN amount_refunded bigint,
    -- Like its status, but the same while it is open: a claim then changes no indexed column, and
    -- the row's new version stays on its page (HOT). No index may contain the status.
    ADD COLUMN phase text NOT NULL GENERATED ALWAYS AS
        (CASE WHEN status IN ('PENDING', 'PROCESSING') THEN 'OPEN' ELSE status END) STORED,
    ADD CONSTRAINT payments_status_check CHECK
        (status IN ('PENDING', 'PROCESSING', 'AUTHORIZED', 'SUCCESS', 'FAILED', 'CANCELED')),
    ADD CONSTRAINT payments_only_manual_are_held CHECK
        (CASE capture
              WHEN 'automatic' THEN step = 'charge' AND status NOT IN ('AUTHORIZED', 'CANCELED')
              ELSE step <> 'charge'
         END),
    ADD CONSTRAINT payments_hold_has_end CHECK
        (status <> 'AUTHORIZED' OR step = 'authorize' AND expires_at IS NOT NULL),
    ADD CONSTRAINT payments_capture_within_hold CHECK
        (capture_amount IS NULL OR step = 'capture' AND capture_amount BETWEEN 1 AND amount),
    ADD CONSTRAINT payments_canceled_has_reason CHECK
        (status <> 'CANCELED' OR cancellation_reason IS NOT NULL),
    ADD CONSTRAINT payments_fee_within_capture CHECK
        (fee_amount IS NULL
         OR status = 'SUCCESS' AND fee_amount BETWEEN 1 AND coalesce(capture_amount, amount)),
    -- No more is refunded than was captured.
    ADD CONSTRAINT payments_refunds_within_capture CHECK
        (refunds_reserved IS NULL AND amount_refunded IS NULL
         OR status = 'SUCCESS'
            AND coalesce(amount_refunded, 0) BETWEEN 0 AND refunds_reserved
            AND refunds_reserved <= coalesce(capture_amount, amount));

-- Open work only: it stays small however many payments are settled.
CREATE INDEX payments_open ON payments (due_at, id) WHERE phase = 'OPEN';
CREATE INDEX payments_held ON payments (expires_at, id) WHERE phase = 'AUTHORIZED';

DROP TRIGGER payments_begin_pending ON payments;
CREATE TRIGGER payments_begin_pending
    BEFORE INSERT ON payments
    FOR EACH ROW
    WHEN (NEW.status <> 'PENDING' OR NEW.attempt <> 0
          OR NEW.step NOT IN ('charge', 'authorize')
          OR NEW.refunds_reserved IS NOT NULL)
    EXECUTE FUNCTION refuse_change('a payment begins as PENDING');

DROP TRIGGER payments_settled_are_final ON payments;
CREATE TRIGGER payments_settled_are_final
    BEFORE UPDATE ON payments
    FOR EACH ROW
    WHEN (OLD.status IN ('FAILED', 'CANCELED')
          -- After a success only the sums of its refunds change.
          OR OLD.status = 'SUCCESS'
             AND (OLD.status, OLD.step, OLD.failure_reason, OLD.attempt, OLD.faults, OLD.due_at,
                  OLD.leased_until, OLD.claimed_by, OLD.claimed_at, OLD.expires_at,
                  OLD.capture_amount, OLD.cancellation_reason, OLD.fee_amount)
                 IS DISTINCT FROM
                 (NEW.status, NEW.step, NEW.failure_reason, NEW.attempt, NEW.faults, NEW.due_at,
                  NEW.leased_until, NEW.claimed_by, NEW.claimed_at, NEW.expires_at,
                  NEW.capture_amount, NEW.cancellation_reason, NEW.fee_amount)
          -- A hold is resolved once: by the first step after it.
          OR OLD.status = 'AUTHORIZED'
             AND (NEW.status <> 'PROCESSING' OR NEW.attempt <= OLD.attempt
                  OR NEW.step NOT IN ('capture', 'void', 'expire')
                  OR NEW.step = 'expire' AND OLD.expires_at > now())
          OR OLD.status IN ('PENDING', 'PROCESSING')
             AND (NEW.step <> OLD.step
                  OR NEW.capture_amount IS DISTINCT FROM OLD.capture_amount
                  OR NEW.status = 'AUTHORIZED' AND OLD.step <> 'authorize'
                  OR NEW.status = 'CANCELED' AND OLD.step NOT IN ('void', 'expire')
                  OR NEW.status = 'SUCCESS' AND OLD.step NOT IN ('charge', 'capture'))
          -- The fencing token: with a lower attempt a stale claim could be settled.
          OR NEW.attempt < OLD.attempt)
    EXECUTE FUNCTION refuse_change('a settled payment is final');

-- A trigger of its own, so that it runs only for statements that name one of these columns, which
-- claiming and settling do not.
CREATE TRIGGER payments_keep_their_purpose
    BEFORE UPDATE OF id, merchant_id, account_id, amount, currency, source, description,
                     idempotency_key, webhook_url, created_at, capture, metadata, request_id
    ON payments
    FOR EACH ROW
    WHEN ((OLD.id, OLD.merchant_id, OLD.account_id, OLD.amount, OLD.currency, OLD.source,
           OLD.description, OLD.idempotency_key, OLD.webhook_url, OLD.created_at, OLD.capture,
           OLD.metadata, OLD.request_id)
          IS DISTINCT FROM
          (NEW.id, NEW.merchant_id, NEW.account_id, NEW.amount, NEW.currency, NEW.source,
           NEW.description, NEW.idempotency_key, NEW.webhook_url, NEW.created_at, NEW.capture,
           NEW.metadata, NEW.request_id))
    EXECUTE FUNCTION refuse_change('what a payment is for is final');

CREATE TRIGGER payments_refunded_follows_refunds
    BEFORE UPDATE OF refunds_reserved, amount_refunded ON payments
    FOR EACH ROW
    WHEN (pg_trigger_depth() = 0
          AND (OLD.refunds_reserved, OLD.amount_refunded)
              IS DISTINCT FROM (NEW.refunds_reserved, NEW.amount_refunded))
    EXECUTE FUNCTION refuse_change('what is refunded follows from refunds');

-- Refunds. Work items like payments: a row that is PENDING or PROCESSING is its queue entry.
CREATE TABLE refunds (
    id              uuid        PRIMARY KEY,
    payment_id      uuid        NOT NULL REFERENCES payments (id),
    -- Those of the payment.
    merchant_id     uuid        NOT NULL,
    account_id      uuid        NOT NULL,
    currency        text        NOT NULL,
    amount          bigint      NOT NULL CHECK (amount BETWEEN 1 AND 9007199254740991),
    reason          text,
    metadata        jsonb,
    status          text        NOT NULL DEFAULT 'PENDING'
                    CHECK (status IN ('PENDING', 'PROCESSING', 'SUCCESS', 'FAILED')),
    failure_reason  text,
    idempotency_key text,
    request_id      text,
    -- As in payments.
    attempt         integer     NOT NULL DEFAULT 0,
    faults          smallint    NOT NULL DEFAULT 0,
    due_at          timestamptz NOT NULL DEFAULT now(),
    leased_until    timestamptz,
    claimed_by      integer,
    claimed_at      timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    phase           text        NOT NULL GENERATED ALWAYS AS
        (CASE WHEN status IN ('PENDING', 'PROCESSING') THEN 'OPEN' ELSE status END) STORED,
    CONSTRAINT refunds_failed_has_reason
        CHECK ((status = 'FAILED') = (failure_reason IS NOT NULL))
)
WITH (fillfactor = 50);

CREATE INDEX refunds_open ON refunds (due_at, id) WHERE phase = 'OPEN';
CREATE INDEX refunds_of_payment ON refunds (payment_id, created_at, id);

CREATE TRIGGER refunds_begin_pending
    BEFORE INSERT ON refunds
    FOR EACH ROW
    WHEN (NEW.status <> 'PENDING' OR NEW.attempt <> 0)
    EXECUTE FUNCTION refuse_change('a refund begins as PENDING');

CREATE TRIGGER refunds_settled_are_final
    BEFORE UPDATE ON refunds
    FOR EACH ROW
    WHEN (OLD.status IN ('SUCCESS', 'FAILED')
          OR NEW.attempt < OLD.attempt
          OR (OLD.id, OLD.payment_id, OLD.merchant_id, OLD.account_id, OLD.currency, OLD.amount,
              OLD.reason, OLD.metadata, OLD.idempotency_key, OLD.request_id, OLD.created_at)
             IS DISTINCT FROM
             (NEW.id, NEW.payment_id, NEW.merchant_id, NEW.account_id, NEW.currency, NEW.amount,
              NEW.reason, NEW.metadata, NEW.idempotency_key, NEW.request_id, NEW.created_at))
    EXECUTE FUNCTION refuse_change('a settled refund, and what a refund is for, are final');

CREATE TRIGGER refunds_are_kept
    BEFORE DELETE OR TRUNCATE ON refunds
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('refunds are kept for ever');

-- A payment's sums follow from its refunds, and a constraint limits them: concurrent refunds wait here
-- for the payment's row.
CREATE FUNCTION refunds_are_summed() RETURNS trigger LANGUAGE plpgsql
-- A plan is made while the table is small and kept when it is large: it must not read a whole table.
SET enable_seqscan = off AS $$
DECLARE
    offender uuid;
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT n.id INTO offender
          FROM new_refunds n
          JOIN payments p ON p.id = n.payment_id
         WHERE (p.merchant_id, p.account_id, p.currency)
               IS DISTINCT FROM (n.merchant_id, n.account_id, n.currency)
         LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'refund % is of another account than its payment', offender
                USING ERRCODE = 'check_violation', CONSTRAINT = 'refunds_of_payments_account';
        END IF;
        UPDATE payments
           SET refunds_reserved = coalesce(payments.refunds_reserved, 0) + asked.amount,
               updated_at = statement_timestamp()
          FROM (SELECT payment_id, sum(amount)::bigint AS amount
                  FROM new_refunds GROUP BY payment_id) asked
         WHERE payments.id = asked.payment_id;
    ELSE
        UPDATE payments
           SET refunds_reserved = payments.refunds_reserved - ended.lost,
               amount_refunded = coalesce(payments.amount_refunded, 0) + ended.paid,
               updated_at = statement_timestamp()
          FROM (SELECT n.payment_id,
                       coalesce(sum(n.amount) FILTER (WHERE n.status = 'FAILED'), 0)::bigint AS lost,
                       coalesce(sum(n.amount) FILTER (WHERE n.status = 'SUCCESS'), 0)::bigint AS paid
                  FROM new_refunds n
                  JOIN old_refunds o ON o.id = n.id
                 WHERE o.phase = 'OPEN' AND n.phase <> 'OPEN'
                 GROUP BY n.payment_id) ended
         WHERE payments.id = ended.payment_id;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER refunds_are_summed_when_asked
    AFTER INSERT ON refunds
    REFERENCING NEW TABLE AS new_refunds
    FOR EACH STATEMENT EXECUTE FUNCTION refunds_are_summed();

CREATE TRIGGER refunds_are_summed_when_ended
    AFTER UPDATE ON refunds
    REFERENCING OLD TABLE AS old_refunds NEW TABLE AS new_refunds
    FOR EACH STATEMENT EXECUTE FUNCTION refunds_are_summed();

-- Holds: reserved amounts. One for a payment that is authorized, one for a refund in progress.
CREATE TABLE holds (
    payment_id        uuid        NOT NULL REFERENCES payments (id),
    refund_id         uuid        REFERENCES refunds (id),
    -- The accounts that its posting will debit and credit.
    debit_account_id  uuid        NOT NULL REFERENCES accounts (id),
    credit_account_id uuid        NOT NULL REFERENCES accounts (id),
    amount            bigint      NOT NULL CHECK (amount BETWEEN 1 AND 9007199254740991),
    placed_at         timestamptz NOT NULL,
    -- When it was posted, in full or in part, or released.
    released_at       timestamptz,
    CONSTRAINT holds_once UNIQUE NULLS NOT DISTINCT (payment_id, refund_id),
    CONSTRAINT holds_between_two CHECK (debit_account_id <> credit_account_id)
);

CREATE TRIGGER holds_are_released_once
    BEFORE UPDATE ON holds
    FOR EACH ROW
    WHEN (OLD.released_at IS NOT NULL
          OR (OLD.payment_id, OLD.refund_id, OLD.debit_account_id, OLD.credit_account_id,
              OLD.amount, OLD.placed_at)
             IS DISTINCT FROM
             (NEW.payment_id, NEW.refund_id, NEW.debit_account_id, NEW.credit_account_id,
              NEW.amount, NEW.placed_at))
    EXECUTE FUNCTION refuse_change('a hold is released once, and nothing else of it changes');

CREATE TRIGGER holds_begin_live
    BEFORE INSERT ON holds
    FOR EACH ROW
    WHEN (NEW.released_at IS NOT NULL)
    EXECUTE FUNCTION refuse_change('a hold is placed before it is released');

CREATE TRIGGER holds_are_kept
    BEFORE DELETE OR TRUNCATE ON holds
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('holds are released, not deleted');

-- What is pending in an account follows from holds, and only from them.
CREATE FUNCTION holds_are_summed() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
BEGIN
    UPDATE accounts
       SET pending_in = accounts.pending_in + moved.coming,
           pending_out = accounts.pending_out + moved.going
      FROM (SELECT side.account_id, sum(side.coming)::bigint AS coming,
                   sum(side.going)::bigint AS going
              FROM new_holds n
             CROSS JOIN LATERAL (VALUES
                 (n.credit_account_id, CASE WHEN n.released_at IS NULL THEN n.amount ELSE -n.amount END, 0::bigint),
                 (n.debit_account_id, 0::bigint, CASE WHEN n.released_at IS NULL THEN n.amount ELSE -n.amount END)
             ) AS side (account_id, coming, going)
             GROUP BY side.account_id) moved
     WHERE accounts.id = moved.account_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER holds_are_summed_when_placed
    AFTER INSERT ON holds
    REFERENCING NEW TABLE AS new_holds
    FOR EACH STATEMENT EXECUTE FUNCTION holds_are_summed();

CREATE TRIGGER holds_are_summed_when_released
    AFTER UPDATE ON holds
    REFERENCING NEW TABLE AS new_holds
    FOR EACH STATEMENT EXECUTE FUNCTION holds_are_summed();

-- A payment or refund that has ended has no live hold: nothing would release it.
CREATE FUNCTION ended_holds_nothing() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
    payment uuid := NEW.id;
    refund  uuid;
BEGIN
    IF TG_TABLE_NAME = 'refunds' THEN
        payment := NEW.payment_id;
        refund := NEW.id;
    END IF;
    IF EXISTS (SELECT FROM holds h
                WHERE h.payment_id = payment
                  AND h.refund_id IS NOT DISTINCT FROM refund
                  AND h.released_at IS NULL) THEN
        RAISE EXCEPTION '% % ended, and holds money', TG_TABLE_NAME, NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ended_holds_nothing';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER payments_end_without_hold
    AFTER UPDATE ON payments
    FOR EACH ROW
    WHEN (NEW.capture = 'manual' AND OLD.phase = 'OPEN'
          AND NEW.phase IN ('SUCCESS', 'FAILED', 'CANCELED'))
    EXECUTE FUNCTION ended_holds_nothing();

CREATE TRIGGER refunds_end_without_hold
    AFTER UPDATE ON refunds
    FOR EACH ROW
    WHEN (OLD.phase = 'OPEN' AND NEW.phase <> 'OPEN')
    EXECUTE FUNCTION ended_holds_nothing();

-- The steps of a payment that do not follow from its own row and its ledger transaction. An ordinary
-- charge has no row here.
CREATE TABLE payment_events (
    payment_id uuid        NOT NULL,
    sequence   bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    refund_id  uuid,
    event      text        NOT NULL,
    -- Of the payment, or of the refund if the event is a refund's.
    status     text        NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    attempt    integer,
    amount     bigint,
    reason     text,
    request_id text,
    PRIMARY KEY (payment_id, sequence)
);

CREATE TRIGGER payment_events_are_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON payment_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('what happened is not rewritten');

-- Ledger transactions: a payment has one, and each of its refunds.
ALTER TABLE ledger_transactions
    ADD COLUMN refund_id uuid,
    DROP CONSTRAINT ledger_transactions_kind_check,
    DROP CONSTRAINT ledger_transactions_once_per_payment,
    ADD CONSTRAINT ledger_transactions_kind_check CHECK
        (CASE kind WHEN 'payment' THEN refund_id IS NULL
                   WHEN 'refund' THEN refund_id IS NOT NULL
                   ELSE false
         END),
    -- The last guard behind claims: nothing is posted twice.
    ADD CONSTRAINT ledger_transactions_once_per_payment
        UNIQUE NULLS NOT DISTINCT (payment_id, kind, refund_id);

-- As in 0005, and for refunds.
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
