"""Pages of lists."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from flask import Response
from marshmallow import Schema

from atomic_core.domain.lists import Page, Position
from atomic_web.http.cursors import CursorCodec
from atomic_web.http.responses import ok_response


class RenderedPage(NamedTuple):
    """What a page schema dumps."""

    items: Sequence[Any]
    next_cursor: str | None


def render_page(
    page: Page[Any], page_schema: Schema, item_schema: Schema, codec: CursorCodec
) -> Response:
    """A page in the order of creation."""

    def encode(item: Any) -> str:
        return codec.encode_position(Position(item.created_at, item.id))

    return _render(page, page_schema, item_schema, encode)


def render_numbered_page(
    page: Page[Any], page_schema: Schema, item_schema: Schema, codec: CursorCodec
) -> Response:
    """A page in the order of sequence numbers."""

    def encode(item: Any) -> str:
        return codec.encode_sequence(item.sequence)

    return _render(page, page_schema, item_schema, encode)


def _render(
    page: Page[Any], page_schema: Schema, item_schema: Schema, encode: Callable[[Any], str]
) -> Response:
    next_cursor = encode(page.items[-1]) if page.has_more else None
    items = [item_schema.dump(item) for item in page.items]
    return ok_response(page_schema.dump(RenderedPage(items, next_cursor)))
