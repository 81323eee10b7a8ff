"""Security headers for browsers, and CORS for configured origins."""

import re
from collections.abc import Sequence
from typing import Final

from flask import Flask
from flask_cors import CORS

from atomic_adapters.settings import Settings

Headers = Sequence[tuple[str, str]]

HEADERS: Final[Headers] = (
    # Responses are confidential: no cache may store them.
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)
HSTS: Final = "max-age=31536000; includeSubDomains"
"""Only in production: in development, localhost must stay reachable over plain HTTP."""

ALLOWED_REQUEST_HEADERS: Final = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "Prefer",
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


def build_security_headers(settings: Settings) -> Headers:
    """The headers of every response, errors included."""
    headers: list[tuple[str, str]] = [*HEADERS]
    if settings.is_production:
        headers.append(("Strict-Transport-Security", HSTS))
    if settings.cors_origins:
        headers.append(("Vary", "Origin"))
    return tuple(headers)


def configure_cors(app: Flask, settings: Settings) -> None:
    """Without configured origins no CORS header is sent. The API uses no cookies."""
    if not settings.cors_origins:
        return
    is_any_origin_allowed = "*" in settings.cors_origins
    # Anchored expressions, because flask-cors would interpret a bracket (IPv6) or a star in a
    # plain origin as a regular expression.
    origin_patterns = [
        re.compile(re.escape(origin) + r"\Z", re.IGNORECASE) for origin in settings.cors_origins
    ]
    CORS(
        app,
        origins="*" if is_any_origin_allowed else origin_patterns,
        send_wildcard=is_any_origin_allowed,
        methods=["DELETE", "GET", "HEAD", "OPTIONS", "POST"],
        allow_headers=list(ALLOWED_REQUEST_HEADERS),
        expose_headers=list(EXPOSED_RESPONSE_HEADERS),
        max_age=PREFLIGHT_SECONDS,
        always_send=False,
        vary_header=False,  # build_security_headers adds it to every response
        intercept_exceptions=False,
    )
