"""Request bodies of currency exchanges."""

from marshmallow import ValidationError, fields, validate

from atomic_core.domain.exchanges import INVALID_RATE, RATE_KEY, RATE_PATTERN
from atomic_core.domain.money import MAX_AMOUNT
from atomic_web.schemas.descriptions import describe_validator
from atomic_web.schemas.fields import check_uuid
from atomic_web.schemas.journal import INVALID_PART, ReversalSchema, build_dry_run


@describe_validator({"pattern": f"^{RATE_PATTERN.pattern}$"})
def _check_rate(text: str) -> None:
    if not RATE_PATTERN.fullmatch(text):
        raise ValidationError(INVALID_RATE)


def _build_account_id(data_key: str, description: str) -> fields.String:
    return fields.String(
        data_key=data_key,
        required=True,
        validate=check_uuid,
        metadata={"description": description},
    )


def _build_amount(data_key: str, description: str) -> fields.Integer:
    return fields.Integer(
        data_key=data_key,
        strict=True,
        load_default=None,
        allow_none=False,
        validate=validate.Range(1, MAX_AMOUNT, error=INVALID_PART),
        error_messages={"invalid": INVALID_PART, "too_large": INVALID_PART},
        metadata={"description": description},
    )


class ExchangeSchema(ReversalSchema):
    """The body of POST /ledger/exchanges. Either `sourceAmount` or `targetAmount` is sent, and the
    other is computed by the rate."""

    source_account_id = _build_account_id("sourceAccountId", "Is debited.")
    source_position_id = _build_account_id(
        "sourcePositionId", "The merchant's position in the currency of the source. Is credited."
    )
    target_position_id = _build_account_id(
        "targetPositionId", "The merchant's position in the currency of the target. Is debited."
    )
    target_account_id = _build_account_id(
        "targetAccountId", "Is credited. Has another currency than the source."
    )
    source_amount = _build_amount("sourceAmount", "In minor units of the source's currency.")
    target_amount = _build_amount("targetAmount", "In minor units of the target's currency.")
    rate = fields.String(
        required=True,
        validate=_check_rate,
        metadata={
            "description": "How many major units of the target's currency one major unit of the "
            f"source's is worth: a decimal, kept as it is in `metadata.{RATE_KEY}`."
        },
    )
    dry_run = build_dry_run()
