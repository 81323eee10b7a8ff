"""Metadata: key-value pairs that callers attach to payments and refunds, and filter lists by."""

from typing import Any, Final

from marshmallow import ValidationError, fields

from atomic_web.schemas.descriptions import JsonSchema, describe_validator

MAX_PAIRS: Final = 50
MAX_KEY: Final = 40
MAX_VALUE: Final = 500
"""Stripe's limits: enough to link a payment to other systems, too little to store their data."""

INVALID_METADATA: Final = (
    f"Must be an object of at most {MAX_PAIRS} strings, with keys of 1 to {MAX_KEY} and values of"
    f" at most {MAX_VALUE} characters."
)


METADATA_SCHEMA: Final[JsonSchema] = {
    "type": "object",
    "description": "Key-value pairs of the merchant. Must hold neither secrets nor card numbers.",
    "maxProperties": MAX_PAIRS,
    "propertyNames": {"minLength": 1, "maxLength": MAX_KEY, "pattern": r"^[^\x00]*$"},
    "additionalProperties": {
        "type": "string",
        "maxLength": MAX_VALUE,
        "pattern": r"^[^\x00]*$",
    },
}


@describe_validator({"$ref": "#/components/schemas/Metadata"})
def check_metadata(pairs: dict[str, Any]) -> None:
    is_valid = len(pairs) <= MAX_PAIRS and all(
        1 <= len(key) <= MAX_KEY and type(value) is str and len(value) <= MAX_VALUE
        for key, value in pairs.items()
    )
    if not is_valid:
        raise ValidationError(INVALID_METADATA)


def build_metadata_input() -> fields.Dict:
    return fields.Dict(
        load_default=dict,
        validate=check_metadata,
        error_messages={"invalid": INVALID_METADATA},
        metadata={"description": "Stored, returned, and usable as a list filter."},
    )


def build_metadata_output() -> fields.Dict:
    return fields.Dict(validate=check_metadata)
