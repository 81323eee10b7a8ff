"""Ids in URLs."""

from typing import Final
from uuid import UUID

from werkzeug.routing import BaseConverter

from atomic_core.domain.errors import ValidationFailed
from atomic_web.http.query import refuse_query_parameters

INVALID_UUID: Final = "Must be a UUID in lower case with hyphens."


class IdConverter(BaseConverter):
    """One path segment, except names that are routes of their own. Otherwise GET /payments/batch
    would match /payments/<id> and fail with an invalid id instead of 405."""

    regex = "(?!batch$)[^/]+"
    part_isolating = True


class RestOfPathConverter(BaseConverter):
    """The rest of the path, slashes included."""

    regex = "(?s:.+)"
    part_isolating = False


def parse_canonical_uuid(text: str) -> UUID | None:
    """None unless the UUID is in canonical form, lower case with hyphens, so that a resource has
    one URL only."""
    try:
        id = UUID(text)
    except ValueError:
        return None
    return id if str(id) == text else None


def parse_path_id(text: str) -> UUID:
    """Raises ValidationFailed."""
    id = parse_canonical_uuid(text)
    if id is None:
        raise ValidationFailed(details={"id": [INVALID_UUID]})
    return id


def parse_sole_path_id(text: str) -> UUID:
    """The same for an endpoint without query parameters."""
    id = parse_path_id(text)
    refuse_query_parameters()
    return id
