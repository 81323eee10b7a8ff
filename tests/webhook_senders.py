"""Senders of webhooks to receivers on real sockets."""

import ipaddress
import json
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

from atomic_adapters.webhooks.http_sender import HttpWebhookSender
from atomic_adapters.webhooks.signature import generate_secret
from atomic_core.domain.webhooks import WebhookRequest, WebhookResult
from webhook_receivers import HANG_SECONDS, Receiver

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))

SHORT = timedelta(seconds=0.5)
"""For receivers that would answer after HANG_SECONDS or not at all."""

SECRET = generate_secret()

SENDERS: list[HttpWebhookSender] = []
"""Of the running test."""


def build_sender(**options: Any) -> HttpWebhookSender:
    """Its time-out is long: only a receiver that does not answer waits for it."""
    sender = HttpWebhookSender(
        **{"allowed_networks": LOOPBACK, "timeout": timedelta(seconds=HANG_SECONDS), **options}
    )
    SENDERS.append(sender)
    return sender


def build_request(url: str, secrets: Sequence[str] = (SECRET,), **values: Any) -> WebhookRequest:
    event = {"id": str(uuid4()), "type": "payment.succeeded", "data": {"name": "Bücher ✓"}}
    defaults = {
        "id": event["id"],
        "body": json.dumps(event, ensure_ascii=False).encode(),
        "timestamp": int(time.time()),
    }
    return WebhookRequest(url=url, secrets=tuple(secrets), **{**defaults, **values})


def send(receiver: Receiver, **options: Any) -> WebhookResult:
    return build_sender(**options).send(build_request(receiver.url))
