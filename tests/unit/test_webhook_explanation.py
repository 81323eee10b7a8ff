"""The first step at which a webhook's signature fails is named."""

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
import standardwebhooks
from hypothesis import given, settings
from hypothesis import strategies as st

from atomic_adapters.webhooks.explanation import TOLERANCE_SECONDS, explain
from atomic_adapters.webhooks.signature import (
    MalformedSecret,
    build_headers,
    compute_hmac,
    compute_signature,
    decode_secret,
    generate_secret,
)

# Constant, because the names of tests contain what is made of them.
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
ID = "01a20698-7948-70d6-aea7-420f094c3682"
NOW = 1_800_000_000
EVENT: dict[str, Any] = {"id": ID, "type": "payment.succeeded", "data": {"a": [1, "é"], "b": None}}
BODY = json.dumps(EVENT, separators=(",", ":"), ensure_ascii=False).encode()
HEADERS = build_headers(ID, NOW, BODY, [SECRET])


def check(
    step: str,
    words: str,
    headers: Mapping[str, str] = HEADERS,
    body: bytes = BODY,
    secret: str = SECRET,
    at: int = NOW,
) -> None:
    explanation = explain(headers, body, [secret], at)
    assert (explanation.step, explanation.is_valid) == (step, False)
    assert words in explanation.message
    assert secret not in explanation.message


def with_signature(value: str) -> dict[str, str]:
    return HEADERS | {"webhook-signature": value}


def sign(body: bytes) -> dict[str, str]:
    return build_headers(ID, NOW, body, [SECRET])


SIGNATURE = compute_signature(SECRET, ID, NOW, BODY)
ENCODED = base64.b64encode(SIGNATURE).decode()


def test_valid_signature() -> None:
    for at in (NOW - TOLERANCE_SECONDS, NOW, NOW + TOLERANCE_SECONDS):
        assert explain(HEADERS, BODY, [SECRET], at).is_valid
    both = build_headers(ID, NOW, BODY, [generate_secret(), SECRET])
    assert explain(both, BODY, [SECRET], NOW).is_valid
    assert explain(both, BODY, [generate_secret(), SECRET], NOW).is_valid
    other_version = with_signature(f"v1a,abc v1,{ENCODED}")
    assert explain(other_version, BODY, [SECRET], NOW).is_valid


@pytest.mark.parametrize("name", HEADERS)
def test_missing_header(name: str) -> None:
    check("headers", name, {key: value for key, value in HEADERS.items() if key != name})
    check("headers", name, HEADERS | {name: ""})


@pytest.mark.parametrize(
    "secret", ["abc", "whsec_", "whsec_***", "whsec_abc", "WHSEC_YWJj", "sk_1"]
)
def test_malformed_secret(secret: str) -> None:
    with pytest.raises(MalformedSecret):
        decode_secret(secret)
    explanation = explain(HEADERS, BODY, [secret], NOW)
    assert (explanation.step, explanation.is_valid) == ("secret", False)


def test_wrong_secret() -> None:
    check("signature", "Wrong secret", secret=generate_secret())


@pytest.mark.parametrize("key", [SECRET, SECRET.removeprefix("whsec_")])
def test_secret_that_was_not_decoded(key: str) -> None:
    signature = base64.b64encode(compute_hmac(key.encode(), ID, NOW, BODY)).decode()
    check("secret", "not what its base64 stands for", with_signature(f"v1,{signature}"))


def test_old_and_future_timestamps() -> None:
    check("age", "301 s before the time of receipt", at=NOW + 301)
    check("age", "301 s after the time of receipt", at=NOW - 301)
    check("timestamp", "whole number", HEADERS | {"webhook-timestamp": "2026-11-23T04:09:45Z"})


@pytest.mark.parametrize(
    ("body", "change"),
    [
        (BODY + b"\n", "a trailing newline was added"),
        (BODY + b"\r\n", "a trailing newline was added"),
        (b"\xef\xbb\xbf" + BODY, "a byte order mark was added"),
        (b"  " + BODY, "white space was added around it"),
        (json.dumps(EVENT).encode(), "its JSON was re-encoded"),
        (json.dumps(EVENT, indent=4).encode(), "its JSON was re-encoded"),
        (json.dumps(EVENT, sort_keys=True).encode(), "order of keys"),
        (json.dumps(dict(reversed(EVENT.items()))).encode(), "order of keys"),
    ],
)
def test_changed_body(body: bytes, change: str) -> None:
    check("body", change, body=body)


@pytest.mark.parametrize(
    "sent",
    [
        BODY + b"\n",
        json.dumps(EVENT).encode(),
        json.dumps(EVENT, separators=(",", ":")).encode(),
        json.dumps(EVENT, indent=2, ensure_ascii=False).encode(),
    ],
)
def test_body_that_was_sent_differently(sent: bytes) -> None:
    check("body", "The body was changed", headers=sign(sent))


def test_line_ends() -> None:
    check("body", "line ends became CR LF", sign(b"a\nb"), b"a\r\nb")


def test_changed_content_or_id() -> None:
    check("signature", "not recognized", body=b"not JSON")
    check("signature", "not recognized", body=json.dumps({"id": "other"}).encode())
    check("headers", f"the signature is for {ID}", HEADERS | {"webhook-id": "other"})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (ENCODED, "lacks the version"),
        (SIGNATURE.hex(), "lacks the version"),
        (f"v1,{SIGNATURE.hex()}", "hexadecimal (it is the right signature)"),
        (f"v1,{'0' * 64}", "hexadecimal (32 bytes)"),
        (f"v1,{ENCODED.rstrip('=')}", "base64 without padding (it is the right signature)"),
        ("v1,abc", "not the base64 of 32 bytes"),
        ("v1,***", "not the base64 of 32 bytes"),
        ("v2,abc", "holds no signature of version v1"),
        ("nonsense", "must hold <version>,<base64>"),
    ],
)
def test_wrong_encoding_of_the_signature(value: str, words: str) -> None:
    check("encoding", words, with_signature(value))


def test_url_safe_encoding_of_the_signature() -> None:
    timestamp = next(
        each for each in range(NOW, NOW + 300)
        if b"+" in base64.b64encode(compute_signature(SECRET, ID, each, BODY))
    )  # fmt: skip
    encoded = base64.urlsafe_b64encode(compute_signature(SECRET, ID, timestamp, BODY)).decode()
    headers = {"webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{encoded}"}
    check("encoding", "URL-safe base64 (it is the right", HEADERS | headers)


@settings(max_examples=40)
@given(
    body=st.binary(max_size=200), headers=st.dictionaries(st.sampled_from([*HEADERS]), st.text())
)
def test_anything_is_explained(body: bytes, headers: dict[str, str]) -> None:
    explain(HEADERS | headers, body, [SECRET], NOW)
    explain(HEADERS, b'{"id":' + body + b"}", [SECRET], NOW)


@given(body=st.text(), id=st.uuids())
def test_verdict_is_that_of_an_independent_library(body: str, id: object) -> None:
    now = int(time.time())
    document = json.dumps({"text": body})
    headers = build_headers(str(id), now, document.encode(), [SECRET])
    standardwebhooks.Webhook(SECRET).verify(document, headers)
    assert explain(headers, document.encode(), [SECRET], now).is_valid
