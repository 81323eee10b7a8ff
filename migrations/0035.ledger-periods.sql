-- Closed periods: nothing that takes effect in one is posted any more.
-- depends: 0034.balances-by-time

-- Runs while payments flow, also with the previous version of Atomic, which closes no periods. Locks
-- journal_transactions against readers and writers for a moment, and reads nothing.
SET LOCAL lock_timeout = '5s';

CREATE TABLE ledger_periods (
    id              uuid        PRIMARY KEY,
    merchant_id     uuid        NOT NULL,
    -- Days in UTC. NULL: the first period of the merchant.
    starts_on       date,
    ends_on         date        NOT NULL CHECK (isfinite(ends_on) AND ends_on >= starts_on),
    closed_at       timestamptz NOT NULL,
    accounts        integer     NOT NULL CHECK (accounts >= 0),
    digest          bytea       NOT NULL CHECK (octet_length(digest) = 32),
    previous_digest bytea,
    -- The periods of a merchant are one chain.
    CONSTRAINT ledger_periods_follow UNIQUE NULLS NOT DISTINCT (merchant_id, starts_on)
);

CREATE UNIQUE INDEX ledger_periods_of_merchant ON ledger_periods (merchant_id, ends_on);
CREATE INDEX ledger_periods_by_time ON ledger_periods (merchant_id, closed_at, id);

-- The balances on the effective axis at the end of a period.
CREATE TABLE closing_balances (
    period_id  uuid    NOT NULL,
    -- 1, 2, 3 … in the order of account ids.
    sequence   integer NOT NULL CHECK (sequence > 0),
    account_id uuid    NOT NULL,
    currency   text    NOT NULL,
    balance    numeric NOT NULL,
    PRIMARY KEY (period_id, sequence)
);

CREATE TRIGGER ledger_periods_are_final
    BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_periods
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('a closed period is kept as it is');

CREATE TRIGGER closing_balances_are_final
    BEFORE UPDATE OR DELETE OR TRUNCATE ON closing_balances
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('a closed period is kept as it is');

-- A period begins after the last one, and has ended. Waits for transactions that have passed
-- journal_transactions_in_open_period and are not committed yet.
CREATE FUNCTION ledger_periods_follow() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last_period record;
BEGIN
    PERFORM pg_advisory_xact_lock('ledger_periods'::regclass::integer,
                                  hashtext(NEW.merchant_id::text));
    SELECT p.ends_on, p.digest INTO last_period
      FROM ledger_periods p
     WHERE p.merchant_id = NEW.merchant_id
     ORDER BY p.ends_on DESC
     LIMIT 1;
    IF NEW.starts_on IS DISTINCT FROM last_period.ends_on + 1
       OR NEW.previous_digest IS DISTINCT FROM last_period.digest
       OR NEW.ends_on >= (clock_timestamp() AT TIME ZONE 'UTC')::date
    THEN
        RAISE EXCEPTION 'period % does not follow the last one, or has not ended', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_periods_follow';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER ledger_periods_follow
    BEFORE INSERT ON ledger_periods
    FOR EACH ROW EXECUTE FUNCTION ledger_periods_follow();

-- Balances are added with their period, as many as it says.
CREATE FUNCTION closing_balances_of_new_periods() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER AS $$
DECLARE
    offender uuid;
BEGIN
    SELECT n.period_id INTO offender
      FROM new_balances n
     WHERE (SELECT p.xmin = pg_current_xact_id()::xid AND n.sequence <= p.accounts
              FROM ledger_periods p
             WHERE p.id = n.period_id) IS NOT TRUE
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a balance is added to period %, which is not new', offender
            USING ERRCODE = 'check_violation', CONSTRAINT = 'closing_balances_of_new_periods';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER closing_balances_of_new_periods
    AFTER INSERT ON closing_balances
    REFERENCING NEW TABLE AS new_balances
    FOR EACH STATEMENT EXECUTE FUNCTION closing_balances_of_new_periods();

-- No period is closed before its end: what takes effect today or later needs no look at the periods.
CREATE FUNCTION journal_transactions_in_open_period() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.effective_at >= date_trunc('day', clock_timestamp(), 'UTC') THEN
        RETURN NEW;
    END IF;
    PERFORM pg_advisory_xact_lock_shared('ledger_periods'::regclass::integer,
                                         hashtext(NEW.merchant_id::text));
    IF (NEW.effective_at AT TIME ZONE 'UTC')::date
       <= (SELECT max(p.ends_on) FROM ledger_periods p WHERE p.merchant_id = NEW.merchant_id)
    THEN
        RAISE EXCEPTION 'journal transaction % takes effect in a closed period', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_transactions_in_open_period';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER journal_transactions_in_open_period
    BEFORE INSERT ON journal_transactions
    FOR EACH ROW
    WHEN (NEW.effective_at IS NOT NULL)
    EXECUTE FUNCTION journal_transactions_in_open_period();

-- A pending transaction that is posted. One that is voided or expires posts nothing.
CREATE TRIGGER journal_transactions_in_open_period_when_posted
    BEFORE UPDATE ON journal_transactions
    FOR EACH ROW
    WHEN (NEW.status = 'POSTED' AND NEW.effective_at IS NOT NULL)
    EXECUTE FUNCTION journal_transactions_in_open_period();

-- Without a search_path of its own a function reads the caller's temporary tables first.
DO $$
DECLARE
    guard text;
BEGIN
    FOREACH guard IN ARRAY '{
        closing_balances_of_new_periods, journal_transactions_in_open_period, ledger_periods_follow
    }'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = pg_catalog, %I, pg_temp',
                       guard, current_schema());
    END LOOP;
END
$$;

REVOKE EXECUTE ON FUNCTION closing_balances_of_new_periods() FROM PUBLIC;
