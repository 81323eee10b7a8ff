-- Self-service of merchants: passwords, sessions, scopes and expiry of API keys, and an audit log.
-- depends: 0008.payment-life

CREATE TABLE credentials (
    merchant_id   uuid        PRIMARY KEY REFERENCES merchants (id),
    -- In lower case and ASCII, so that one address has one spelling (see domain/credentials.py).
    email         text        NOT NULL CHECK (email = lower(email) AND octet_length(email) <= 254),
    -- argon2id, in the encoded form that contains its parameters.
    password_hash text        NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
    -- The account that was opened at the registration.
    account_id    uuid        NOT NULL REFERENCES accounts (id),
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT credentials_email_once UNIQUE (email)
);

CREATE TRIGGER credentials_stay_whose_they_are
    BEFORE UPDATE ON credentials
    FOR EACH ROW
    WHEN ((OLD.merchant_id, OLD.email, OLD.account_id, OLD.created_at)
          IS DISTINCT FROM (NEW.merchant_id, NEW.email, NEW.account_id, NEW.created_at))
    EXECUTE FUNCTION refuse_change('of credentials only the password may change');

CREATE TRIGGER credentials_are_kept
    BEFORE DELETE OR TRUNCATE ON credentials
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('credentials are kept for ever');

CREATE TABLE sessions (
    id          uuid        PRIMARY KEY,
    merchant_id uuid        NOT NULL REFERENCES merchants (id),
    -- Of the token, which is not stored.
    hash        bytea       NOT NULL CHECK (octet_length(hash) = 32),
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL CHECK (isfinite(expires_at)),
    revoked_at  timestamptz,
    CONSTRAINT sessions_hash_once UNIQUE (hash)
);

CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TRIGGER sessions_stay_whose_they_are
    BEFORE UPDATE ON sessions
    FOR EACH ROW
    WHEN ((OLD.id, OLD.merchant_id, OLD.hash, OLD.created_at, OLD.expires_at)
          IS DISTINCT FROM (NEW.id, NEW.merchant_id, NEW.hash, NEW.created_at, NEW.expires_at)
          OR OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at)
    EXECUTE FUNCTION refuse_change('a session stays its merchant''s, and revoked once it is');

-- Existing keys keep all rights and do not expire.
ALTER TABLE api_keys
    ADD COLUMN scopes text[] NOT NULL
        DEFAULT '{payments:write,payments:read,accounts:write,accounts:read,refunds:write}'
        CONSTRAINT api_keys_known_scopes
        CHECK (cardinality(scopes) > 0 AND scopes <@
               '{payments:write,payments:read,accounts:write,accounts:read,refunds:write}'::text[]),
    ADD COLUMN expires_at timestamptz,
    -- Approximate: at most one update per minute, and a lost one does no harm. In no index.
    ADD COLUMN last_used_at timestamptz;

-- The keys that count against a merchant's limit, however many others are revoked.
CREATE INDEX api_keys_not_revoked ON api_keys (merchant_id, created_at, id)
    WHERE revoked_at IS NULL;

DROP TRIGGER api_keys_stay_whose_they_are ON api_keys;
CREATE TRIGGER api_keys_stay_whose_they_are
    BEFORE UPDATE ON api_keys
    FOR EACH ROW
    WHEN ((OLD.id, OLD.merchant_id, OLD.hash, OLD.created_at, OLD.scopes)
          IS DISTINCT FROM (NEW.id, NEW.merchant_id, NEW.hash, NEW.created_at, NEW.scopes)
          OR coalesce(NEW.expires_at, 'infinity') > coalesce(OLD.expires_at, 'infinity')
          OR OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at)
    EXECUTE FUNCTION refuse_change('a key stays its merchant''s, may and lasts no more than it did, and is revoked once it is');

CREATE TABLE audit_log (
    id          uuid        PRIMARY KEY,
    -- NULL: a login with an email that no merchant has.
    merchant_id uuid        REFERENCES merchants (id),
    event       text        NOT NULL CHECK (event <> ''),
    -- Anonymous, a session or an operator.
    actor       text        NOT NULL CHECK (actor IN ('anonymous', 'session', 'operator')),
    -- No foreign key: sessions are purged, audit events are not.
    actor_id    uuid,
    address     text        CHECK (octet_length(address) <= 45),
    request_id  text        CHECK (octet_length(request_id) <= 128),
    -- SHA-256 of an email that no merchant has: enough to count attempts without storing addresses.
    email_hash  bytea       CHECK (octet_length(email_hash) = 32),
    details     jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(details) = 'object'),
    at          timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT audit_log_actor_has_id CHECK ((actor = 'session') = (actor_id IS NOT NULL)),
    CONSTRAINT audit_log_of_a_merchant_or_an_email
        CHECK ((merchant_id IS NULL) = (email_hash IS NOT NULL))
);

CREATE INDEX audit_log_of_merchant ON audit_log (merchant_id, at, id);

CREATE TRIGGER audit_log_is_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('the audit log is append-only');
