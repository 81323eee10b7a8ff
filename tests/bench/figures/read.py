"""Payments that can be read per second, beside a Flask view with one SELECT."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final
from uuid import UUID

import psycopg

from bench import reference_app
from bench.figures.accept import FULL_LOAD, build_measurement
from bench.measurement import Measurement, alternate
from bench.merchants import (
    Merchant,
    create_job_queue,
    create_merchants,
    insert_open_payments,
    settle_all,
)
from bench.options import Sizes
from bench.servers import BenchCluster
from bench.wrk import Request, drive

MERCHANTS: Final = 100

READ_PAYMENTS: Final = 10_000
"""Random payments that are read in turn."""


def build_read_requests(
    connection: psycopg.Connection, merchants: Sequence[Merchant]
) -> list[Request]:
    """Build GETs of random settled payments, each with its merchant's key."""
    api_keys: Mapping[UUID, str] = {merchant.id: merchant.api_key for merchant in merchants}
    rows = connection.execute(
        "SELECT id, merchant_id FROM payments WHERE status = 'SUCCESS' ORDER BY random() LIMIT %s",
        (READ_PAYMENTS,),
    )
    return [
        Request("GET", f"/api/v1/payments/{id}", api_keys[merchant_id]) for id, merchant_id in rows
    ]


def measure(cluster: BenchCluster, sizes: Sizes) -> list[Measurement]:
    system = cluster.create_system("read")
    merchants = create_merchants(system, MERCHANTS)
    system.start_workers("worker")
    with system.connect() as connection:
        insert_open_payments(connection, merchants, sizes.readable)
        settle_all(connection, create_job_queue(system))
        system.workers.stop()
        reference_app.copy_payments(connection)
        read_requests = build_read_requests(connection, merchants)
    system.api.start("api")
    system.reference_api.start("api")
    seconds = sizes.load_seconds
    loads, references = alternate(
        sizes.repeats,
        partial(drive, system.api.base_url, read_requests, FULL_LOAD, seconds),
        partial(drive, system.reference_api.base_url, read_requests, FULL_LOAD, seconds),
    )
    return [build_measurement("read", f"{FULL_LOAD} connections", loads, references)]
