"""Builds a webhook sender when the first webhook is sent."""

import threading
from collections.abc import Callable

from atomic_core.domain.webhooks import WebhookRequest, WebhookResult
from atomic_core.ports.webhook_sender import WebhookSender


class DeferredWebhookSender:
    """Saves a process that sends no webhook the HTTP client and the certificates of the TLS
    context: loading them takes a tenth of the time of its start."""

    def __init__(self, build: Callable[[], WebhookSender]) -> None:
        self._build = build
        self._sender: WebhookSender | None = None
        self._lock = threading.Lock()

    def send(self, request: WebhookRequest) -> WebhookResult:
        return self._get_sender().send(request)

    def _get_sender(self) -> WebhookSender:
        with self._lock:
            if self._sender is None:
                self._sender = self._build()
            return self._sender
