"""The figures, in the order in which they are measured."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from bench.figures import (
    accept,
    bulk,
    growth,
    latency,
    memory,
    read,
    scale,
    settle,
    sustained,
)
from bench.measurement import Line
from bench.options import Sizes
from bench.servers import Ground


class Figure(NamedTuple):
    measure: Callable[[Ground, Sizes], list[Line]]
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
}
