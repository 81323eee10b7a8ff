"""The rows of a database with a million payments, which the tests of lists and of plans share.

One merchant, with one account, has 95 % of the payments and refunds, and a thousand have the
others: a plan that suits the average merchant must suit the largest. What else there is belongs to
the thousand alike.
"""

from typing import Final
from uuid import UUID

from atomic_core.domain.accounts import world_account_id

ROWS: Final = 1_000_000
"""Payments that are settled."""

OPEN_ROWS: Final = 5_000
"""Payments that are due, younger than those."""

RELATED_ROWS: Final = 200_000
"""Refunds, idempotency keys, sessions, audit events, webhook deliveries."""

SECONDS_BETWEEN: Final = 2
"""From one payment to the next."""

ID: Final = "('0190' || lpad(to_hex({}), 28, '0'))::uuid"
"""Ids in the order of creation, like UUIDv7, which takes a system call each."""


def build_id(number: int) -> UUID:
    """The id with this number."""
    return UUID(f"0190{number:028x}")


MERCHANT: Final = build_id(1)
"""The merchant of most payments."""

ACCOUNT: Final = build_id(1)
"""The account of those."""

WORLD: Final = world_account_id("USD")

FILL: Final = f"""
INSERT INTO merchants (id, name)
SELECT {ID.format("n")}, 'Shop ' || n FROM generate_series(1, 1001) n;
INSERT INTO api_keys (id, merchant_id, name, prefix, hash)
SELECT id, id, 'key', '', sha256(uuid_send(id)) FROM merchants;
-- The first 1,001 are the accounts that have payments.
INSERT INTO accounts (id, merchant_id, name, currency, head, created_at)
SELECT {ID.format("n")}, CASE WHEN n <= 1001 THEN {ID.format("n")} ELSE '{MERCHANT}' END, 'A',
       (ARRAY['USD', 'EUR', 'INR'])[1 + (n > 1001 AND n / 2 % 1000 = 1)::integer
                                      + (n = 1003)::integer],
       sha256(''), now() - n * interval '1 s'
  FROM generate_series(1, 100000) n;
INSERT INTO accounts (id, name, currency, type, allow_negative, head)
VALUES ('{WORLD}', 'World USD', 'USD', 'asset', true, sha256(''));
CREATE TEMP TABLE shops AS SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM merchants
 WHERE id <> '{MERCHANT}';
ANALYZE shops;
ALTER TABLE payments SET (fillfactor = 100);
INSERT INTO payments (id, merchant_id, account_id, amount, currency, source, description, status,
                      failure_reason, metadata, refunds_reserved, amount_refunded, created_at,
                      updated_at, due_at)
SELECT made.id, made.owner, made.owner, 1 + n::bigint * 7919 % 100000,
       CASE n % 13 WHEN 0 THEN 'EUR' ELSE 'USD' END, 'tok_visa', '', made.status,
       CASE made.status WHEN 'FAILED' THEN 'card_declined' END,
       CASE n % 10 WHEN 0 THEN jsonb_build_object('order', n::text, 'shop', 'main') END,
       made.refunded, made.refunded, made.at, made.at, made.at
  FROM (SELECT n, {ID.format("n")} AS id,
               CASE n % 20 WHEN 7 THEN {ID.format("2 + n / 20 % 1000")}
                           ELSE '{MERCHANT}' END AS owner,
               now() - ({ROWS + OPEN_ROWS} - n) * interval '{SECONDS_BETWEEN} s' AS at,
               CASE n % 17 WHEN 0 THEN 'FAILED' ELSE 'SUCCESS' END AS status,
               CASE WHEN n <= {RELATED_ROWS} AND n % 17 <> 0 THEN 1 END AS refunded
          FROM generate_series(1, {ROWS}) n) made;
ALTER TABLE payments SET (fillfactor = 45);
INSERT INTO payments (id, merchant_id, account_id, amount, currency, source, description,
                      created_at, updated_at, due_at)
SELECT made.id, made.owner, made.owner, 1, 'USD', 'tok_visa', '', made.at, made.at, made.at
  FROM (SELECT {ID.format(f"{ROWS} + n")} AS id,
               CASE WHEN n <= 1900 THEN '{MERCHANT}' ELSE {ID.format("2 + n % 1000")} END AS owner,
               now() - ({OPEN_ROWS} - n) * interval '{SECONDS_BETWEEN} s' AS at
          FROM generate_series(1, {OPEN_ROWS}) n) made;
INSERT INTO payment_amounts (merchant_id, amount, payment_id)
SELECT merchant_id, amount, id FROM payments;
INSERT INTO payment_metadata (merchant_id, key, value, created_at, payment_id)
SELECT merchant_id, pair.key, pair.value, created_at, id
  FROM payments CROSS JOIN LATERAL jsonb_each_text(metadata) AS pair (key, value);
INSERT INTO ledger_transactions (id, payment_id, kind, posted_at)
SELECT id, id, 'payment', created_at FROM payments WHERE status <> 'PENDING';
INSERT INTO entries (account_id, sequence, transaction_id, amount, balance_after, hash)
SELECT account_id, row_number() OVER (PARTITION BY account_id ORDER BY id), id, amount, amount,
       sha256('')
  FROM payments WHERE status <> 'PENDING';
UPDATE accounts
   SET balance = e.balance_after, sequence = e.sequence, head = e.hash
  FROM (SELECT DISTINCT ON (account_id) account_id, sequence, balance_after, hash
          FROM entries ORDER BY account_id, sequence DESC) e
 WHERE e.account_id = accounts.id;
INSERT INTO refunds (id, payment_id, merchant_id, account_id, currency, amount, status,
                     failure_reason, metadata, created_at)
SELECT id, id, merchant_id, account_id, currency, amount, status, failure_reason, metadata,
       created_at
  FROM payments WHERE id <= {ID.format(RELATED_ROWS)};
INSERT INTO refund_metadata (merchant_id, key, value, created_at, refund_id)
SELECT merchant_id, pair.key, pair.value, created_at, id
  FROM refunds CROSS JOIN LATERAL jsonb_each_text(metadata) AS pair (key, value);
INSERT INTO holds (payment_id, refund_id, debit_account_id, credit_account_id, amount, placed_at,
                   released_at)
SELECT payment_id, id, account_id, '{WORLD}', 1, now(), now() FROM refunds;
INSERT INTO idempotency_keys
       (merchant_id, key, method, path, fingerprint, response_status, response_body, expires_at)
SELECT s.id, 'key ' || i, 'POST', '/', sha256(''), 202, '', now() + i * interval '1 s'
  FROM generate_series(1, {RELATED_ROWS}) i JOIN shops s ON s.n = i % 1000;
INSERT INTO credentials (merchant_id, email, password_hash, account_id)
SELECT id, id || '@shop.example', '$argon2id$', id FROM shops;
INSERT INTO sessions (id, merchant_id, hash, expires_at)
SELECT {ID.format("i")}, s.id, sha256(i::text::bytea), now() + i * interval '1 s'
  FROM generate_series(1, {RELATED_ROWS}) i JOIN shops s ON s.n = i % 1000;
INSERT INTO audit_log (id, merchant_id, event, actor)
SELECT {ID.format("i")}, s.id, 'key_created', 'operator'
  FROM generate_series(1, {RELATED_ROWS}) i JOIN shops s ON s.n = i % 1000;
INSERT INTO event_counters (merchant_id, last_sequence)
SELECT merchant_id, count(*) FROM refunds GROUP BY merchant_id;
INSERT INTO events (merchant_id, sequence, type, payment_id, refund_id, status, occurred_at)
SELECT merchant_id, row_number() OVER (PARTITION BY merchant_id ORDER BY id), 'refund.succeeded',
       payment_id, id, 'SUCCESS', now()
  FROM refunds;
INSERT INTO webhook_streams (merchant_id) SELECT id FROM shops;
INSERT INTO webhook_endpoints (id, merchant_id, url, secret, position, target)
SELECT id, id, 'https://shop.example/', '', 1, 1 FROM shops;
INSERT INTO webhook_deliveries (id, endpoint_id, merchant_id, event_id, sequence, type, url, status,
                                attempts, retries, next_attempt_at)
SELECT {ID.format("i")}, s.id, s.id, {ID.format("i")}, i, 'refund.succeeded',
       'https://shop.example/', made.status, 1, 0, CASE made.status WHEN 'pending' THEN now() END
  FROM (SELECT i, CASE i / 1000 % 100 WHEN 0 THEN 'pending' WHEN 1 THEN 'failed'
                                      ELSE 'succeeded' END AS status
          FROM generate_series(1, {RELATED_ROWS}) i) AS made
  JOIN shops s ON s.n = made.i % 1000;
INSERT INTO webhook_attempts (delivery_id, number, at, duration_ms, response)
SELECT id, 1, now(), 1, '' FROM webhook_deliveries;
INSERT INTO payment_totals
       (merchant_id, day, currency, status, slot, payments, amount, refunded, fees)
SELECT s.id, current_date - i / 2000, 'USD', 'SUCCESS', i / 1000 % 2, 1, 1, 0, 0
  FROM generate_series(0, {RELATED_ROWS} - 1) i JOIN shops s ON s.n = i % 1000;
"""
