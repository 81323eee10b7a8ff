-- Lists: every filter has an index, and settling a plain payment writes into one of them.
-- depends: 0009.merchants

-- A claim writes no index as long as there is room on its page; with the columns of 0008, a claimed
-- row is a fifth larger. Existing pages stay as they are.
ALTER TABLE payments SET (fillfactor = 45);

-- Read by one scan for each currency and phase, in order of age and up to the page's limit. Without
-- the status: a claim changes it, and must not write an index. The amount comes last so that a range
-- of amounts is decided from the index alone.
CREATE INDEX payments_of_merchant
    ON payments (merchant_id, currency, phase, created_at, id, amount);

CREATE INDEX refunds_of_merchant
    ON refunds (merchant_id, currency, phase, created_at, id, amount);
CREATE INDEX refunds_by_amount ON refunds (merchant_id, amount);

CREATE INDEX accounts_of_merchant_by_age ON accounts (merchant_id, created_at, id);

-- For ranges of amounts that contain few payments. An index on payments would be written once more
-- when a payment is settled; an amount never changes.
CREATE TABLE payment_amounts (
    merchant_id uuid   NOT NULL,
    amount      bigint NOT NULL,
    payment_id  uuid   NOT NULL,
    PRIMARY KEY (merchant_id, amount, payment_id)
);

-- Metadata by pair, in a table of its own, so that payments without metadata cost nothing, and in
-- order of age, so that a page of a common pair is a page of the index.
CREATE TABLE payment_metadata (
    merchant_id uuid        NOT NULL,
    key         text        NOT NULL,
    value       text        NOT NULL,
    created_at  timestamptz NOT NULL,
    payment_id  uuid        NOT NULL,
    PRIMARY KEY (merchant_id, key, value, created_at, payment_id)
);

CREATE TABLE refund_metadata (
    merchant_id uuid        NOT NULL,
    key         text        NOT NULL,
    value       text        NOT NULL,
    created_at  timestamptz NOT NULL,
    refund_id   uuid        NOT NULL,
    PRIMARY KEY (merchant_id, key, value, created_at, refund_id)
);

CREATE FUNCTION payments_are_listed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO payment_amounts (merchant_id, amount, payment_id)
    SELECT n.merchant_id, n.amount, n.id FROM new_payments n;
    IF EXISTS (SELECT FROM new_payments n WHERE n.metadata IS NOT NULL) THEN
        INSERT INTO payment_metadata (merchant_id, key, value, created_at, payment_id)
        SELECT n.merchant_id, pair.key, pair.value, n.created_at, n.id
          FROM new_payments n
         CROSS JOIN LATERAL jsonb_each_text(n.metadata) AS pair (key, value);
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION refunds_are_listed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO refund_metadata (merchant_id, key, value, created_at, refund_id)
    SELECT n.merchant_id, pair.key, pair.value, n.created_at, n.id
      FROM new_refunds n
     CROSS JOIN LATERAL jsonb_each_text(n.metadata) AS pair (key, value);
    RETURN NULL;
END
$$;

CREATE TRIGGER payments_are_listed
    AFTER INSERT ON payments
    REFERENCING NEW TABLE AS new_payments
    FOR EACH STATEMENT EXECUTE FUNCTION payments_are_listed();

CREATE TRIGGER refunds_are_listed
    AFTER INSERT ON refunds
    REFERENCING NEW TABLE AS new_refunds
    FOR EACH STATEMENT EXECUTE FUNCTION refunds_are_listed();

-- For the existing rows.
INSERT INTO payment_amounts (merchant_id, amount, payment_id)
SELECT payments.merchant_id, payments.amount, payments.id FROM payments;
INSERT INTO payment_metadata (merchant_id, key, value, created_at, payment_id)
SELECT payments.merchant_id, pair.key, pair.value, payments.created_at, payments.id
  FROM payments
 CROSS JOIN LATERAL jsonb_each_text(payments.metadata) AS pair (key, value);
INSERT INTO refund_metadata (merchant_id, key, value, created_at, refund_id)
SELECT refunds.merchant_id, pair.key, pair.value, refunds.created_at, refunds.id
  FROM refunds
 CROSS JOIN LATERAL jsonb_each_text(refunds.metadata) AS pair (key, value);

CREATE TRIGGER payment_amounts_are_kept
    BEFORE UPDATE OR DELETE OR TRUNCATE ON payment_amounts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('it follows from payments');
CREATE TRIGGER payment_metadata_is_kept
    BEFORE UPDATE OR DELETE OR TRUNCATE ON payment_metadata
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('it follows from payments');
CREATE TRIGGER refund_metadata_is_kept
    BEFORE UPDATE OR DELETE OR TRUNCATE ON refund_metadata
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('it follows from refunds');
