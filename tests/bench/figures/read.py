"""How many payments can be read per second, beside a bare Flask view with one SELECT."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final
from uuid import UUID

import psycopg

from bench import reference_app
from bench.figures.accept import FULL_LOAD, line_of
from bench.measurement import Line, alternate
from bench.merchants import Shop, add_waiting, bell_of, open_shops, settle_all
from bench.options import Sizes
from bench.servers import Ground
from bench.wrk import Request, drive

MERCHANTS: Final = 100

READ: Final = 10_000
"""Payments that are read in turn, picked at random from all."""


def questions(connection: psycopg.Connection, shops: Sequence[Shop]) -> list[Request]:
    """GETs of random settled payments, each by its merchant."""
    keys: Mapping[UUID, str] = {shop.merchant_id: shop.key for shop in shops}
    rows = connection.execute(
        "SELECT id, merchant_id FROM payments WHERE status = 'SUCCESS' ORDER BY random() LIMIT %s",
        (READ,),
    )
    return [Request("GET", f"/api/v1/payments/{id}", keys[merchant]) for id, merchant in rows]


def measure(ground: Ground, sizes: Sizes) -> list[Line]:
    subject = ground.subject("read")
    shops = open_shops(subject, MERCHANTS)
    subject.start_settlers("worker")
    with subject.connect() as connection:
        add_waiting(connection, shops, sizes.readable)
        settle_all(connection, bell_of(subject))
        subject.settlers.stop()
        reference_app.copy_payments(connection)
        asked = questions(connection, shops)
    subject.api.start("api")
    subject.bare.start("api")
    seconds = sizes.load_seconds
    loads, references = alternate(
        sizes.repeats,
        partial(drive, subject.api.base_url, asked, FULL_LOAD, seconds),
        partial(drive, subject.bare.base_url, asked, FULL_LOAD, seconds),
    )
    return [line_of("read", f"{FULL_LOAD} connections", loads, references)]
