-- Idempotency keys: a request and its first response, written in the transaction of its effect.
-- depends: 0003.payments

CREATE TABLE idempotency_keys (
    -- No foreign key: the record expires, and is only written for an authenticated merchant.
    merchant_id       uuid        NOT NULL,
    key               text        NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 255),
    method            text        NOT NULL,
    path              text        NOT NULL,
    -- SHA-256 of the canonical request.
    fingerprint       bytea       NOT NULL CHECK (octet_length(fingerprint) = 32),
    -- NULL only inside the transaction that claimed the key.
    response_status   smallint,
    response_body     bytea,
    response_location text,
    created_at        timestamptz NOT NULL DEFAULT now(),
    expires_at        timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, key)
)
-- The response is added right after the claim: room for it on the same page.
WITH (fillfactor = 70);

CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);
