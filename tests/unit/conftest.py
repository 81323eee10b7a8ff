"""Restores the logging configuration after each test."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog


@pytest.fixture(autouse=True)
def restored_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands and jobs configure structlog to cache each logger on first use. Without the cache,
    capture_logs() of a later test in this process sees their lines."""
    configure, config = structlog.configure, structlog.get_config()

    def configure_without_cache(**options: Any) -> None:
        configure(**{**options, "cache_logger_on_first_use": False})

    root = logging.getLogger()
    handlers, level = root.handlers.copy(), root.level
    monkeypatch.setattr(structlog, "configure", configure_without_cache)
    yield
    configure(**config)
    root.handlers = handlers
    root.setLevel(level)
