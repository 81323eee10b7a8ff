-- Merchants and their API keys.

CREATE TABLE merchants (
    id         uuid        PRIMARY KEY,
    name       text        NOT NULL CHECK (name <> ''),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_keys (
    id          uuid        PRIMARY KEY,
    merchant_id uuid        NOT NULL REFERENCES merchants (id),
    name        text        NOT NULL,
    prefix      text        NOT NULL,
    -- SHA-256 of the raw key, which is not stored.
    hash        bytea       NOT NULL CHECK (octet_length(hash) = 32),
    created_at  timestamptz NOT NULL DEFAULT now(),
    revoked_at  timestamptz,
    CONSTRAINT api_keys_hash_once UNIQUE (hash)
);

CREATE INDEX api_keys_of_merchant ON api_keys (merchant_id, created_at, id);

-- For guards: a trigger that refuses the change; its argument is the reason.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0]
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER api_keys_stay_whose_they_are
    BEFORE UPDATE ON api_keys
    FOR EACH ROW
    WHEN ((OLD.id, OLD.merchant_id, OLD.hash, OLD.created_at)
          IS DISTINCT FROM (NEW.id, NEW.merchant_id, NEW.hash, NEW.created_at)
          OR OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at)
    EXECUTE FUNCTION refuse_change('a key stays its merchant''s, and revoked once it is');

CREATE TRIGGER api_keys_are_kept
    BEFORE DELETE OR TRUNCATE ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('keys are revoked, not deleted');
