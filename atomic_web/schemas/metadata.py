"""Metadata on the wire: what a caller notes on a thing, and finds it again by."""

from typing import Any, Final

from marshmallow import ValidationError, fields

from atomic_web.schemas.descriptions import described

MAX_PAIRS: Final = 50
MAX_KEY: Final = 40
MAX_VALUE: Final = 500
"""What the field's gateways allow (Stripe's own numbers): enough to link to any system of the
caller's, too little to be one."""

_FAULT: Final = (
    f"Must be up to {MAX_PAIRS} pairs of texts: names of 1 to {MAX_KEY} characters, values of up to"
    f" {MAX_VALUE}."
)


@described(
    {
        "type": "object",
        "maxProperties": MAX_PAIRS,
        "propertyNames": {"minLength": 1, "maxLength": MAX_KEY, "pattern": r"^[^\x00]*$"},
        "additionalProperties": {
            "type": "string",
            "maxLength": MAX_VALUE,
            "pattern": r"^[^\x00]*$",
        },
    }
)
def check_metadata(pairs: dict[str, Any]) -> None:
    fits = len(pairs) <= MAX_PAIRS and all(
        1 <= len(name) <= MAX_KEY and type(value) is str and len(value) <= MAX_VALUE
        for name, value in pairs.items()
    )
    if not fits:
        raise ValidationError(_FAULT)


def metadata_asked() -> fields.Dict:
    return fields.Dict(
        load_default=dict,
        validate=check_metadata,
        error_messages={"invalid": _FAULT},
        metadata={"description": "Kept, shown again, and found by. No secrets, no card numbers."},
    )


def metadata_shown() -> fields.Dict:
    return fields.Dict(validate=check_metadata)
