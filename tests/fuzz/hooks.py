"""What schemathesis cannot know from the document."""

from datetime import UTC, date
from typing import Any

import schemathesis
from hypothesis import strategies as st

from atomic_web.access.idempotency import KEY_PATTERN

_HOST = st.from_regex(r"[a-z][a-z0-9]{0,20}\.(?:example|com|dev)", fullmatch=True)
_REST = st.from_regex(r"(?:/[a-z0-9-]{0,10}){0,3}(?:\?[a-z]{1,5}=[a-z0-9]{0,5})?", fullmatch=True)

_MOMENTS = st.datetimes(timezones=st.just(UTC)).map(lambda at: at.isoformat()[:-6] + "Z")

_FUTURE = st.dates(date(2100, 1, 1)).map(lambda day: f"{day.isoformat()}T00:00:00Z")

schemathesis.openapi.format("date-time", _MOMENTS)
schemathesis.openapi.format("future", _FUTURE)
schemathesis.openapi.format(
    "email", st.from_regex(r"[a-z0-9]{1,64}@[a-z]{1,9}\.dev", fullmatch=True)
)
schemathesis.openapi.format(
    "password", st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=8)
)
schemathesis.openapi.format("uri", st.builds("https://{}{}".format, _HOST, _REST))


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Which hosts are public is more than a pattern can say, and what is written to fit one is
    hardly ever public. Without it the format above decides, and all else about the URL is still
    tried; that the pattern holds is tested in tests/unit/test_webhook_urls.py."""
    schemas = raw_schema["components"]["schemas"]
    for name in ("NewPayment", "PaymentBatchItem"):
        del schemas[name]["properties"]["webhookUrl"]["pattern"]
    _tell_of_merchants(schemas)
    _forget_cursors(raw_schema)


def _tell_of_merchants(schemas: dict[str, Any]) -> None:
    """A key's end must be in the future, a name printable, an email short before its @; and what
    fits their patterns is hardly ever that."""
    for name in ("Registration", "Login"):
        del schemas[name]["properties"]["email"]["pattern"]
    end = schemas["NewApiKey"]["properties"]["expiresAt"]
    del end["pattern"]
    end["format"] = "future"
    for name in ("Registration", "NewApiKey"):
        schemas[name]["properties"]["name"]["pattern"] = "^[!-~]+$"


def _forget_cursors(raw_schema: dict[str, Any]) -> None:
    """A cursor that is made up is refused, whatever it looks like. And what fits the pattern of a
    moment need not be one: the format above knows what is."""
    parameters = raw_schema["components"]["parameters"]
    for name in ("createdFrom", "createdTo"):
        del parameters[name]["schema"]["pattern"]
    for operations in raw_schema["paths"].values():
        for operation in operations.values():
            operation["parameters"] = [
                asked
                for asked in operation.get("parameters", ())
                if asked.get("$ref") != "#/components/parameters/cursor"
            ]


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """To JSON Schema 5000.0 is an integer; this API wants it without a fraction (strict integer,
    api.md), and the document can say so in words only."""
    if isinstance(body, dict):
        return {name: map_body(context, value) for name, value in body.items()}
    if isinstance(body, list):
        return [map_body(context, value) for value in body]
    return int(body) if isinstance(body, float) and body.is_integer() else body


@schemathesis.hook
def map_query(context: Any, query: Any) -> Any:
    """Whole numbers are written without a fraction here too."""
    return map_body(context, query)


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """A batch that names a key twice, or that of its header, is refused, which no schema of JSON
    can say: not a request that keeps to the document. Nor is one for the id that an answer said
    there is none of, such as an entry's `refundId`; nor for a key of what its pattern excludes,
    which is made up now and then all the same."""
    in_path = case.path_parameters or {}
    if None in in_path.values() or not KEY_PATTERN.fullmatch(str(in_path.get("key", "-"))):
        return False
    return not (case.operation.label == "POST /payments/batch" and _repeats_a_key(case))


def _repeats_a_key(case: Any) -> bool:
    payments = case.body.get("payments") if isinstance(case.body, dict) else None
    if not isinstance(payments, list):
        return False
    given = (item.get("idempotencyKey") for item in payments if isinstance(item, dict))
    keys = [str(key) for key in given if key is not None]
    header = (case.headers or {}).get("Idempotency-Key")
    return len(set(keys)) != len(keys) or str(header).strip('"') in keys
