"""The columns of an origin in payments, refunds and payment events."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from atomic_adapters.postgres.arrays import Column, text_array, uuid_array
from atomic_core.domain.origins import ActorType, Origin


class OriginColumns(NamedTuple):
    actor: str | None = None
    actor_id: UUID | None = None
    client_address: str | None = None
    request_id: str | None = None
    server_request_id: UUID | None = None
    operator: str | None = None


_NO_ORIGIN: Final = OriginColumns()


def get_origin_columns(origin: Origin | None) -> OriginColumns:
    """All NULL without an origin."""
    if origin is None:
        return _NO_ORIGIN
    return OriginColumns(
        origin.actor.value,
        origin.actor_id,
        origin.address,
        origin.request_id,
        origin.server_request_id,
        origin.operator,
    )


def build_origin_arrays(origins: Sequence[Origin | None]) -> Mapping[str, Column]:
    """The columns of many rows, as parameters of `unnest`. Without OriginColumns, which would take
    as long as the encoding."""
    return {
        "actors": text_array([origin and origin.actor for origin in origins]),
        "actor_ids": uuid_array([origin and origin.actor_id for origin in origins]),
        "client_addresses": text_array([origin and origin.address for origin in origins]),
        "request_ids": text_array([origin and origin.request_id for origin in origins]),
        "server_request_ids": uuid_array(
            [origin and origin.server_request_id for origin in origins]
        ),
        "operators": text_array([origin and origin.operator for origin in origins]),
    }


def build_origin(
    actor: str | None,
    actor_id: UUID | None,
    client_address: str | None,
    request_id: str | None,
    server_request_id: UUID | None,
    operator: str | None,
) -> Origin | None:
    if actor is None and request_id is None:
        return None
    # Before migration 0016 only the request id was recorded, and only API keys made such requests.
    actor_type = ActorType(actor) if actor else ActorType.KEY
    return Origin(actor_type, actor_id, client_address, request_id, server_request_id, operator)
