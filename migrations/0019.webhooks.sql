-- Webhooks: endpoints, which read their merchant's stream of events, and what was sent to them.
-- depends: 0018.events

-- Runs while payments flow, also with the previous version of Atomic: it creates tables only, and
-- locks api_keys against changes for a moment.
SET LOCAL lock_timeout = '5s';

-- The scopes webhooks:read and webhooks:write. API keys never change, so those that exist do not get
-- them. Checking them anew reads a table that has a row per API key.
ALTER TABLE api_keys
    DROP CONSTRAINT api_keys_known_scopes,
    ADD CONSTRAINT api_keys_known_scopes
        CHECK (cardinality(scopes) > 0 AND scopes <@
               '{payments:write,payments:read,accounts:write,accounts:read,refunds:write,events:read,
                 webhooks:read,webhooks:write}'::text[]);

-- Whether the stream of a merchant with an endpoint has grown since its endpoints were last made due.
-- The commit that adds events sets is_due, after it has locked the counter of the stream; making
-- endpoints due locks the counter first too. An event is therefore planned, or its stream is due.
CREATE TABLE webhook_streams (
    merchant_id uuid    PRIMARY KEY REFERENCES merchants,
    is_due      boolean NOT NULL DEFAULT false
);

CREATE INDEX webhook_streams_due ON webhook_streams (merchant_id) WHERE is_due;

CREATE TABLE webhook_endpoints (
    id          uuid        PRIMARY KEY,
    merchant_id uuid        NOT NULL REFERENCES merchants,
    -- NULL: of the payments that have a webhook_url of their own.
    url         text        CHECK (octet_length(url) BETWEEN 1 AND 8192),
    -- Empty: every type.
    event_types text[]      NOT NULL DEFAULT '{}',
    description text        NOT NULL DEFAULT '',
    is_ordered  boolean     NOT NULL DEFAULT false,
    status      text        NOT NULL DEFAULT 'enabled' CHECK (status IN ('enabled', 'disabled')),
    disabled_reason text    CHECK (disabled_reason IN ('requested', 'gone', 'failing')),
    -- Encrypted with a key that the database does not have.
    secret              bytea NOT NULL,
    former_secret       bytea,
    former_secret_until timestamptz,
    -- The sequence number up to which each event was sent at least once, or does not match.
    position    bigint      NOT NULL CHECK (position >= 0),
    -- Set by each replay: the record of an older claim then leaves the position alone.
    replays     integer     NOT NULL DEFAULT 0,
    -- The sequence number up to which events are due, since when, and when the first pending delivery
    -- is retried.
    target      bigint      NOT NULL,
    target_at   timestamptz NOT NULL DEFAULT now(),
    retry_at    timestamptz,
    -- Work items as payments are: the claim's number is its fencing token.
    claim       bigint      NOT NULL DEFAULT 0,
    claimed_until timestamptz,
    consecutive_failures integer NOT NULL DEFAULT 0 CHECK (consecutive_failures >= 0),
    failing_since timestamptz,
    paused_until timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    deleted_at  timestamptz,
    -- When its next claim is due; NULL if nothing is to be sent. greatest() passes over NULL.
    due_at timestamptz GENERATED ALWAYS AS (
        CASE WHEN status = 'disabled' OR deleted_at IS NOT NULL THEN NULL
             -- What comes after a delivery that failed waits for it.
             WHEN is_ordered AND retry_at IS NOT NULL THEN
                 greatest(retry_at, claimed_until, paused_until)
             WHEN position < target THEN
                 greatest(least(target_at, retry_at), claimed_until, paused_until)
             WHEN retry_at IS NOT NULL THEN
                 greatest(retry_at, claimed_until, paused_until)
        END) STORED,
    CONSTRAINT webhook_endpoints_disabled_for_a_reason
        CHECK ((status = 'disabled') = (disabled_reason IS NOT NULL)),
    CONSTRAINT webhook_endpoints_former_secret_ends
        CHECK ((former_secret IS NULL) = (former_secret_until IS NULL))
)
-- Room on each page for new row versions.
WITH (fillfactor = 50);

CREATE INDEX webhook_endpoints_by_merchant ON webhook_endpoints (merchant_id, id);
CREATE UNIQUE INDEX webhook_endpoints_one_without_url ON webhook_endpoints (merchant_id)
    WHERE url IS NULL AND deleted_at IS NULL;
CREATE INDEX webhook_endpoints_due ON webhook_endpoints (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX webhook_endpoints_deleted ON webhook_endpoints (deleted_at) WHERE deleted_at IS NOT NULL;

-- One event for one endpoint. Not for an event that was not sent yet: that follows from the position.
CREATE TABLE webhook_deliveries (
    id          uuid        PRIMARY KEY DEFAULT uuidv7(),
    endpoint_id uuid        NOT NULL REFERENCES webhook_endpoints,
    merchant_id uuid        NOT NULL,
    event_id    uuid        NOT NULL,
    sequence    bigint      NOT NULL,
    type        text        NOT NULL,
    url         text        NOT NULL,
    status      text        NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    attempts    integer     NOT NULL CHECK (attempts > 0),
    -- Failures since it was sent first, or was requested again.
    retries     integer     NOT NULL CHECK (retries >= 0),
    next_attempt_at timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT webhook_deliveries_once UNIQUE (endpoint_id, sequence),
    CONSTRAINT webhook_deliveries_pending_are_retried
        CHECK ((status = 'pending') = (next_attempt_at IS NOT NULL))
);

CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (endpoint_id, next_attempt_at)
    WHERE status = 'pending';
CREATE INDEX webhook_deliveries_by_time ON webhook_deliveries (endpoint_id, created_at, id);
CREATE INDEX webhook_deliveries_by_status ON webhook_deliveries (endpoint_id, status, created_at, id);
CREATE INDEX webhook_deliveries_by_type ON webhook_deliveries (endpoint_id, type, created_at, id);
CREATE INDEX webhook_deliveries_ended ON webhook_deliveries (updated_at) WHERE status <> 'pending';

CREATE TABLE webhook_attempts (
    delivery_id uuid        NOT NULL REFERENCES webhook_deliveries ON DELETE CASCADE,
    number      integer     NOT NULL,
    at          timestamptz NOT NULL,
    status_code integer,
    duration_ms integer     NOT NULL,
    error       text,
    response    text        NOT NULL,
    PRIMARY KEY (delivery_id, number)
);

CREATE TRIGGER webhook_attempts_are_not_rewritten
    BEFORE UPDATE ON webhook_attempts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('what was sent is not rewritten');
