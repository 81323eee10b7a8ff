"""The OpenAPI document: whole, valid, and kept to. Every answer of every other test in this folder
is held to it as well (see door.py)."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from apispec import APISpec
from flask import Flask
from jsonschema import validate as fits
from marshmallow import fields
from openapi_spec_validator import validate

from atomic_adapters.wiring import in_memory
from atomic_core.domain.currencies import CURRENCIES
from atomic_web.access.authentication import public
from atomic_web.app import create_app
from atomic_web.context import BASE_PATH
from atomic_web.errors import STATUS
from atomic_web.openapi.document import build
from atomic_web.openapi.schemas import Plugin
from atomic_web.schemas.fields import RequestSchema
from web.conformance import Contract, closed, pointer
from web.web_client import BATCH, PAYMENTS, Caller, Web, settings

PATH = f"{BASE_PATH}/openapi.json"
UNKNOWN = "01999999-0000-7000-8000-000000000000"


def test_it_is_valid_openapi(web: Web) -> None:
    document = web.client.get(PATH).get_json()
    assert document["openapi"] == "3.1.0"
    validate(document)


@pytest.mark.parametrize(
    "variables",
    [
        {"ATOMIC_ENV": "production"},
        {"CORS_ORIGIN": "https://shop.example"},
        {"CURRENCIES": "JPY", "RATE_LIMIT_GLOBAL": "off"},
    ],
)
def test_it_is_valid_however_configured(web: Web, variables: dict[str, str]) -> None:
    validate(web.configured(**variables).client.get(PATH).get_json())


def test_every_route_and_method_is_in_it_and_nothing_else(web: Web, contract: Contract) -> None:
    routed = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in web.app.url_map.iter_rules()
        for method in rule.methods or ()
    }
    told = {(method, BASE_PATH + path) for method, path, _ in contract.operations()}
    assert told == routed
    assert len(told) > 20, "else this proves nothing"


def test_a_route_that_is_not_documented_stops_the_document() -> None:
    @public()
    def view() -> str:
        return "in"

    app: Flask = create_app(in_memory(), settings())
    app.add_url_rule(f"{BASE_PATH}/backdoor", "backdoor", view)
    with pytest.raises(LookupError, match="backdoor"):
        build(app, settings())


def test_a_rule_that_does_not_say_what_it_asks_for_stops_the_document() -> None:
    def silent(text: str) -> None: ...

    class SilentSchema(RequestSchema):
        name = fields.String(validate=silent)

    spec = APISpec("", "", "3.1.0", plugins=[Plugin(settings())])
    with pytest.raises(LookupError, match="silent"):
        spec.components.schema("Silent", schema=SilentSchema)


def test_every_code_is_told_by_its_status(contract: Contract) -> None:
    told: dict[str, Any] = {}
    for _, _, operation in contract.operations():
        for status, response in operation["responses"].items():
            if "$ref" in response:
                name = response["$ref"].rsplit("/", 1)[1]
                told |= dict.fromkeys(codes_of(contract, name), status)
    for name in ("NotFound", "MethodNotAllowed"):
        told |= dict.fromkeys(codes_of(contract, name), "")
    assert told.keys() == STATUS.keys()
    for code, status in told.items():
        assert not status or STATUS[code] == int(status)


def codes_of(contract: Contract, response: str) -> list[str]:
    media = contract.document["components"]["responses"][response]["content"]["application/json"]
    return media["schema"]["properties"]["error"]["properties"]["code"]["enum"]


def media_objects(content: Any, *steps: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(content, dict):
        for name, member in content.items():
            if name == "application/json":
                yield pointer(*steps, name, "schema"), member
            else:
                yield from media_objects(member, *steps, name)


def test_every_example_keeps_to_its_schema_and_every_body_has_one(contract: Contract) -> None:
    seen = 0
    for schema, media in media_objects(contract.document):
        assert media["examples"], schema
        for example in media["examples"].values():
            contract.validator(schema).validate(example["value"])
            seen += 1
    assert seen > 25


def test_headers_and_parameters_have_examples_that_fit(contract: Contract) -> None:
    components = contract.document["components"]
    for told in [*components["headers"].values(), *components["parameters"].values()]:
        fits(told["example"], told["schema"])


def test_what_is_asked_is_told_exactly(contract: Contract) -> None:
    schemas = contract.document["components"]["schemas"]
    payment = schemas["NewPayment"]["properties"]
    assert payment["amount"].items() >= {"minimum": 1, "maximum": 2**53 - 1}.items()
    assert payment["currency"]["enum"] == list(CURRENCIES)
    assert payment["source"]["pattern"] == "^tok_[A-Za-z0-9_]{1,60}$"
    assert payment["description"].items() >= {"minLength": 1, "maxLength": 500}.items()
    assert schemas["NewPayment"]["required"] == ["amount", "currency", "source"]
    for name in ("NewPayment", "NewAccount", "PaymentBatch", "PaymentBatchItem"):
        assert schemas[name]["additionalProperties"] is False


def test_the_currencies_are_those_configured(web: Web) -> None:
    document = web.configured(CURRENCIES="JPY,KWD").client.get(PATH).get_json()
    assert document["components"]["schemas"]["NewAccount"]["properties"]["currency"]["enum"] == [
        "JPY",
        "KWD",
    ]


def test_it_may_be_cached_and_is_not_sent_twice(web: Web) -> None:
    first = web.client.get(PATH)
    assert first.headers["Cache-Control"] == "public, max-age=300"
    assert first.headers.getlist("Cache-Control") == ["public, max-age=300"]
    again = web.client.get(PATH, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert web.client.get(PATH, headers={"If-None-Match": '"other"'}).data == first.data
    other = web.configured(CURRENCIES="JPY").client.get(PATH)
    assert other.headers["ETag"] != first.headers["ETag"]
    refused = web.client.get(f"{PATH}?x=1")
    assert (refused.status_code, refused.headers["Cache-Control"]) == (400, "no-store")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda answer: answer.headers.add("X-Other", "1"), "X-Other"),
        (lambda answer: answer.headers.remove("Location"), "Location"),
        (lambda answer: answer.headers.set("Cache-Control", "public"), "public"),
        (lambda answer: setattr(answer, "status_code", 418), "418"),
        (lambda answer: changed(answer, amount=0), "0"),
        (lambda answer: changed(answer, other=1), "other"),
        (lambda answer: changed(answer, id="A" * 36), "A"),
        (lambda answer: answer.headers.set("Content-Type", "text/html"), "text/html"),
    ],
)
def test_an_answer_that_breaks_the_promise_is_found(
    merchant: Caller, contract: Contract, change: Callable[[Any], None], said: str
) -> None:
    answer = merchant.pay()
    contract.check("POST", PAYMENTS, answer)
    change(answer)
    with pytest.raises(Exception, match=said):
        contract.check("POST", PAYMENTS, answer)


def changed(answer: Any, **members: object) -> None:
    body = answer.get_json()
    body["data"] |= members
    answer.set_data(json.dumps(body))


def test_an_address_that_is_not_documented_may_only_be_refused(contract: Contract) -> None:
    assert contract.operation("GET", BATCH) is None
    assert contract.operation("POST", BATCH) == ("POST", "/payments/batch")
    assert contract.operation("GET", f"{PAYMENTS}/x") == ("GET", "/payments/{id}")
    with pytest.raises(AssertionError, match="200"):
        contract._unrouted(200)


def test_answers_are_open_to_additions_but_not_in_tests(contract: Contract) -> None:
    payment = contract.document["components"]["schemas"]["Payment"]
    assert "additionalProperties" not in payment
    assert closed(payment)["unevaluatedProperties"] is False
