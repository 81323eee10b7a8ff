"""Which test files run one after another in one process, and in which order files begin."""

from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

SYSTEM_GROUP: Final = "shared system"
DATABASE_GROUP: Final = "shared database"

SYSTEM_SHARERS: Final = tuple(
    f"tests/e2e/{name}.py"
    for name in (
        "test_documented_example",
        "test_marketplace_example",
        "test_system",
        "test_recovery",
        "test_slow_clients",
        "test_events",
        "test_framing",
        "test_raw_sockets",
        "test_smuggling",
        "test_openapi",
    )
)
"""Files that leave their system as they found it, in the order in which they use it: those that
search its log come before those that fill it."""

DATABASE_SHARERS: Final = (
    "tests/integration/test_admin_list_plans.py",
    "tests/integration/test_lists.py",
    "tests/integration/test_plans.py",
)
"""Files that share the database with many payments: the first only reads it."""

GROUPS: Final = {
    **dict.fromkeys(SYSTEM_SHARERS, SYSTEM_GROUP),
    **dict.fromkeys(DATABASE_SHARERS, DATABASE_GROUP),
}

LONGEST: Final = (
    SYSTEM_GROUP,
    "tests/e2e/test_dev.py",
    DATABASE_GROUP,
    "tests/fault/test_run.py",
    "tests/architecture/test_types.py",
    "tests/integration/test_migrations.py",
    "tests/e2e/test_secrets.py",
    "tests/e2e/test_webhooks.py",
    "tests/integration/test_first_use.py",
    "tests/property/test_stores.py",
)
"""They begin first: a long file that begins last keeps one core busy and the other idle."""


class GroupScheduling(LoadScopeScheduling):
    """Runs the tests of a group in one process, in their order. The groups of pytest-xdist's own
    `--dist loadgroup` have no effect with pytest 9.2."""

    def _split_scope(self, nodeid: str) -> str:
        return find_group(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling:
    # It would begin with the files that have most tests.
    config.option.loadscopereorder = False
    return GroupScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {group: rank for rank, group in enumerate(LONGEST)}
    sharers = {path: rank for rank, path in enumerate(GROUPS)}

    def get_rank(item: pytest.Item) -> tuple[int, int]:
        rank = ranks.get(find_group(item.nodeid), len(LONGEST))
        return rank, sharers.get(_get_path(item.nodeid), 0)

    items.sort(key=get_rank)


def find_group(nodeid: str) -> str:
    """A file is a group, unless it shares a system or a database with others."""
    path = _get_path(nodeid)
    return GROUPS.get(path, path)


def _get_path(nodeid: str) -> str:
    return nodeid.partition("::")[0]
