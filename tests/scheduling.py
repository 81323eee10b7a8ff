"""Which test files run one after another in one process, and in which order files begin."""

from typing import Final

import pytest

SYSTEM_GROUP: Final = "shared system"

GROUPS: Final = {
    "test_events.py": SYSTEM_GROUP,
    "test_framing.py": SYSTEM_GROUP,
    "test_openapi.py": SYSTEM_GROUP,
    "test_raw_sockets.py": SYSTEM_GROUP,
    "test_smuggling.py": SYSTEM_GROUP,
}
"""Files of tests/e2e that leave their system as they found it."""

LONGEST: Final = (
    "test_dev.py",
    "test_lists.py",
    SYSTEM_GROUP,
    "test_plans.py",
    "test_run.py",
    "test_slow_clients.py",
    "test_recovery.py",
    "test_stores.py",
    "test_secrets.py",
    "test_migrations.py",
)
"""They begin first: a long file that begins last keeps one core busy and the other idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each file a group, which pytest-xdist runs in one process."""
    groups = {item: _find_group(item) for item in items}
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: _rank(groups[item]))


def _find_group(item: pytest.Item) -> str:
    is_shared = item.path.parent.name == "e2e" and item.path.name in GROUPS
    return (
        GROUPS[item.path.name]
        if is_shared
        else item.path.relative_to(item.config.rootpath).as_posix()
    )


def _rank(group: str) -> int:
    name = group.rpartition("/")[2]
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)
