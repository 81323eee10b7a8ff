"""Sending webhooks."""

from typing import Protocol

from atomic_core.domain.webhooks import WebhookRequest, WebhookResult


class WebhookSender(Protocol):
    """Called outside of any transaction, by several threads at once."""

    def send(self, request: WebhookRequest) -> WebhookResult:
        """POST the body, signed after Standard Webhooks. Never raises for what the receiver does:
        `error` says in words what went wrong."""
        ...
