"""Ids as they appear on the wire."""

from uuid import UUID

from flask import request
from werkzeug.routing import BaseConverter

from atomic_core.domain.errors import ValidationFailed


class Segment(BaseConverter):
    """What may stand where an id belongs: anything but the names of addresses beside the ids. To
    ask those with a method they do not know would else be a bad id, and they would claim to
    answer it."""

    regex = "(?!batch$)[^/]+"
    part_isolating = True


class Whole(BaseConverter):
    """All that is left of the path, slashes too."""

    regex = "(?s:.+)"
    part_isolating = False


def canonical_uuid(text: str) -> UUID | None:
    """The UUID if it is in its one canonical spelling: lower case, with hyphens, nothing else.

    One id, one spelling: otherwise the same thing could be asked for under several names.
    """
    try:
        id = UUID(text)
    except ValueError:
        return None
    return id if str(id) == text else None


def path_id(text: str) -> UUID:
    """An id from the path. Raises ValidationFailed."""
    id = canonical_uuid(text)
    if id is None:
        raise ValidationFailed(details={"id": ["Must be a UUID in lower case with hyphens."]})
    return id


def refuse_query() -> None:
    """For an endpoint that takes no query parameters. Raises ValidationFailed if there are any,
    rather than let a caller believe that one had an effect."""
    if request.query_string and request.args:
        raise ValidationFailed(details={"query": ["This endpoint takes no query parameters."]})
