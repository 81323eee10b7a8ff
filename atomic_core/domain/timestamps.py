"""Time formats."""

from datetime import UTC, datetime


def format_rfc3339(moment: datetime) -> str:
    """RFC 3339 in UTC with exactly milliseconds: `2026-11-22T15:30:13.153Z`."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[: -len("+00:00")] + "Z"
