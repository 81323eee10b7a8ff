"""Ids in the order of time: a UUID of version 7 begins with the milliseconds of its creation."""

from datetime import datetime
from uuid import UUID

from atomic_core.domain.ledger import to_microseconds


def get_lowest_id(moment: datetime) -> UUID:
    """Below all ids of its millisecond and later ones, above all earlier ones. The moment lies
    after 1970."""
    return UUID(int=to_microseconds(moment) // 1_000 << 80)
