"""The access log of deploy/nginx.conf shows every route, and nothing that a client may have put in
its place."""

import re
from functools import partial
from pathlib import Path

import pytest
from flask import Flask

from atomic_adapters.settings import Settings
from atomic_adapters.wiring import in_memory
from atomic_web.app import create_app

CONFIGURATION = (Path(__file__).parents[2] / "deploy" / "nginx.conf").read_text(encoding="utf-8")
NOT_LOGGED = "(not-logged)"
ID = "0199c0de-0000-7000-8000-000000000001"


def read_map(variable: str) -> list[tuple[str, str]]:
    """The patterns of a map and their values."""
    [body] = re.findall(rf"map \S+ \${variable} {{\n(.*?)\n    }}", CONFIGURATION, re.DOTALL)
    return re.findall(r'^ +"~(.*)" (\S+);$', body, re.MULTILINE)


def log_path(uri: str) -> str:
    """What nginx logs of this URI."""
    for pattern, value in read_map("logged_path"):
        match = re.search(pattern.replace("(?<", "(?P<"), uri)
        if match:
            return re.sub(r"\$(\w+)", partial(_get_group, match), value)
    return NOT_LOGGED


def _get_group(match: re.Match[str], variable: re.Match[str]) -> str:
    return match[variable[1]]


@pytest.fixture(scope="module")
def app() -> Flask:
    environ = {"ATOMIC_ENV": "test", "DATABASE_URL": "postgresql:///unused"}
    return create_app(in_memory(), Settings.from_environ(environ))


def test_every_route_is_logged(app: Flask) -> None:
    """A new word of a route is added to the map."""
    for rule in app.url_map.iter_rules():
        path = rule.rule.replace("<id>", ID)
        if "<" in path:
            prefix, _, parameter = path.rpartition("/")
            assert (prefix, parameter) in {
                ("/api/v1/idempotency-keys", "<whole:key>"),
                ("/api/v1/docs/errors", "<code>"),
            }
            assert log_path(path) == f"{prefix}/{NOT_LOGGED}"
        else:
            assert log_path(path) == log_path(f"{path}?key=secret") == path


@pytest.mark.parametrize(
    "secret",
    [
        "sk_test_" + "0" * 48,
        "st_" + "0" * 48,
        "sk%5Ftest",
        "%73t",
        "st-0",
        "0" * 32,
        "..",
        "a",
        ID[1:],
    ],
)
def test_nothing_else_in_a_path_is_logged(app: Flask, secret: str) -> None:
    paths = [rule.rule for rule in app.url_map.iter_rules() if "<" in rule.rule]
    for path in [*paths, "/<id>", "/api/v1/<id>", "/api/v1/payments<id>", "<id>/api/v1/payments"]:
        logged = log_path(re.sub("<[^>]+>", secret, path))
        for prefix in ("/api/v1/idempotency-keys", "/api/v1/docs/errors"):
            logged = logged.removeprefix(prefix)
        assert secret not in logged.removesuffix(NOT_LOGGED)


def test_only_known_methods_are_logged() -> None:
    [(pattern, value)] = read_map("logged_method")
    assert value == "$known_method"
    for method in ("GET", "POST", "DELETE"):
        assert re.search(pattern.replace("(?<", "(?P<"), method)
    assert not re.search(pattern.replace("(?<", "(?P<"), "SK_TEST_0")
