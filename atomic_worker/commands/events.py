"""`atomic events …`"""

from collections.abc import Iterator, Mapping
from typing import Final
from uuid import UUID

import click

from atomic_core.application import Application
from atomic_core.domain.errors import StorageUnavailable
from atomic_core.domain.events import StreamEvent
from atomic_worker.commands.console import (
    CliContext,
    UuidParam,
    json_option,
    pass_cli_context,
    print_json,
)
from atomic_worker.commands.tables import format_time, render_line
from atomic_worker.stop_request import StopRequest

POLL_SECONDS: Final = 0.5
"""Between two looks at the streams: soon enough for a person who watches."""

PAGE_SIZE: Final = 100

_WIDTHS: Final = (20, 9, 25, 11, 36, 36, 36)
"""Of the columns. Rows are printed one by one, so their widths cannot depend on later rows."""


@click.group()
def events() -> None:
    """Watch the streams of events."""


@events.command()
@click.option("--merchant", "merchant_id", type=UuidParam(), help="Only this merchant's stream.")
@click.option(
    "--after",
    type=click.IntRange(0),
    help="Begin after this sequence number, 0 for the whole stream; needs --merchant. Default: only"
    " events from now on.",
)
@json_option
@pass_cli_context
def tail(cli: CliContext, merchant_id: UUID | None, after: int | None, *, as_json: bool) -> None:
    """Print events as they are recorded, until Ctrl-C.

    Each event is one line, with --json one JSON object. While PostgreSQL is unavailable the command
    waits for it, and then goes on where it was.
    """
    if after is not None and merchant_id is None:
        raise click.UsageError(
            "--after needs --merchant: each merchant's stream has its own numbers."
        )
    application = cli.application
    with StopRequest.on_signals() as stop:
        positions = application.events.get_last_sequences(merchant_id)
        if merchant_id is not None:
            positions = {merchant_id: positions.get(merchant_id, 0) if after is None else after}
        if not as_json:
            headings = ("At", "Sequence", "Event", "Status", "Payment", "Refund", "Merchant")
            click.echo(render_line(headings, _WIDTHS))
        while not stop.is_requested:
            try:
                for event in _read_new_events(application, merchant_id, positions):
                    _print_event(event, as_json=as_json)
                    if stop.is_requested:
                        return
            except StorageUnavailable as error:
                click.echo(f"{error.message} Trying again.", err=True)
            stop.wait(POLL_SECONDS)


def _read_new_events(
    application: Application, merchant_id: UUID | None, positions: dict[UUID, int]
) -> Iterator[StreamEvent]:
    """The events after the positions, which move along."""
    for id, last_sequence in application.events.get_last_sequences(merchant_id).items():
        while positions.get(id, 0) < last_sequence:
            page = application.events.tail(id, positions.get(id, 0), PAGE_SIZE)
            if not page:
                break
            for event in page:
                positions[id] = event.sequence
                yield event


def _print_event(event: StreamEvent, *, as_json: bool) -> None:
    if as_json:
        print_json(_event_to_json(event))
        return
    of = event.event
    cells = (
        format_time(event.occurred_at),
        event.sequence,
        of.type,
        of.status,
        of.payment_id,
        of.refund_id,
        of.merchant_id,
    )
    click.echo(render_line(cells, _WIDTHS))


def _event_to_json(event: StreamEvent) -> Mapping[str, object]:
    return {
        "id": event.id,
        "merchantId": event.event.merchant_id,
        "sequence": event.sequence,
        "type": event.event.type,
        "occurredAt": event.occurred_at,
        "paymentId": event.event.payment_id,
        "refundId": event.event.refund_id,
        "data": event.event.data,
        "requestId": event.event.request_id,
    }
