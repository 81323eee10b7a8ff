"""The catalogue: every fault there is, in groups by what breaks."""

from collections.abc import Mapping
from typing import Final

from fault.faults import api, clock, network, postgres, settlers, valkey
from fault.faults.fault import Fault

FAULTS: Final[Mapping[str, Fault]] = {
    fault.name: fault
    for module in (settlers, api, postgres, valkey, network, clock)
    for fault in module.FAULTS
}

__all__ = ["FAULTS", "Fault"]
