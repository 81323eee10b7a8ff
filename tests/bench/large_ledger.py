"""Fills a database with a large, consistent ledger: the core posts it, and COPY writes it with the
triggers disabled.

Ids are computed in the same way here and in SQL. PostgreSQL can therefore generate the payments and
ledger transactions, and only the entries, which need hashes, are written from here.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import psycopg

from atomic_core.domain.accounts import Account
from atomic_core.domain.ledger import Entry, TransactionKind
from atomic_core.domain.posting import Leg, Posting, PostingResult, post
from bench.merchants import CURRENCY, Merchant

BATCH: Final = 1_000
SPAN: Final = timedelta(days=30)
"""The payments are spread over this time, up to now."""

DISABLE_TRIGGERS: Final = "SET session_replication_role = replica"
ENABLE_TRIGGERS: Final = "SET session_replication_role = origin"

# The id of payment n is (milliseconds, 7000 8000, n): a version 7 UUID that grows with n. A batch
# is posted `step_ms` after its first payment was created; its payments are spread over this time.
INSERT_PAYMENTS: Final = """
INSERT INTO payments (id, merchant_id, account_id, amount, currency, source, description, status,
                      idempotency_key, attempt, due_at, created_at, updated_at)
SELECT (lpad(to_hex(item.ms), 12, '0') || '70008000' || lpad(to_hex(item.n), 12, '0'))::uuid,
       (%(merchant_ids)s::uuid[])[1 + item.n %% %(merchant_count)s],
       (%(account_ids)s::uuid[])[1 + item.n %% %(merchant_count)s],
       1 + item.n %% 10000, %(currency)s, 'tok_visa', 'API Payment', 'SUCCESS',
       'order-' || item.n, 1, item.at, item.at, item.at
  FROM (SELECT s.n, s.ms, to_timestamp(s.ms / 1000.0) AS at
          FROM (SELECT n, %(from_ms)s::bigint + n / 1000 * %(step_ms)s
                          + n %% 1000 * %(step_ms)s / 1000 AS ms
                  FROM generate_series(0, %(count)s::bigint - 1) AS n) AS s) AS item
"""

INSERT_TRANSACTIONS: Final = """
INSERT INTO ledger_transactions (id, payment_id, kind, posted_at)
SELECT (lpad(to_hex(item.ms), 12, '0') || '70009000' || lpad(to_hex(item.n), 12, '0'))::uuid,
       (lpad(to_hex(item.ms), 12, '0') || '70008000' || lpad(to_hex(item.n), 12, '0'))::uuid,
       'payment',
       to_timestamp((%(from_ms)s::bigint + (item.n / 1000 + 1) * %(step_ms)s) / 1000.0)
  FROM (SELECT n, %(from_ms)s::bigint + n / 1000 * %(step_ms)s
                  + n %% 1000 * %(step_ms)s / 1000 AS ms
          FROM generate_series(0, %(count)s::bigint - 1) AS n) AS item
"""

INSERT_KEYS: Final = """
INSERT INTO idempotency_keys (merchant_id, key, method, path, fingerprint, response_status,
                              response_body, response_location, created_at, expires_at)
SELECT (%(merchant_ids)s::uuid[])[1 + n %% %(merchant_count)s], 'order-' || n, 'POST',
       '/api/v1/payments', sha256(int8send(n)), 202, convert_to(repeat('x', 400), 'UTF8'),
       '/api/v1/payments/' || uuidv7(), item.at, item.at + interval '1 day'
  FROM (SELECT n, now() - n * interval '23 hours' / %(count)s AS at
          FROM generate_series(1, %(count)s::bigint) AS n) AS item
"""

UPDATE_ACCOUNTS: Final = """
UPDATE accounts SET balance = state.balance, sequence = state.sequence, head = state.head
  FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::bytea[])
       AS state (id, balance, sequence, head)
 WHERE accounts.id = state.id
"""

# PostgreSQL's binary COPY format: each row has the number of fields, and each field its length.
COPY: Final = (
    "COPY entries (account_id, sequence, transaction_id, amount, balance_after, hash)"
    " FROM STDIN (FORMAT binary)"
)
COPY_HEAD: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TAIL: Final = b"\xff\xff"
_ROW: Final = struct.Struct(">h i16s iq i16s iq iq i32s")


def insert_settled_payments(
    connection: psycopg.Connection, merchants: Sequence[Merchant], payments: int, keys: int
) -> None:
    """Insert settled payments, for the merchants in turn, and unexpired Idempotency-Keys.

    The connection must belong to a superuser. The accounts must not have entries yet.
    """
    until = datetime.now(UTC).replace(microsecond=0)
    batches = -(-payments // BATCH)
    step_ms = int(SPAN / batches / timedelta(milliseconds=1))
    from_ms = int(until.timestamp()) * 1000 - batches * step_ms
    connection.execute(DISABLE_TRIGGERS)
    parameters = {
        "merchant_ids": [merchant.id for merchant in merchants],
        "account_ids": [merchant.account.id for merchant in merchants],
        "merchant_count": len(merchants),
        "currency": CURRENCY,
        "from_ms": from_ms,
        "step_ms": step_ms,
        "count": payments,
    }
    connection.execute(INSERT_PAYMENTS, parameters)
    connection.execute(INSERT_TRANSACTIONS, parameters)
    accounts = {merchant.account.id: merchant.account for merchant in merchants}
    world = Account.new_world_account(CURRENCY, until)
    accounts[world.id] = world
    with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        copy.write(COPY_HEAD)
        for posted in _post_batches(accounts, merchants, world.id, payments, from_ms, step_ms):
            copy.write(b"".join(_pack_entries(posted.entries)))
        copy.write(COPY_TAIL)
    states = list(accounts.values())
    connection.execute(
        UPDATE_ACCOUNTS,
        (
            [account.id for account in states],
            [account.balance for account in states],
            [account.sequence for account in states],
            [account.head for account in states],
        ),
    )
    connection.execute(INSERT_KEYS, {**parameters, "count": keys})
    connection.execute(ENABLE_TRIGGERS)
    connection.execute("SELECT correct_payment_totals()")
    # Autovacuum would do this later, and writing dirty pages would disturb the measurement.
    connection.execute("VACUUM ANALYZE")
    connection.execute("CHECKPOINT")


def _post_batches(
    accounts: dict[UUID, Account],
    merchants: Sequence[Merchant],
    world_id: UUID,
    payments: int,
    from_ms: int,
    step_ms: int,
) -> Iterator[PostingResult]:
    """Yield the result of each batch; updates `accounts` to the state after it."""
    for first in range(0, payments, BATCH):
        first_ms = from_ms + first // BATCH * step_ms
        postings = []
        for n in range(first, min(first + BATCH, payments)):
            ms = first_ms + n % BATCH * step_ms // BATCH
            amount = 1 + n % 10_000
            legs = (Leg(world_id, -amount), Leg(merchants[n % len(merchants)].account.id, amount))
            postings.append(
                Posting(
                    _build_id(ms, 0x9000, n),
                    _build_id(ms, 0x8000, n),
                    TransactionKind.PAYMENT,
                    legs,
                )
            )
        posted_at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=first_ms + step_ms)
        posted = post(accounts, postings, posted_at)
        accounts.update((account.id, account) for account in posted.accounts)
        yield posted


def _build_id(ms: int, variant: int, n: int) -> UUID:
    return UUID(int=ms << 80 | 0x7000 << 64 | variant << 48 | n)


def _pack_entries(entries: Iterable[Entry]) -> Iterator[bytes]:
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
