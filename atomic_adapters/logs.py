"""Logging for every process: JSON in production, readable lines in development.

Keys, tokens and request headers are never passed to a logger.
"""

import json
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson
import structlog
from structlog.typing import EventDict, Processor

from atomic_adapters.settings import Settings

_SHARED_PROCESSORS: Final[Sequence[Processor]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)

_LAST_FIELDS: Final = ("merchant_id", "request_id", "server_request_id", "logger")
"""Of a line of text: they identify what it is about, and few readers need them."""


def configure_logging(settings: Settings) -> None:
    """Send structlog's events and the standard library's records to stderr, one a line."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    if settings.log_json:
        renderer = structlog.processors.JSONRenderer(_encode_json_text)
        _configure_json_output(level)
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            pad_event_to=0,
            pad_level=False,
            sort_keys=False,
            timestamp_key="time",
        )
        _configure_stdlib_output()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED_PROCESSORS,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([] if settings.log_json else [_order_for_reading]),
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # RQ logs every job at INFO; our own settlement events hold more.
    logging.getLogger("rq.worker").setLevel(max(level, logging.WARNING))
    # It logs URLs of webhooks, which often contain a token.
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    # It logs what it sends, which contains card tokens, and messages that quote it.
    logging.getLogger("stripe").setLevel(logging.CRITICAL)


def _configure_json_output(level: int) -> None:
    """Write our own events directly to stderr: creating a standard library record would take longer
    than the rest of a request's logging."""
    structlog.configure(
        processors=[*_SHARED_PROCESSORS, structlog.processors.JSONRenderer(_encode_json)],
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )


def _configure_stdlib_output() -> None:
    structlog.configure(
        processors=[*_SHARED_PROCESSORS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _order_for_reading(_logger: object, _method: str, event: EventDict) -> EventDict:
    """The fields of a line of text, the important ones first. A request is described by its event:
    `POST /payments 202 21 ms`."""
    line: EventDict = {"time": str(event.pop("timestamp"))[11:23], "level": event.pop("level")}
    line["event"] = event.pop("event")
    if line["event"] == "request":
        route = str(event.pop("route")).removeprefix("/api/v1") or "/"
        line["event"] = " ".join(
            (
                *(str(event.pop("method")), route, str(event.pop("status"))),
                f"{event.pop('duration_ms'):.0f} ms",
            )
        )
        del event["logger"]
    last = {name: event.pop(name) for name in _LAST_FIELDS if name in event}
    return {**line, **event, **last}


def _encode_json(event: object, default: Callable[[Any], Any]) -> bytes:
    try:
        return orjson.dumps(event, default)
    except TypeError:
        # orjson refuses lone surrogates and integers of more than 64 bits; an event that holds one
        # must still be logged.
        return json.dumps(event, default=default).encode("ascii")


def _encode_json_text(event: object, default: Callable[[Any], Any]) -> str:
    return _encode_json(event, default).decode()
