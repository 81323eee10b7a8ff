"""Merchants with accounts and keys, payments that wait, and waiting until none does.

All set-based, in SQL: one by one, making the work would take longer than doing it.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import psycopg
from redis import Redis

from atomic_adapters.redis.connections import Breaker
from atomic_adapters.redis.rq_job_queue import RqJobQueue
from atomic_adapters.system import Sha256Hasher, SystemIds
from atomic_core.domain.accounts import Account
from atomic_core.ports.job_queue import Job
from bench.servers import Subject
from processes import eventually

CURRENCY: Final = "USD"

SETTLED_WITHIN: Final = 300
"""Seconds; far more than any backlog here needs."""

# Asked over and over while the worker is at work, so it must cost next to nothing.
OPEN: Final = "SELECT EXISTS (SELECT FROM payments WHERE phase = 'OPEN')"

_IDS: Final = SystemIds()


@dataclass(frozen=True, slots=True)
class Shop:
    account: Account
    key: str

    @property
    def merchant_id(self) -> UUID:
        assert self.account.merchant_id
        return self.account.merchant_id


def open_shops(subject: Subject, count: int) -> list[Shop]:
    """Merchants, each with one account and one key, and the World account they share."""
    now = datetime.now(UTC)
    shops = [
        Shop(
            Account.opened(_IDS.new_id(), _IDS.new_id(), "Shop", CURRENCY, now),
            "sk_test_" + secrets.token_hex(24),
        )
        for _ in range(count)
    ]
    world = Account.world(CURRENCY, now)
    with subject.connect() as connection, connection.transaction():
        _add_merchants(connection, shops)
        _add_accounts(connection, [world, *(shop.account for shop in shops)])
    return shops


def _add_merchants(connection: psycopg.Connection, shops: Sequence[Shop]) -> None:
    merchants = [shop.merchant_id for shop in shops]
    hashes = [Sha256Hasher().hash(shop.key) for shop in shops]
    connection.execute(
        "INSERT INTO merchants (id, name) SELECT unnest(%s::uuid[]), 'Shop'", (merchants,)
    )
    connection.execute(
        "INSERT INTO api_keys (id, merchant_id, name, prefix, hash)"
        " SELECT uuidv7(), unnest(%s::uuid[]), 'bench', 'sk_test_', unnest(%s::bytea[])",
        (merchants, hashes),
    )


def _add_accounts(connection: psycopg.Connection, accounts: Sequence[Account]) -> None:
    connection.execute(
        "INSERT INTO accounts (id, merchant_id, name, currency, type, allow_negative, head)"
        " SELECT unnest(%s::uuid[]), unnest(%s::uuid[]), unnest(%s::text[]), unnest(%s::text[]),"
        "        unnest(%s::text[]), unnest(%s::boolean[]), unnest(%s::bytea[])",
        (
            [account.id for account in accounts],
            [account.merchant_id for account in accounts],
            [account.name for account in accounts],
            [account.currency for account in accounts],
            [account.type.value for account in accounts],
            [account.allow_negative for account in accounts],
            [account.head for account in accounts],
        ),
    )


def add_waiting(connection: psycopg.Connection, shops: Sequence[Shop], count: int) -> None:
    """Payments due at once, the shops' in turn."""
    connection.execute(
        "INSERT INTO payments (id, merchant_id, account_id, amount, currency, source, description,"
        "                      request_id)"
        " SELECT uuidv7(), (%(merchants)s::uuid[])[1 + n %% %(shops)s],"
        "        (%(accounts)s::uuid[])[1 + n %% %(shops)s], 1 + n %% 10000, %(currency)s,"
        "        'tok_visa', 'API Payment', uuidv7()::text"
        "   FROM generate_series(1, %(count)s) AS n",
        {
            "merchants": [shop.merchant_id for shop in shops],
            "accounts": [shop.account.id for shop in shops],
            "shops": len(shops),
            "currency": CURRENCY,
            "count": count,
        },
    )


def bell_of(subject: Subject) -> RqJobQueue:
    return RqJobQueue(Redis.from_url(subject.redis_url), Breaker())


def settle_all(
    connection: psycopg.Connection,
    bell: RqJobQueue,
    meanwhile: Callable[[], object] = lambda: None,
) -> float:
    """Ring, as arriving payments would, until no payment is open; return the seconds."""

    def is_done() -> bool:
        meanwhile()
        if connection.execute(OPEN).fetchone() == (False,):
            return True
        # Coalesced: as long as one ring is outstanding, another costs one command.
        bell.notify(Job.SETTLE)
        return False

    bell.notify(Job.SETTLE)
    return eventually(is_done, SETTLED_WITHIN, "everything is settled")


def backlog(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM payments WHERE phase = 'OPEN'").fetchone()
    assert row
    return row[0]


def count_payments(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM payments").fetchone()
    assert row
    return row[0]
