"""What operators watch of webhooks: how far endpoints are behind, and what has failed."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from atomic_core.domain.webhooks import DisabledReason

MAX_COUNTED: Final = 100_000
"""Deliveries of a status that are counted: the number means so many or more. Bounds the time of the
query."""


class WebhookBacklog(NamedTuple):
    """Of all merchants."""

    lag_events: int
    """From the position of the slowest enabled endpoint to the end of its merchant's stream."""
    lag_seconds: float
    """The age of the oldest event that an enabled endpoint has not passed; 0 if there is none."""
    pending: int
    """Deliveries that failed and are retried, up to MAX_COUNTED."""
    failed: int
    """Dead letters, up to MAX_COUNTED."""
    paused: int
    """Enabled endpoints that get nothing for a while, after failures in a row."""
    disabled: Mapping[DisabledReason, int]
    """Endpoints; every reason has a number."""
