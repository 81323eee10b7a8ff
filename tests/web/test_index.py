"""The first URLs that somebody tries on an unknown host."""

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
