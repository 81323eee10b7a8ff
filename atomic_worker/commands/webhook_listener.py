"""`atomic webhooks listen`: reads events from the API and forwards them as signed webhooks."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import click
import urllib3
from urllib3.exceptions import HTTPError

from atomic_adapters.wiring import build_forwarding_sender
from atomic_core.domain.webhooks import WebhookRequest, WebhookResult
from atomic_core.ports.webhook_sender import WebhookSender
from atomic_worker.commands.tables import format_time, render_line

WAIT_SECONDS: Final = 20
"""Of one request for events: 45 requests in 15 minutes, of the 100 that the API allows."""

PAGE_SIZE: Final = 100

TIMEOUT: Final = urllib3.Timeout(connect=3, read=WAIT_SECONDS + 10)

MIN_PAUSE_SECONDS: Final = 1.0
MAX_PAUSE_SECONDS: Final = 30.0
"""Between two requests to an API that is away, unless it says how long."""

_WIDTHS: Final = (20, 9, 25, 36, 9, 40)
"""Of the columns, which are printed row by row."""

_RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class _ApiAway(Exception):
    """The API did not answer, or answered that it cannot serve now."""

    def __init__(self, problem: str, seconds: float | None = None) -> None:
        super().__init__(problem)
        self.seconds = seconds
        """The API's Retry-After."""


@dataclass(slots=True)
class Listener:
    base_url: str
    api_key: str = field(repr=False)
    forward_to: str
    secret: str = field(repr=False)
    after: int | None
    """The sequence number after which to begin; None for the end of the stream."""
    pause: Callable[[float], None] = time.sleep
    _http: urllib3.PoolManager = field(
        default_factory=lambda: urllib3.PoolManager(retries=False, timeout=TIMEOUT)
    )
    _failures: int = 0
    """Of the API in a row."""

    def run(self) -> None:
        """Return on Ctrl-C. Raises ClickException for an answer that waiting does not change."""
        click.echo(f"Signing secret: {self.secret}", err=True)
        click.echo(f"Forwarding events to {self.forward_to}. Ctrl-C ends.", err=True)
        headings = ("At", "Sequence", "Event", "Id", "Time", "Answer")
        with closing(build_forwarding_sender()) as sender, self._http:
            try:
                click.echo(render_line(headings, _WIDTHS))
                while True:
                    self._poll(sender)
            except KeyboardInterrupt:
                click.echo("Ended.", err=True)

    def _poll(self, sender: WebhookSender) -> None:
        try:
            if self.after is None:
                self.after = self._get_last_sequence()
            wait = {"after": self.after, "wait": WAIT_SECONDS, "limit": PAGE_SIZE}
            events = self._read_events(wait)
        except _ApiAway as away:
            seconds = min(MAX_PAUSE_SECONDS, MIN_PAUSE_SECONDS * 2**self._failures)
            seconds = seconds if away.seconds is None else away.seconds
            click.echo(f"{away}. Trying again in {seconds:.0f} s.", err=True)
            self._failures += 1
            self.pause(seconds)
            return
        self._failures = 0
        for event in events:
            self._forward(event, sender)
            self.after = event["sequence"]

    def _get_last_sequence(self) -> int:
        newest = self._read_events({"limit": 1, "order": "desc"})
        return newest[0]["sequence"] if newest else 0

    def _read_events(self, query: Mapping[str, object]) -> list[Any]:
        url = f"{self.base_url.rstrip('/')}/api/v1/events?{urlencode(query)}"
        headers = {"Authorization": f"Bearer {self.api_key}"}
        try:
            response = self._http.request("GET", url, headers=headers, redirect=False)
        except HTTPError as error:
            raise _ApiAway(f"{self.base_url} does not answer ({type(error).__name__})") from error
        if response.status in _RETRIED:
            seconds = response.headers.get("Retry-After", "")
            problem = f"{self.base_url} answered {response.status}"
            raise _ApiAway(problem, float(seconds) if seconds.isdigit() else None)
        try:
            document = json.loads(response.data)
            if response.status == 200:
                return document["data"]["items"]
            message = document["error"]["message"]
        except (ValueError, LookupError, TypeError):
            message = "This is not the API of Atomic: check --base-url."
        raise click.ClickException(f"{self.base_url} answered {response.status}: {message}")

    def _forward(self, event: Mapping[str, Any], sender: WebhookSender) -> None:
        # As the API encodes it, and webhooks with it: compact, without escapes.
        body = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
        request = WebhookRequest(
            event["id"], self.forward_to, body, (self.secret,), int(time.time())
        )
        result = sender.send(request)
        cells = (
            format_time(datetime.now(UTC)),
            event["sequence"],
            event["type"],
            event["id"],
            f"{result.duration_ms} ms",
            _describe(result),
        )
        click.echo(render_line(cells, _WIDTHS))


def _describe(result: WebhookResult) -> str:
    first_line = next(iter(result.response.splitlines()), "")
    outcome = result.error or str(result.status_code)
    return f"{outcome}  {first_line}".rstrip()
