"""Fields and manners that all schemas share."""

from collections.abc import Callable
from typing import Any, Final, cast

from marshmallow import RAISE, Schema, ValidationError, fields

from atomic_core.domain.errors import ValidationFailed
from atomic_core.domain.moments import rfc3339
from atomic_web.context import door
from atomic_web.ids import canonical_uuid

MAX_FAULTS: Final = 20
MAX_NAME: Final = 64
"""Faults are told under the caller's own field names: how many and how long, we decide."""


class RequestSchema(Schema):
    """A request body. Unknown fields are refused: a typo must not go unnoticed."""

    class Meta:
        unknown = RAISE

    def read(self, content: dict[str, Any]) -> dict[str, Any]:
        """The validated values by attribute name. Raises ValidationFailed with all faults."""
        try:
            return cast("dict[str, Any]", self.load(content))
        except ValidationError as error:
            raise ValidationFailed(details=_details(error)) from error


def _details(error: ValidationError) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for name, faults in list(error.normalized_messages().items())[:MAX_FAULTS]:
        told[str(name)[:MAX_NAME]] = [str(fault) for fault in faults]
    return told


def check_currency(code: str) -> None:
    """By membership, not by pattern: `USD` and a line end is not USD."""
    currencies = door().settings.currencies
    if code not in currencies:
        raise ValidationError(f"Must be one of {', '.join(sorted(currencies))}.")


def check_uuid(text: str) -> None:
    if canonical_uuid(text) is None:
        raise ValidationError("Must be a UUID in lower case with hyphens.")


class Timestamp(fields.DateTime):
    """A moment on its way out: RFC 3339, UTC, exactly milliseconds."""

    # Declared as marshmallow declares it.
    SERIALIZATION_FUNCS: dict[str, Callable[[Any], str | float]] = {  # noqa: RUF012
        "milliseconds": rfc3339
    }
    DEFAULT_FORMAT = "milliseconds"
