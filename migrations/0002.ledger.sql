-- The double-entry ledger, and guards that refuse what would break its rules.
-- depends: 0001.merchants

CREATE TABLE accounts (
    id             uuid        PRIMARY KEY,
    -- NULL: a World account, the counterparty of all money from outside.
    merchant_id    uuid        REFERENCES merchants (id),
    name           text        NOT NULL CHECK (name <> ''),
    currency       text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    allow_negative boolean     NOT NULL DEFAULT false,
    -- Credits less debits, in minor units.
    balance        bigint      NOT NULL DEFAULT 0,
    -- The hash of the account's last entry.
    sequence       bigint      NOT NULL DEFAULT 0,
    head           bytea       NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT accounts_balance_in_bounds
        CHECK (allow_negative OR balance BETWEEN 0 AND 9007199254740991),
    CONSTRAINT accounts_only_world_goes_negative
        CHECK (NOT allow_negative OR merchant_id IS NULL),
    -- The key that the foreign key of a payment's account refers to.
    CONSTRAINT accounts_of_one_merchant_and_currency UNIQUE (id, merchant_id, currency)
)
-- Room on each page for new row versions: balances change in place, without touching an index.
WITH (fillfactor = 50);

CREATE UNIQUE INDEX accounts_one_world_per_currency
    ON accounts (currency) WHERE merchant_id IS NULL;

CREATE INDEX accounts_of_merchant
    ON accounts (merchant_id, currency, created_at, id);

CREATE TABLE ledger_transactions (
    id         uuid        PRIMARY KEY,
    payment_id uuid        NOT NULL,
    kind       text        NOT NULL CHECK (kind IN ('payment')),
    posted_at  timestamptz NOT NULL CHECK (isfinite(posted_at)),
    -- The last guard behind claims: no payment is posted twice.
    CONSTRAINT ledger_transactions_once_per_payment UNIQUE (payment_id, kind)
);

CREATE TABLE entries (
    -- That account and transaction exist is checked by entries_must_balance below, for a whole
    -- statement at once: foreign keys check row by row, which reduced the settlement rate to a third.
    -- Neither can be deleted or get another id.
    account_id     uuid   NOT NULL,
    sequence       bigint NOT NULL CHECK (sequence > 0),
    transaction_id uuid   NOT NULL,
    -- Credits are positive, debits negative.
    amount         bigint NOT NULL CHECK (amount <> 0),
    balance_after  bigint NOT NULL,
    hash           bytea  NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (account_id, sequence)
);

CREATE INDEX entries_of_transaction ON entries (transaction_id);

CREATE TRIGGER entries_are_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('the books are append-only');

CREATE TRIGGER ledger_transactions_are_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('the books are append-only');

CREATE TRIGGER accounts_are_kept
    BEFORE DELETE OR TRUNCATE ON accounts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('accounts are kept for ever');

CREATE TRIGGER accounts_keep_their_identity
    BEFORE UPDATE ON accounts
    FOR EACH ROW
    WHEN ((OLD.id, OLD.merchant_id, OLD.currency, OLD.allow_negative, OLD.created_at)
          IS DISTINCT FROM
          (NEW.id, NEW.merchant_id, NEW.currency, NEW.allow_negative, NEW.created_at))
    EXECUTE FUNCTION refuse_change('only the balance and the name of an account may change');

-- The head of an account without entries: the same bytes as in atomic_core.domain.ledger.
CREATE FUNCTION chain_start(account accounts) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT sha256(uuid_send(account.id)
                  || coalesce(uuid_send(account.merchant_id), decode(repeat('00', 16), 'hex'))
                  || CASE WHEN account.allow_negative THEN '\x01'::bytea ELSE '\x00'::bytea END
                  || decode(account.currency, 'escape'))
$$;

-- Entries come in whole, balanced transactions of one currency, each continuing its account's
-- chain up to the head that the account records. One pass per statement, not per row.
CREATE FUNCTION entries_must_balance() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE TRIGGER entries_must_balance
    AFTER INSERT ON entries
    REFERENCING NEW TABLE AS new_entries
    FOR EACH STATEMENT EXECUTE FUNCTION entries_must_balance();

-- The opposite check, when the transaction commits: a balance is that of the account's last entry.
CREATE FUNCTION account_must_follow_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM accounts a
      WHERE a.id = NEW.id
        AND NOT EXISTS (SELECT FROM entries e
                         WHERE e.account_id = a.id AND e.sequence = a.sequence + 1)
        AND CASE WHEN a.sequence = 0
                 THEN a.balance = 0 AND a.head = chain_start(a)
                 ELSE EXISTS (SELECT FROM entries e
                               WHERE e.account_id = a.id AND e.sequence = a.sequence
                                 AND e.balance_after = a.balance AND e.hash = a.head)
            END;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the balance of account % does not follow from its entries', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'account_must_follow_entries';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER account_must_follow_entries
    AFTER INSERT OR UPDATE OF balance, sequence, head ON accounts
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION account_must_follow_entries();
