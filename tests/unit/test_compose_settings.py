"""compose.yaml passes every setting on, so that .env of a deployment is not ignored silently."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from atomic_adapters.settings import Settings

ROOT = Path(__file__).parents[2]

DECIDED = {
    *("ATOMIC_ENV", "HOST", "PORT", "REDIS_URL", "TRUSTED_PROXIES"),
    *("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE"),
}
"""Settings that the containers have in common, whatever the deployment sets."""

OF_ANOTHER_DATABASE = {
    *("DATABASE_URL", "MIGRATION_DATABASE_URL"),
    *("DATABASE_DIRECT_URL", "DATABASE_POOLER"),
}
"""The database is the service `postgres`, without a pooler."""

OF_ROLES = {"APP_ROLE", "READONLY_ROLE", "APP_ROLE_PASSWORD", "READONLY_ROLE_PASSWORD"}
"""deploy/roles.sql creates the roles, under fixed names, and gives them their passwords."""


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    return compose["services"]


def read_environment(service: dict[str, Any]) -> dict[str, str]:
    return service["environment"]


@pytest.mark.parametrize("name", ["api", "worker", "sweeper"])
def test_every_setting_reaches_the_service(services: dict[str, Any], name: str) -> None:
    environment = read_environment(services[name])
    passed = set(Settings.variables()) - DECIDED - OF_ANOTHER_DATABASE - OF_ROLES
    wrong = {
        setting: environment.get(setting)
        for setting in passed
        if not str(environment.get(setting)).startswith(f"${{{setting}:")
    }
    assert wrong == {}
    is_api_only = {"TRUSTED_PROXIES"} if name != "api" else set[str]()
    assert environment.keys() >= DECIDED - is_api_only


def test_values_left_open_are_those_of_the_settings(services: dict[str, Any]) -> None:
    """Compose passes an empty string for what is not set, which counts as not set."""
    environment = dict.fromkeys(read_environment(services["worker"]), "")
    database = {"DATABASE_URL": "postgresql:///atomic"}
    assert Settings.from_environ({**environment, **database}) == Settings.from_environ(database)
