"""A large ledger with real books: posted by the core, written past the guards.

The ids are computed alike here and in SQL, so that payments and ledger transactions are made by
the server, and only entries, which carry the hashes, come from here.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import psycopg

from atomic_core.domain.accounts import Account
from atomic_core.domain.ledger import Entry, Kind, Leg, Posted, Posting, post
from bench.merchants import CURRENCY, Shop

BATCH: Final = 1_000
SPAN: Final = timedelta(days=30)
"""Over which the payments are spread, up to now."""

UNGUARDED: Final = "SET session_replication_role = replica"
GUARDED: Final = "SET session_replication_role = origin"

# Payment n is id (milliseconds, 7000 8000, n): a version 7 UUID that grows with n. Its batch was
# posted `step` milliseconds after the batch began, its own beginnings spread over that.
PAYMENTS: Final = """
INSERT INTO payments (id, merchant_id, account_id, amount, currency, source, description, status,
                      idempotency_key, attempt, due_at, created_at, updated_at)
SELECT (lpad(to_hex(made.ms), 12, '0') || '70008000' || lpad(to_hex(made.n), 12, '0'))::uuid,
       (%(merchants)s::uuid[])[1 + made.n %% %(shops)s],
       (%(accounts)s::uuid[])[1 + made.n %% %(shops)s],
       1 + made.n %% 10000, %(currency)s, 'tok_visa', 'API Payment', 'SUCCESS',
       'order-' || made.n, 1, made.at, made.at, made.at
  FROM (SELECT s.n, s.ms, to_timestamp(s.ms / 1000.0) AS at
          FROM (SELECT n, %(from_ms)s::bigint + n / 1000 * %(step_ms)s
                          + n %% 1000 * %(step_ms)s / 1000 AS ms
                  FROM generate_series(0, %(count)s::bigint - 1) AS n) s) made
"""

TRANSACTIONS: Final = """
INSERT INTO ledger_transactions (id, payment_id, kind, posted_at)
SELECT (lpad(to_hex(made.ms), 12, '0') || '70009000' || lpad(to_hex(made.n), 12, '0'))::uuid,
       (lpad(to_hex(made.ms), 12, '0') || '70008000' || lpad(to_hex(made.n), 12, '0'))::uuid,
       'payment',
       to_timestamp((%(from_ms)s::bigint + (made.n / 1000 + 1) * %(step_ms)s) / 1000.0)
  FROM (SELECT n, %(from_ms)s::bigint + n / 1000 * %(step_ms)s
                  + n %% 1000 * %(step_ms)s / 1000 AS ms
          FROM generate_series(0, %(count)s::bigint - 1) AS n) made
"""

KEYS: Final = """
INSERT INTO idempotency_keys (merchant_id, key, method, path, fingerprint, response_status,
                              response_body, response_location, created_at, expires_at)
SELECT (%(merchants)s::uuid[])[1 + n %% %(shops)s], 'order-' || n, 'POST', '/api/v1/payments',
       sha256(int8send(n)), 202, convert_to(repeat('x', 400), 'UTF8'),
       '/api/v1/payments/' || uuidv7(), made.at, made.at + interval '1 day'
  FROM (SELECT n, now() - n * interval '23 hours' / %(count)s AS at
          FROM generate_series(1, %(count)s::bigint) AS n) made
"""

TIPS: Final = """
UPDATE accounts SET balance = tip.balance, sequence = tip.sequence, head = tip.head
  FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::bytea[])
       AS tip (id, balance, sequence, head)
 WHERE accounts.id = tip.id
"""

# PostgreSQL's binary COPY format: rows of a field count, and each field with its length before.
COPY: Final = (
    "COPY entries (account_id, sequence, transaction_id, amount, balance_after, hash)"
    " FROM STDIN (FORMAT binary)"
)
COPY_HEAD: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TAIL: Final = b"\xff\xff"
_ROW: Final = struct.Struct(">h i16s iq i16s iq iq i32s")


def fill(connection: psycopg.Connection, shops: Sequence[Shop], payments: int, keys: int) -> None:
    """Give the shops so many settled payments in turn, a batch at a time, and unexpired
    Idempotency-Keys. The connection must be a superuser's, and the accounts without entries."""
    until = datetime.now(UTC).replace(microsecond=0)
    batches = -(-payments // BATCH)
    step_ms = int(SPAN / batches / timedelta(milliseconds=1))
    from_ms = int(until.timestamp()) * 1000 - batches * step_ms
    connection.execute(UNGUARDED)
    laid_out = {
        "merchants": [shop.merchant_id for shop in shops],
        "accounts": [shop.account.id for shop in shops],
        "shops": len(shops),
        "currency": CURRENCY,
        "from_ms": from_ms,
        "step_ms": step_ms,
        "count": payments,
    }
    connection.execute(PAYMENTS, laid_out)
    connection.execute(TRANSACTIONS, laid_out)
    accounts = {shop.account.id: shop.account for shop in shops}
    world = Account.world(CURRENCY, until)
    accounts[world.id] = world
    with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        copy.write(COPY_HEAD)
        for posted in _posted(accounts, shops, world.id, payments, from_ms, step_ms):
            copy.write(b"".join(_rows(posted.entries)))
        copy.write(COPY_TAIL)
    tips = list(accounts.values())
    connection.execute(
        TIPS,
        (
            [tip.id for tip in tips],
            [tip.balance for tip in tips],
            [tip.sequence for tip in tips],
            [tip.head for tip in tips],
        ),
    )
    connection.execute(KEYS, {**laid_out, "count": keys})
    connection.execute(GUARDED)
    # What autovacuum would do in time; and the dirty pages are not the measurement's.
    connection.execute("VACUUM ANALYZE")
    connection.execute("CHECKPOINT")


def _posted(
    accounts: dict[UUID, Account],
    shops: Sequence[Shop],
    world: UUID,
    payments: int,
    from_ms: int,
    step_ms: int,
) -> Iterator[Posted]:
    """Each batch posted on the ones before it; `accounts` moves along."""
    for first in range(0, payments, BATCH):
        begun_ms = from_ms + first // BATCH * step_ms
        postings = []
        for n in range(first, min(first + BATCH, payments)):
            ms = begun_ms + n % BATCH * step_ms // BATCH
            amount = 1 + n % 10_000
            legs = (Leg(world, -amount), Leg(shops[n % len(shops)].account.id, amount))
            postings.append(Posting(_id(ms, 0x9000, n), _id(ms, 0x8000, n), Kind.PAYMENT, legs))
        posted_at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=begun_ms + step_ms)
        posted = post(accounts, postings, posted_at)
        accounts.update((account.id, account) for account in posted.accounts)
        yield posted


def _id(ms: int, variant: int, n: int) -> UUID:
    return UUID(int=ms << 80 | 0x7000 << 64 | variant << 48 | n)


def _rows(entries: Iterable[Entry]) -> Iterator[bytes]:
    for entry in entries:
        yield _ROW.pack(
            6,
            16,
            entry.account_id.bytes,
            8,
            entry.sequence,
            16,
            entry.transaction_id.bytes,
            8,
            entry.amount,
            8,
            entry.balance_after,
            32,
            entry.hash,
        )
