-- Events that card networks send: each is stored once by its network's id, acted on by the worker, and deleted
-- after 30 days.
-- depends: 0027.journal

-- Runs while payments flow, also with the previous version of Atomic: it creates a table only.

-- An event is a hint. Whatever is in this table, settlement does nothing that it would not do by itself later:
-- it inquires at the network about steps that are open.
CREATE TABLE network_events (
    network       text        COLLATE "C" NOT NULL CHECK (octet_length(network) BETWEEN 1 AND 30),
    id            text        COLLATE "C" NOT NULL CHECK (octet_length(id) BETWEEN 1 AND 255),
    type          text        NOT NULL CHECK (octet_length(type) BETWEEN 1 AND 100),
    -- As the network has them: there may be no such payment or refund.
    payment_id    uuid        NOT NULL,
    refund_id     uuid,
    received_at   timestamptz NOT NULL DEFAULT now(),
    -- When it is acted on; NULL once it was.
    due_at        timestamptz DEFAULT now(),
    postponements smallint    NOT NULL DEFAULT 0 CHECK (postponements >= 0),
    PRIMARY KEY (network, id)
);

CREATE INDEX network_events_due ON network_events (due_at, network, id) WHERE due_at IS NOT NULL;
CREATE INDEX network_events_done ON network_events (received_at, network, id) WHERE due_at IS NULL;
