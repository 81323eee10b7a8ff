-- Merchants, and the API keys that speak for them.

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
    -- SHA-256 of the raw key, which is kept nowhere.
    hash        bytea       NOT NULL CHECK (octet_length(hash) = 32),
    created_at  timestamptz NOT NULL DEFAULT now(),
    revoked_at  timestamptz,
    CONSTRAINT api_keys_hash_once UNIQUE (hash)
);

CREATE INDEX api_keys_of_merchant ON api_keys (merchant_id, created_at, id);
