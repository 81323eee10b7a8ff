"""Webhooks: what is sent to a receiver, and what came of it."""

from typing import NamedTuple


class WebhookRequest(NamedTuple):
    """One attempt to send one event."""

    id: str
    """The event's id: the same in every attempt and replay."""
    url: str
    body: bytes
    secrets: tuple[str, ...]
    """`whsec_…`, newest first. The body is signed with each of them."""
    timestamp: int
    """Of this attempt, in seconds since 1970."""


class WebhookResult(NamedTuple):
    """What came of one attempt. It succeeded if `status_code` is 2xx."""

    status_code: int | None
    """None unless the receiver has answered completely and in time."""
    error: str | None
    """In words what went wrong; None after 2xx."""
    duration_ms: int
    response: str
    """The first KiB of the answer's body."""
    retry_after: int | None
    """Seconds, as the receiver requests."""
