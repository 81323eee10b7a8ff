"""Reads fields of Stripe's objects. Any field may be missing, or of another type."""


def read_text(found: object, *names: str) -> str | None:
    """The text at a path of fields; None if there is none."""
    for name in names:
        found = getattr(found, name, None)
    return found if isinstance(found, str) else None


def read_number(found: object, name: str) -> int | None:
    number = getattr(found, name, None)
    return number if type(number) is int else None
