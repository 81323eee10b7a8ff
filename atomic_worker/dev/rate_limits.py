"""The rate limits of `atomic dev`: a developer's shop sends more requests than the limits of a
public installation allow."""

from collections.abc import Mapping, MutableMapping
from typing import Final

DEVELOPMENT_LIMITS: Final[Mapping[str, str]] = {
    "RATE_LIMIT_GLOBAL": "60000/60",
    "RATE_LIMIT_SERVICE": "60000/60",
    "RATE_LIMIT_PAYMENTS": "60000/60",
}
"""Those of logins and passwords stay as they are."""


def set_development_limits(environ: MutableMapping[str, str]) -> str | None:
    """Set the limits that `environ` leaves open. Return the line that says so, None if it sets
    none. An empty variable counts as unset."""
    limits = {name: value for name, value in DEVELOPMENT_LIMITS.items() if not environ.get(name)}
    if not limits:
        return None
    environ.update(limits)
    names = " ".join(f"{name}={value}" for name, value in limits.items())
    return f"rate limits for development: {names}; set them to use your own"
