-- Card networks side by side: a payment and its refunds keep the network that it was accepted for, and due
-- work is found by network.
-- depends: 0025.network-references
-- transactional: false

-- Runs while payments flow, also with the previous version of Atomic: it has one network, the sandbox, which
-- is the default of the columns, and finds due work without an index of its own until it is stopped, which
-- is slow only with a long queue. Each statement commits by itself and locks one table for a moment; none
-- rewrites a table.
--
-- Building payments_due reads payments once while nothing can be written to it. With tens of millions of
-- payments, run the statement that adds the column beforehand, and then CREATE INDEX CONCURRENTLY with the
-- same definition: the migration skips what exists.
--
-- A statement that waits for its lock makes later transactions wait behind it. It gives up if a
-- transaction of another program, such as pg_dump, keeps it waiting. All statements can be repeated:
-- after that, or a kill, run the migration again.
SET lock_timeout = '5s';

-- NULL: the network of the deployment.
ALTER TABLE merchants
    ADD COLUMN IF NOT EXISTS network text,
    DROP CONSTRAINT IF EXISTS merchants_network_length,
    ADD CONSTRAINT merchants_network_length CHECK (octet_length(network) BETWEEN 1 AND 30);

-- COLLATE "C": an index compares it byte by byte.
ALTER TABLE payments
    ADD COLUMN IF NOT EXISTS network text COLLATE "C" NOT NULL DEFAULT 'sandbox',
    DROP CONSTRAINT IF EXISTS payments_network_length,
    -- NOT VALID: validating would read the table under the lock, and all rows have the default.
    ADD CONSTRAINT payments_network_length CHECK (octet_length(network) BETWEEN 1 AND 30) NOT VALID;

ALTER TABLE refunds
    ADD COLUMN IF NOT EXISTS network text COLLATE "C" NOT NULL DEFAULT 'sandbox',
    DROP CONSTRAINT IF EXISTS refunds_network_length,
    ADD CONSTRAINT refunds_network_length CHECK (octet_length(network) BETWEEN 1 AND 30) NOT VALID;

-- Of their own, so that they run only for statements that name the column, which no statement of the
-- application does.
CREATE OR REPLACE TRIGGER payments_keep_their_network
    BEFORE UPDATE OF network ON payments
    FOR EACH ROW
    WHEN (OLD.network IS DISTINCT FROM NEW.network)
    EXECUTE FUNCTION refuse_change('the card network of a payment is final');

CREATE OR REPLACE TRIGGER refunds_keep_their_network
    BEFORE UPDATE OF network ON refunds
    FOR EACH ROW
    WHEN (OLD.network IS DISTINCT FROM NEW.network)
    EXECUTE FUNCTION refuse_change('the card network of a refund is final');

-- In place of payments_open and refunds_open. Not CONCURRENTLY: that waits for every other statement, also
-- for the one by which a second migrator waits for this one.
CREATE INDEX IF NOT EXISTS payments_due ON payments (network, due_at, id) WHERE phase = 'OPEN';
CREATE INDEX IF NOT EXISTS refunds_due ON refunds (network, due_at, id) WHERE phase = 'OPEN';
DROP INDEX IF EXISTS payments_open;
DROP INDEX IF EXISTS refunds_open;
