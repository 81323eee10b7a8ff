"""The settings of card networks."""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from urllib.parse import SplitResult, urlsplit

from atomic_adapters.environ import EnvironReader

SECRET_KEY: Final = "STRIPE_SECRET_KEY"  # noqa: S105  a name

KEY_PREFIXES: Final = ("sk_", "rk_")
"""Of Stripe's secret keys, and of keys with restricted permissions."""

WEBHOOK_SECRET: Final = "STRIPE_WEBHOOK_SECRET"  # noqa: S105  a name

TEST_KEY_PREFIXES: Final = ("sk_test_", "rk_test_")

REQUESTS_IN_TURN: Final = 4
"""Requests that each connection to a card network carries for one batch."""

MAX_RETURN_URL: Final = 1_000
"""Characters. Stripe adds the ids of the payment to it."""

LOOPBACK_HOSTS: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class StripeSettings:
    secret_key: str = field(repr=False)
    """Empty if no merchant uses Stripe."""
    api_base: str
    """Without a slash at the end."""
    concurrency: int
    """Requests that one process has under way at once."""
    batch: int = 0
    """Payments and refunds per settlement transaction; 0: a few per connection."""
    timeout: timedelta = timedelta(seconds=10)
    """Of one call for a batch."""
    lease: timedelta = timedelta(seconds=2)
    webhook_secret: str = field(default="", repr=False)
    """Signs the events that Stripe sends; empty if it sends none."""
    return_url: str = ""
    """Where a customer's browser goes from Stripe after an authentication. Empty: payments that
    require one fail."""

    @property
    def batch_size(self) -> int:
        """A batch is posted when its last claim is answered. With a request per claim, it has as
        many claims as are answered within about a second."""
        return self.batch or REQUESTS_IN_TURN * self.concurrency

    @property
    def is_test_mode(self) -> bool:
        """Whether the key is of Stripe's test mode, in which no card is charged."""
        return self.secret_key.startswith(TEST_KEY_PREFIXES)


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    card_network: str
    """sandbox or stripe."""
    stripe: StripeSettings

    @property
    def is_stripe(self) -> bool:
        return self.card_network == "stripe"

    @property
    def has_stripe(self) -> bool:
        """Whether payments can be settled through Stripe, be it for single merchants."""
        return bool(self.stripe.secret_key)

    @property
    def has_stripe_events(self) -> bool:
        return self.has_stripe and bool(self.stripe.webhook_secret)

    @classmethod
    def read(cls, reader: EnvironReader) -> "NetworkSettings":
        settings = cls(
            card_network=reader.read_choice("CARD_NETWORK", ("sandbox", "stripe")),
            stripe=StripeSettings(
                secret_key=reader.read(
                    SECRET_KEY,
                    "",
                    _parse_secret_key,
                    "a secret key of Stripe, which begins with sk_ or rk_",
                    secret=True,
                ),
                api_base=reader.read(
                    "STRIPE_API_BASE",
                    "https://api.stripe.com",
                    _parse_api_base,
                    "an https:// URL without a path; http:// only to this machine",
                ),
                # A thread each, which mostly waits.
                concurrency=reader.read_integer("STRIPE_CONCURRENCY", 64, 1, 1_000),
                batch=reader.read_integer("STRIPE_BATCH", 0, 0, 10_000),
                # Stripe answers most requests within a second or two, and its own client waits for
                # 80 s. What takes longer is in doubt, and inquired about.
                timeout=reader.read_seconds("STRIPE_TIMEOUT_SECONDS", 10, 0.1, 30),
                lease=reader.read_seconds("STRIPE_LEASE_SECONDS", 2, 0.1, 3_600),
                webhook_secret=reader.read(
                    WEBHOOK_SECRET,
                    "",
                    _parse_webhook_secret,
                    "the signing secret of a webhook endpoint at Stripe, which begins with whsec_",
                    secret=True,
                ),
                return_url=reader.read(
                    "STRIPE_RETURN_URL",
                    "",
                    _parse_return_url,
                    "an https:// URL of up to 1,000 characters; http:// only to this machine",
                ),
            ),
        )
        is_key_malformed = any(error.startswith(SECRET_KEY) for error in reader.errors)
        if settings.is_stripe and not settings.stripe.secret_key and not is_key_malformed:
            reader.errors.append(
                f"{SECRET_KEY}: expected a secret key of Stripe for CARD_NETWORK=stripe,"
                " got nothing"
            )
        return settings


def _parse_secret_key(raw: str) -> str:
    if raw and not (raw.startswith(KEY_PREFIXES) and raw.isascii() and raw.isprintable()):
        raise ValueError
    if " " in raw:
        raise ValueError
    return raw


def _parse_webhook_secret(raw: str) -> str:
    is_secret = re.fullmatch(r"whsec_[A-Za-z0-9+/=_-]+", raw)
    if raw and not is_secret:
        raise ValueError
    return raw


def _is_safe(parts: SplitResult) -> bool:
    """In plain text only to this machine."""
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS)


def _parse_return_url(raw: str) -> str:
    is_printable = raw.isascii() and raw.isprintable() and " " not in raw
    if raw and not (is_printable and len(raw) <= MAX_RETURN_URL and _is_safe(urlsplit(raw))):
        raise ValueError
    return raw


def _parse_api_base(raw: str) -> str:
    parts = urlsplit(raw)
    # The key is sent with each request.
    is_safe = _is_safe(parts)
    has_more = parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc
    # Reading the port checks it.
    if not is_safe or has_more or not parts.hostname or parts.port == 0:
        raise ValueError
    return raw.rstrip("/")
