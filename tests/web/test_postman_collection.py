"""The Postman collection covers the operations, and runs from its first request to its last."""

import importlib.util
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest

from atomic_core.application import Application
from atomic_web.context import BASE_PATH
from web.web_client import MerchantClient, WebApp

ROOT = Path(__file__).parents[2]
CAPTURE = re.compile(r"set\('(\w+)', _\.get\(pm\.response\.json\(\), '([\w.]+)'\)\)")
STATUS = re.compile(r"to\.have\.status\((\d+)\)")


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("postman", ROOT / "tools" / "postman.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def collection() -> dict[str, Any]:
    path = ROOT / "docs" / "atomic.postman_collection.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_collection_is_the_one_that_the_tool_writes(
    tool: ModuleType, collection: dict[str, Any]
) -> None:
    assert collection == tool.build_collection(), "run: python tools/postman.py"


def test_collection_covers_the_operations(
    tool: ModuleType, collection: dict[str, Any], web: WebApp
) -> None:
    document = web.client.get(f"{BASE_PATH}/openapi.json").get_json()
    methods = ("get", "post", "patch", "put", "delete")
    operations = {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method in operations
        if method in methods
    }
    requests = [item["request"] for item in collection["item"]]
    sent = {
        (each["method"], each["url"].partition(BASE_PATH)[2].split("?")[0]) for each in requests
    }
    covered = {name for name in operations if any(_matches(name, *each) for each in sent)}
    assert operations - covered == tool.LEFT_OUT.keys()


def _matches(operation: str, method: str, path: str) -> bool:
    pattern = re.sub(r"\{\w+\}", "[^/]+", operation.partition(" ")[2])
    return operation.split()[0] == method and bool(re.fullmatch(pattern, path or "/"))


@contextmanager
def settling(application: Application) -> Iterator[None]:
    """A worker, for requests that wait."""
    is_done = threading.Event()

    def work() -> None:
        while not is_done.wait(0.01):
            application.settlement.settle()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        is_done.set()
        worker.join()


def test_collection_runs(collection: dict[str, Any], web: WebApp, merchant: MerchantClient) -> None:
    variables = {"BASE_URL": "", "API_KEY": merchant.key, "email": "owner@shop.example"}

    def fill(text: str) -> str:
        return re.sub(r"\{\{(\w+)\}\}", lambda found: variables[found[1]], text)

    with settling(web.application):
        for item in collection["item"]:
            variables["key"] = str(uuid4())
            request = item["request"]
            [bearer] = request.get("auth", collection["auth"])["bearer"]
            headers = {each["key"]: fill(each["value"]) for each in request["header"]}
            headers["Authorization"] = f"Bearer {fill(bearer['value'])}"
            response = web.client.open(
                fill(request["url"]),
                method=request["method"],
                headers=headers,
                data=fill(request["body"]["raw"]) if "body" in request else None,
            )
            script = "\n".join(item["event"][0]["script"]["exec"])
            expected = STATUS.search(script)
            assert expected
            assert response.status_code == int(expected[1]), (item["name"], response.get_json())
            for name, path in CAPTURE.findall(script):
                variables[name] = _get(response.get_json(), path)
            if "lastKey" in script:
                variables["lastKey"] = variables["key"]


def _get(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value[int(name)] if name.isdecimal() else value[name]
    return value
