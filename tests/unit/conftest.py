"""What a command or a job configures lasts for its test."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog


@pytest.fixture(autouse=True)
def logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """structlog's loggers are kept as first used, unless told otherwise: one kept here would
    write past what a later test of this process listens to."""
    configure, before = structlog.configure, structlog.get_config()

    def configure_for_now(**options: Any) -> None:
        configure(**{**options, "cache_logger_on_first_use": False})

    root = logging.getLogger()
    handlers, level = root.handlers.copy(), root.level
    monkeypatch.setattr(structlog, "configure", configure_for_now)
    yield
    configure(**before)
    root.handlers = handlers
    root.setLevel(level)
