-- Payments. A row that is PENDING or PROCESSING is also its queue entry for settlement.
-- depends: 0002.ledger

CREATE TABLE payments (
    id              uuid        PRIMARY KEY,
    merchant_id     uuid        NOT NULL,
    account_id      uuid        NOT NULL,
    amount          bigint      NOT NULL CHECK (amount BETWEEN 1 AND 9007199254740991),
    currency        text        NOT NULL,
    source          text        NOT NULL,
    description     text        NOT NULL,
    status          text        NOT NULL DEFAULT 'PENDING'
                    CHECK (status IN ('PENDING', 'PROCESSING', 'SUCCESS', 'FAILED')),
    failure_reason  text,
    idempotency_key text,
    webhook_url     text,
    -- The fencing token of the latest claim: only its holder may settle the payment.
    attempt         integer     NOT NULL DEFAULT 0,
    -- Transient faults of the card network so far.
    faults          smallint    NOT NULL DEFAULT 0,
    -- When it may be claimed: at once, when the lease ends, or after a back-off.
    due_at          timestamptz NOT NULL DEFAULT now(),
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payments_failed_has_reason
        CHECK ((status = 'FAILED') = (failure_reason IS NOT NULL)),
    -- The credited account belongs to the merchant and has the payment's currency.
    CONSTRAINT payments_account_of_merchant_and_currency
        FOREIGN KEY (account_id, merchant_id, currency)
        REFERENCES accounts (id, merchant_id, currency)
);

-- Open work only: it stays small however many payments are settled.
CREATE INDEX payments_open ON payments (due_at, id)
    WHERE status IN ('PENDING', 'PROCESSING');

ALTER TABLE ledger_transactions
    ADD CONSTRAINT ledger_transactions_of_payment
    FOREIGN KEY (payment_id) REFERENCES payments (id);

CREATE TRIGGER payments_settled_are_final
    BEFORE UPDATE ON payments
    FOR EACH ROW
    WHEN (OLD.status IN ('SUCCESS', 'FAILED')
          -- The fencing token: with a lower attempt a stale claim could be settled.
          OR NEW.attempt < OLD.attempt
          OR (OLD.id, OLD.merchant_id, OLD.account_id, OLD.amount, OLD.currency, OLD.source,
              OLD.description, OLD.idempotency_key, OLD.webhook_url, OLD.created_at)
             IS DISTINCT FROM
             (NEW.id, NEW.merchant_id, NEW.account_id, NEW.amount, NEW.currency, NEW.source,
              NEW.description, NEW.idempotency_key, NEW.webhook_url, NEW.created_at))
    EXECUTE FUNCTION refuse_change('a settled payment, and what a payment is for, are final');

CREATE TRIGGER payments_begin_pending
    BEFORE INSERT ON payments
    FOR EACH ROW
    WHEN (NEW.status <> 'PENDING' OR NEW.attempt <> 0)
    EXECUTE FUNCTION refuse_change('a payment begins as PENDING');

CREATE TRIGGER payments_are_kept
    BEFORE DELETE OR TRUNCATE ON payments
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('payments are kept for ever');
