"""Which test files run one after another in one process, and in which order files begin."""

from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

SYSTEM_GROUP: Final = "shared system"

SYSTEM_SHARERS: Final = frozenset(
    f"tests/e2e/{name}.py"
    for name in (
        "test_events",
        "test_framing",
        "test_openapi",
        "test_raw_sockets",
        "test_smuggling",
    )
)
"""Files that leave their system as they found it."""

LONGEST: Final = (
    "tests/e2e/test_dev.py",
    "tests/integration/test_lists.py",
    SYSTEM_GROUP,
    "tests/integration/test_plans.py",
    "tests/fault/test_run.py",
    "tests/e2e/test_slow_clients.py",
    "tests/e2e/test_recovery.py",
    "tests/property/test_stores.py",
    "tests/e2e/test_secrets.py",
    "tests/integration/test_migrations.py",
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
    items.sort(key=lambda item: ranks.get(find_group(item.nodeid), len(LONGEST)))


def find_group(nodeid: str) -> str:
    """A file is a group, unless it shares a system with others."""
    path = nodeid.partition("::")[0]
    return SYSTEM_GROUP if path in SYSTEM_SHARERS else path
