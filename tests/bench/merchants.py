"""Creates merchants and open payments, and waits until all payments are settled.

It inserts whole sets by SQL: creating payments one by one would take longer than settling them.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import psycopg
from redis import Redis

from atomic_adapters.redis.connections import CircuitBreaker
from atomic_adapters.redis.rq_job_queue import RqJobQueue
from atomic_adapters.system import Sha256Hasher, SystemIdGenerator
from atomic_core.domain.accounts import Account
from atomic_core.domain.card_networks import DEFAULT_NETWORK
from atomic_core.ports.job_queue import Job
from bench.servers import SystemUnderTest
from processes import wait_until

CURRENCY: Final = "USD"

SETTLE_TIMEOUT_SECONDS: Final = 300
"""Only stops a run that hangs: settling any backlog here takes much less."""

# Polled while the worker runs, so it must be cheap.
HAS_OPEN_PAYMENTS: Final = "SELECT EXISTS (SELECT FROM payments WHERE phase = 'OPEN')"

_IDS: Final = SystemIdGenerator()


@dataclass(frozen=True, slots=True)
class Merchant:
    account: Account
    api_key: str

    @property
    def id(self) -> UUID:
        assert self.account.merchant_id
        return self.account.merchant_id


def create_merchants(system: SystemUnderTest, count: int) -> list[Merchant]:
    """Create merchants, each with one account and one API key, and the World account."""
    now = datetime.now(UTC)
    merchants = [
        Merchant(
            Account.new_merchant_account(_IDS.new_id(), _IDS.new_id(), "Merchant", CURRENCY, now),
            "sk_test_" + secrets.token_hex(24),
        )
        for _ in range(count)
    ]
    world = Account.new_world_account(CURRENCY, now)
    with system.connect() as connection, connection.transaction():
        _insert_merchants(connection, merchants)
        _insert_accounts(connection, [world, *(merchant.account for merchant in merchants)])
    return merchants


def _insert_merchants(connection: psycopg.Connection, merchants: Sequence[Merchant]) -> None:
    ids = [merchant.id for merchant in merchants]
    hashes = [Sha256Hasher().hash(merchant.api_key) for merchant in merchants]
    connection.execute(
        "INSERT INTO merchants (id, name) SELECT unnest(%s::uuid[]), 'Merchant'", (ids,)
    )
    connection.execute(
        "INSERT INTO api_keys (id, merchant_id, name, prefix, hash)"
        " SELECT uuidv7(), unnest(%s::uuid[]), 'bench', 'sk_test_', unnest(%s::bytea[])",
        (ids, hashes),
    )


def _insert_accounts(connection: psycopg.Connection, accounts: Sequence[Account]) -> None:
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


def insert_open_payments(
    connection: psycopg.Connection,
    merchants: Sequence[Merchant],
    count: int,
    network: str = DEFAULT_NETWORK,
) -> None:
    """Insert payments that are due now, for the merchants in turn."""
    connection.execute(
        "INSERT INTO payments (id, merchant_id, account_id, amount, currency, source, description,"
        "                      request_id, network)"
        " SELECT uuidv7(), (%(merchant_ids)s::uuid[])[1 + n %% %(merchant_count)s],"
        "        (%(account_ids)s::uuid[])[1 + n %% %(merchant_count)s], 1 + n %% 10000,"
        "        %(currency)s, 'tok_visa', 'API Payment', uuidv7()::text, %(network)s"
        "   FROM generate_series(1, %(count)s) AS n",
        {
            "merchant_ids": [merchant.id for merchant in merchants],
            "account_ids": [merchant.account.id for merchant in merchants],
            "merchant_count": len(merchants),
            "currency": CURRENCY,
            "count": count,
            "network": network,
        },
    )


def create_job_queue(system: SystemUnderTest) -> RqJobQueue:
    return RqJobQueue(Redis.from_url(system.redis_url), CircuitBreaker())


def settle_all(
    connection: psycopg.Connection,
    job_queue: RqJobQueue,
    meanwhile: Callable[[], object] = lambda: None,
) -> float:
    """Wake the worker, as new payments would, until no payment is open; return the seconds."""

    def is_done() -> bool:
        meanwhile()
        if connection.execute(HAS_OPEN_PAYMENTS).fetchone() == (False,):
            return True
        # Coalesced: while one wake-up is queued, another one costs one Redis command.
        job_queue.notify(Job.SETTLE)
        return False

    job_queue.notify(Job.SETTLE)
    return wait_until(is_done, SETTLE_TIMEOUT_SECONDS, "all payments are settled")


def count_open_payments(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM payments WHERE phase = 'OPEN'").fetchone()
    assert row
    return row[0]


def count_payments(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM payments").fetchone()
    assert row
    return row[0]
