"""The first URLs that somebody tries on an unknown host."""

import base64
import hashlib
import re

import pytest

from web.conformance import Contract
from web.web_client import WebApp

INDEXES = ["/", "/api/v1", "/api/v1/"]
DOCS = ["/docs", "/api/v1/docs"]


@pytest.mark.parametrize("path", INDEXES)
def test_index_links_to_what_exists(web: WebApp, path: str) -> None:
    response = web.client.get(path)
    assert response.status_code == 200
    data = response.get_json()["data"]
    assert data["name"] == "Atomic"
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", data["version"])
    assert data["links"] == {
        "docs": "/api/v1/docs",
        "openapi": "/api/v1/openapi.json",
        "health": "/api/v1/health",
    }
    for link in data["links"].values():
        assert web.client.get(link).status_code == 200


@pytest.mark.parametrize("path", [*INDEXES, *DOCS])
def test_index_and_docs_answer_get_only(web: WebApp, path: str) -> None:
    assert web.client.head(path).status_code == 200
    assert web.client.head(path).data == b""
    refused = web.client.post(path)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    allowed = web.client.options(path).headers["Allow"].split(", ")
    assert sorted(allowed) == ["GET", "HEAD", "OPTIONS"]
    assert web.client.get(f"{path}?x=1").status_code == 400


@pytest.mark.parametrize("path", [*INDEXES, *DOCS])
def test_index_and_docs_count_against_the_limit_of_documents(web: WebApp, path: str) -> None:
    limited = web.with_settings(RATE_LIMIT_SERVICE="1/900").client
    assert limited.get(path).status_code == 200
    assert limited.get(path).status_code == 429


@pytest.mark.parametrize("path", DOCS)
def test_docs_describe_every_operation(web: WebApp, contract: Contract, path: str) -> None:
    response = web.client.get(path)
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["Cache-Control"] == "public, max-age=300"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    headings = [line for line in response.text.splitlines() if line.startswith("### ")]
    assert sorted(headings) == sorted(
        f"### {method} /api/v1{template}" for method, template, _ in contract.operations()
    )
    create = response.text.split("### POST /api/v1/payments\n")[1].split("\n### ")[0]
    assert "- Body `amount` (required): In minor units" in create
    assert "- Body `description` (optional): Default: `API Payment`." in create
    assert "- Header `Idempotency-Key`: " in create
    assert "- Credential: apiKey" in create
    assert "- 422: `idempotency_key_reused`: " in create


BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.mark.parametrize("path", INDEXES)
def test_index_sends_a_browser_to_the_documentation(web: WebApp, path: str) -> None:
    response = web.client.get(path, headers=BROWSER)
    assert (response.status_code, response.headers["Location"]) == (303, "/api/v1/docs")
    for accept in ("*/*", "application/json", "application/json, text/html;q=0.5"):
        assert web.client.get(path, headers={"Accept": accept}).status_code == 200


@pytest.mark.parametrize("path", DOCS)
def test_browser_gets_a_page_of_its_own(web: WebApp, contract: Contract, path: str) -> None:
    response = web.client.get(path, headers=BROWSER)
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    for method, template, _ in contract.operations():
        assert f">{method} /api/v1{template}</h3>" in response.text
    assert "<script" not in response.text
    assert not re.search(r"(?:src|href)=\"(?!#|/api/v1/)", response.text), "nothing from elsewhere"
    assert response.headers.getlist("Vary") == ["Accept"]
    [policy] = response.headers.getlist("Content-Security-Policy")
    style = response.text.split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")


def test_any_origin_may_read_the_openapi_document(web: WebApp) -> None:
    path, origin = "/api/v1/openapi.json", {"Origin": "https://tool.example"}
    response = web.client.get(path, headers=origin)
    assert response.headers.getlist("Access-Control-Allow-Origin") == ["*"]
    configured = web.with_settings(CORS_ORIGIN="https://shop.example")
    response = configured.client.get(path, headers=origin)
    assert response.headers.getlist("Access-Control-Allow-Origin") == ["*"]
    assert "Access-Control-Allow-Origin" not in web.client.get("/api/v1", headers=origin).headers
