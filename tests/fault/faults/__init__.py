"""The catalogue of all faults, grouped by the component that fails."""

from collections.abc import Mapping
from typing import Final

from fault.faults import api, clock, network, postgres, valkey, workers
from fault.faults.fault import Fault

FAULTS: Final[Mapping[str, Fault]] = {
    fault.name: fault
    for module in (workers, api, postgres, valkey, network, clock)
    for fault in module.FAULTS
}

__all__ = ["FAULTS", "Fault"]
