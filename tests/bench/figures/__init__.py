"""The figures, in the order of measurement."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from bench.figures import (
    accept,
    bulk,
    fairness,
    growth,
    latency,
    ledger,
    longpoll,
    memory,
    network,
    read,
    restarts,
    scale,
    settle,
    sustained,
    waiting,
    webhooks,
)
from bench.measurement import Measurement
from bench.options import Sizes
from bench.servers import BenchCluster


class Figure(NamedTuple):
    measure: Callable[[BenchCluster, Sizes], list[Measurement]]
    drives_wrk: bool = True


FIGURES: Final[Mapping[str, Figure]] = {
    "settle": Figure(settle.measure, drives_wrk=False),
    "accept": Figure(accept.measure),
    "sustained": Figure(sustained.measure),
    "bulk": Figure(bulk.measure),
    "read": Figure(read.measure),
    "latency": Figure(latency.measure, drives_wrk=False),
    "growth": Figure(growth.measure),
    "memory": Figure(memory.measure),
    "scale": Figure(scale.measure, drives_wrk=False),
    "restarts": Figure(restarts.measure, drives_wrk=False),
    "fairness": Figure(fairness.measure, drives_wrk=False),
    "longpoll": Figure(longpoll.measure, drives_wrk=False),
    "waiting": Figure(waiting.measure, drives_wrk=False),
    "webhooks": Figure(webhooks.measure, drives_wrk=False),
    "ledger": Figure(ledger.measure),
    "network": Figure(network.measure, drives_wrk=False),
}
