"""Headers that tell browsers to do nothing with our answers, and CORS for those who may."""

import re
from collections.abc import Sequence
from typing import Final

from flask import Flask
from flask_cors import CORS

from atomic_adapters.settings import Settings

Headers = Sequence[tuple[str, str]]

HEADERS: Final[Headers] = (
    # Answers hold money matters: no cache between us and the caller may keep them.
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)
HSTS: Final = "max-age=31536000; includeSubDomains"
"""Only in production: a developer's localhost must stay reachable over plain HTTP."""

ALLOWED_REQUEST_HEADERS: Final = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "X-Request-Id",
)
EXPOSED_RESPONSE_HEADERS: Final = (
    "Idempotent-Replayed",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-Id",
)
PREFLIGHT_SECONDS: Final = 600


def headers_for_all(settings: Settings) -> Headers:
    """What every answer carries, whatever it is."""
    headers: list[tuple[str, str]] = [*HEADERS]
    if settings.is_production:
        headers.append(("Strict-Transport-Security", HSTS))
    if settings.cors_origins:
        headers.append(("Vary", "Origin"))
    return tuple(headers)


def allow_origins(app: Flask, settings: Settings) -> None:
    """Without a configured origin no CORS header is ever sent. Cookies are never involved."""
    if not settings.cors_origins:
        return
    anyone = "*" in settings.cors_origins
    # Spelt as anchored expressions: flask-cors takes a plain origin with a bracket (IPv6) or
    # a star in it for an expression of its own.
    exactly = [
        re.compile(re.escape(origin) + r"\Z", re.IGNORECASE) for origin in settings.cors_origins
    ]
    CORS(
        app,
        origins="*" if anyone else exactly,
        send_wildcard=anyone,
        methods=["DELETE", "GET", "HEAD", "OPTIONS", "POST"],
        allow_headers=list(ALLOWED_REQUEST_HEADERS),
        expose_headers=list(EXPOSED_RESPONSE_HEADERS),
        max_age=PREFLIGHT_SECONDS,
        always_send=False,
        vary_header=False,  # said above on every answer, the refused ones too
        intercept_exceptions=False,
    )
