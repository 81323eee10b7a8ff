"""A worker or sweeper that does nothing, because SETTLE is off."""

from typing import Final

import structlog

from atomic_adapters.environ import SettingsError
from atomic_adapters.settings import Settings
from atomic_worker.stop_request import StopRequest

REPEAT_SECONDS: Final = 60.0
"""Between two log lines: a pause that was forgotten is found in the newest minute of the log."""

_log = structlog.get_logger(__name__)


def wait_while_off(process: str, stop: StopRequest) -> None:
    """Claim, expire, purge and send nothing until a stop is requested."""
    while not stop.is_requested:
        _log.warning("settlement is off", process=process, setting="SETTLE=off")
        stop.wait(REPEAT_SECONDS)
    _log.info(f"{process} stopped")


def require_settlement(settings: Settings) -> None:
    """Raise SettingsError if SETTLE is off: for a command that would settle once."""
    if not settings.settles:
        raise SettingsError(
            "SETTLE: is off, so nothing is settled, expired or sent. Compare the ledger with the"
            " card network first (atomic reconcile), then set SETTLE=on."
        )
