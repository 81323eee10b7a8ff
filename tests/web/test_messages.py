"""Error messages say what to change, in the same words wherever the same is wrong."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from atomic_core.domain import errors as core_errors
from atomic_core.domain.errors import AtomicError
from atomic_web import errors as web_errors
from atomic_web.error_catalogue import ERRORS_BY_CODE
from atomic_web.errors import build_error_object
from atomic_web.http.body import MAX_DIGITS, MAX_NESTING, MAX_VALUES
from web.web_client import ACCOUNTS, BATCH, PAYMENT_BODY, PAYMENTS, MerchantClient, WebApp

NGINX = Path(__file__).parents[2] / "deploy" / "nginx.conf"

KNOWN = (
    "Unknown field. Known fields: amount, capture, currency, description, merchantId, metadata,"
    " source, webhookUrl."
)
METADATA = (
    "Must be an object of at most 50 strings, with keys of 1 to 40 and values of at most 500"
    " characters."
)
NUMBERS = f"Numbers must be within the range of a double and have at most {MAX_DIGITS} digits."
MANY_VALUES = b'{"a":[' + b"{}," * MAX_VALUES + b"{}]}"


def list_errors() -> list[type[AtomicError]]:
    classes = [*vars(core_errors).values(), *vars(web_errors).values()]
    return sorted(
        {cls for cls in classes if isinstance(cls, type) and issubclass(cls, AtomicError)},
        key=lambda cls: cls.__name__,
    )


@pytest.mark.parametrize("error", list_errors())
def test_default_message_is_a_sentence(error: type[AtomicError]) -> None:
    assert re.fullmatch(r"[A-Z][^\n]+\.", error().message)


def get_details(merchant: MerchantClient, path: str, body: object) -> dict[str, list[str]]:
    response = merchant.post(path, body)
    assert response.status_code == 400
    return response.get_json()["error"]["details"]


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("amount", None, "Must not be null."),
        ("amount", "5", f"amount must be an integer number of minor units from 1 to {2**53 - 1}."),
        ("description", 5, "Must be a string."),
        ("description", None, "Must not be null. Leave the field out instead."),
        ("description", "", "Must have 1 to 500 characters."),
        ("capture", "later", "Must be one of: automatic, manual."),
        ("metadata", [], METADATA),
        ("Amount", 5, KNOWN),
    ],
)
def test_field_errors_say_what_the_field_must_be(
    merchant: MerchantClient, member: str, value: Any, message: str
) -> None:
    assert get_details(merchant, PAYMENTS, PAYMENT_BODY | {member: value}) == {member: [message]}
    batch = {"payments": [PAYMENT_BODY | {member: value}]}
    assert get_details(merchant, BATCH, batch) == {f"payments.0.{member}": [message]}


ACCOUNT_FIELDS = "currency, externalId, maxBalance, metadata, minBalance, name, type"


def test_missing_and_unknown_fields_are_named(merchant: MerchantClient) -> None:
    assert get_details(merchant, ACCOUNTS, {"title": "Sales"}) == {
        "name": ["This field is required."],
        "currency": ["This field is required."],
        "title": [f"Unknown field. Known fields: {ACCOUNT_FIELDS}."],
    }
    assert get_details(merchant, BATCH, {"items": []}) == {
        "items": ["Unknown field. Known fields: payments."]
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[" * 20 + b"]" * 20, f"The body must be nested at most {MAX_NESTING} levels deep."),
        (MANY_VALUES, f"The body must have at most {MAX_VALUES} values."),
        (b'{"a":1e999}', NUMBERS),
        (b"[]", "The body must be a JSON object."),
        (b'{"a":1,"a":2}', "The member names of a JSON object must be unique."),
    ],
    ids=lambda value: str(value)[:20],
)
def test_body_errors_say_what_the_body_must_be(
    merchant: MerchantClient, body: bytes, message: str
) -> None:
    response = merchant.post(BATCH, body)
    assert response.get_json()["error"]["message"] == message


def test_size_limits_are_named(web: WebApp, merchant: MerchantClient) -> None:
    for path, limit in ((PAYMENTS, 65_536), (BATCH, 2_097_152)):
        response = merchant.post(path, b" " * (limit + 1))
        assert response.status_code == 413
        message = f"The body must have at most {limit} bytes."
        assert response.get_json()["error"]["message"] == message


def test_nginx_uses_the_messages_of_the_api() -> None:
    """Except where nginx knows less: whether anything was changed, and which methods a URL has."""
    text = NGINX.read_text(encoding="utf-8")
    bodies = [json.loads(body)["error"] for body in re.findall(r" '({\"success.*})';", text)]
    messages = {body["code"]: body["message"] for body in bodies}
    assert len(messages) == len(bodies) == 7
    for body in bodies:
        [error, *_] = ERRORS_BY_CODE[body["code"]]
        assert body == build_error_object(error(body["message"]))
    for error in (web_errors.RequestTimeout, web_errors.UriTooLong, web_errors.HeadersTooLarge):
        assert messages.pop(error.code) == error().message
    assert messages == {
        "malformed_request": "The request must be well-formed HTTP.",
        "method_not_allowed": "This server does not support this method.",
        "payload_too_large": "The body must have at most 3 MiB.",
        "service_unavailable": "The service is unavailable. Retry with the same Idempotency-Key.",
    }
    assert "client_max_body_size 3m;" in NGINX.read_text(encoding="utf-8")
