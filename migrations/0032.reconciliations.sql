-- Reports of reconciliations with card networks.
-- depends: 0030.pending-transactions

-- Runs while payments flow, also with the previous version of Atomic, which does not use the table. Locks
-- nothing that exists.
SET LOCAL lock_timeout = '5s';

CREATE TABLE reconciliations (
    id           uuid        PRIMARY KEY,
    network      text        NOT NULL COLLATE "C" CHECK (octet_length(network) BETWEEN 1 AND 30),
    period_begin timestamptz NOT NULL,
    -- Exclusive.
    period_end   timestamptz NOT NULL CHECK (period_end > period_begin),
    -- By the sweeper, once for each day; others are requested by operators.
    is_scheduled boolean     NOT NULL,
    created_at   timestamptz NOT NULL,
    is_clean     boolean     NOT NULL,
    -- Counts, fees, and up to a thousand differences.
    report       jsonb       NOT NULL
);

-- Several sweepers may reconcile the same day: one report is kept.
CREATE UNIQUE INDEX reconciliations_once_scheduled ON reconciliations (network, period_end)
    WHERE is_scheduled;
CREATE INDEX reconciliations_by_time ON reconciliations (created_at, id);

CREATE TRIGGER reconciliations_are_kept
    BEFORE UPDATE OR DELETE OR TRUNCATE ON reconciliations
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('a report is kept as it is');
