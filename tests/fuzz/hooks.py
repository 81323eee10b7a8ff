"""What schemathesis cannot derive from the OpenAPI document."""

from datetime import UTC, date
from typing import Any

import schemathesis
from hypothesis import strategies as st

from atomic_web.access.idempotency import KEY_PATTERN

_HOST = st.from_regex(r"[a-z][a-z0-9]{0,20}\.(?:example|com|dev)", fullmatch=True)
_PATH_AND_QUERY = st.from_regex(
    r"(?:/[a-z0-9-]{0,10}){0,3}(?:\?[a-z]{1,5}=[a-z0-9]{0,5})?", fullmatch=True
)

_TIMES = st.datetimes(timezones=st.just(UTC)).map(lambda at: at.isoformat()[:-6] + "Z")

_FUTURE_TIMES = st.dates(date(2100, 1, 1)).map(lambda day: f"{day.isoformat()}T00:00:00Z")

schemathesis.openapi.format("date-time", _TIMES)
schemathesis.openapi.format("future", _FUTURE_TIMES)
schemathesis.openapi.format(
    "email", st.from_regex(r"[a-z0-9]{1,64}@[a-z]{1,9}\.dev", fullmatch=True)
)
schemathesis.openapi.format(
    "password", st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=8)
)
schemathesis.openapi.format("uri", st.builds("https://{}{}".format, _HOST, _PATH_AND_QUERY))


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """A pattern cannot say which hosts are public, and text generated from it hardly ever is a
    public URL: the format above replaces it. tests/unit/test_webhook_urls.py tests the pattern."""
    schemas = raw_schema["components"]["schemas"]
    for name in ("NewPayment", "PaymentBatchItem"):
        del schemas[name]["properties"]["webhookUrl"]["pattern"]
    _replace_merchant_patterns(schemas)
    _remove_cursors(raw_schema)


def _replace_merchant_patterns(schemas: dict[str, Any]) -> None:
    """Text generated from these patterns is hardly ever an expiry in the future, a printable name
    or an email with a short local part."""
    for name in ("Registration", "Login"):
        del schemas[name]["properties"]["email"]["pattern"]
    expires_at = schemas["NewApiKey"]["properties"]["expiresAt"]
    del expires_at["pattern"]
    expires_at["format"] = "future"
    for name in ("Registration", "NewApiKey"):
        schemas[name]["properties"]["name"]["pattern"] = "^[!-~]+$"


def _remove_cursors(raw_schema: dict[str, Any]) -> None:
    """The API refuses every generated cursor. Text generated from the pattern of a time need not be
    a valid time; the format above generates valid ones."""
    parameters = raw_schema["components"]["parameters"]
    for name in ("createdFrom", "createdTo"):
        for alternative in parameters[name]["schema"]["anyOf"]:
            del alternative["pattern"]
    for operations in raw_schema["paths"].values():
        for operation in operations.values():
            operation["parameters"] = [
                parameter
                for parameter in operation.get("parameters", ())
                if parameter.get("$ref") != "#/components/parameters/cursor"
            ]


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """JSON Schema accepts 5000.0 as an integer. The API accepts integers without a fraction only,
    which the document can state in its texts only."""
    if isinstance(body, dict):
        return {name: map_body(context, value) for name, value in body.items()}
    if isinstance(body, list):
        return [map_body(context, value) for value in body]
    return int(body) if isinstance(body, float) and body.is_integer() else body


@schemathesis.hook
def map_query(context: Any, query: Any) -> Any:
    """Integers in queries have no fraction either."""
    return map_body(context, query)


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """schemathesis sometimes generates idempotency keys that their pattern excludes."""
    if path_parameters and not KEY_PATTERN.fullmatch(str(path_parameters.get("key", "-"))):
        return path_parameters | {"key": "-"}
    return path_parameters


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Drop requests that the document allows and the API refuses, because JSON Schema cannot
    express the rule: a batch that repeats a key, in its items or its header; an id from a response
    member that is null, such as an entry's `refundId`."""
    if None in (case.path_parameters or {}).values():
        return False
    return not (case.operation.label == "POST /payments/batch" and _has_duplicate_key(case))


def _has_duplicate_key(case: Any) -> bool:
    payments = case.body.get("payments") if isinstance(case.body, dict) else None
    if not isinstance(payments, list):
        return False
    item_keys = (item.get("idempotencyKey") for item in payments if isinstance(item, dict))
    keys = [str(key) for key in item_keys if key is not None]
    header = (case.headers or {}).get("Idempotency-Key")
    return len(set(keys)) != len(keys) or str(header).strip('"') in keys
