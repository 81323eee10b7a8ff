"""One way to log for every process: JSON in production, readable lines in development.

Nothing here sees a request's headers; keys and tokens are never handed to a logger.
"""

import json
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson
import structlog
from structlog.typing import Processor

from atomic_adapters.settings import Settings

SHARED: Final[Sequence[Processor]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)


def configure_logging(settings: Settings) -> None:
    """Send structlog's events and the standard library's records to stderr, one a line."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    if settings.log_json:
        renderer = structlog.processors.JSONRenderer(_json_text)
        _write_json(level)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        _write_through_stdlib()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # RQ tells of every job at INFO; our own settle events say more.
    logging.getLogger("rq.worker").setLevel(max(level, logging.WARNING))


def _write_json(level: int) -> None:
    """Our own events, straight to stderr: the standard library's records would cost a request
    more than everything else that is told of it."""
    structlog.configure(
        processors=[*SHARED, structlog.processors.JSONRenderer(_json)],
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )


def _write_through_stdlib() -> None:
    structlog.configure(
        processors=[*SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _json(event: object, default: Callable[[Any], Any]) -> bytes:
    try:
        return orjson.dumps(event, default)
    except TypeError:
        # It has no word for a lone surrogate or a number of 65 bits; a line that tells of one
        # must be written all the same.
        return json.dumps(event, default=default).encode("ascii")


def _json_text(event: object, default: Callable[[Any], Any]) -> str:
    return _json(event, default).decode()
