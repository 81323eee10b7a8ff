""".env.example documents every variable with its default."""

import re
from itertools import pairwise
from pathlib import Path

from atomic_adapters.settings import Settings

LINES = (Path(__file__).parents[2] / ".env.example").read_text(encoding="utf-8").splitlines()
VARIABLES = [match for line in LINES if (match := re.fullmatch(r"# ([A-Z_]+)=(.*)", line))]
COMPOSE_VARIABLES = {
    "POSTGRES_PASSWORD",
    "OWNER_ROLE_PASSWORD",
    "PUBLISH_ADDRESS",
    "POSTGRES_IMAGE",
    "VALKEY_IMAGE",
    "NGINX_IMAGE",
    "PYTHON_IMAGE",
}
REQUIRED_VARIABLES = {"DATABASE_URL": "postgresql:///atomic"}


def test_every_variable_is_listed_once() -> None:
    names = [match[1] for match in VARIABLES]
    assert len(names) == len(set(names))
    assert set(names) - COMPOSE_VARIABLES == set(Settings.variables())


def test_every_listed_default_is_the_real_default() -> None:
    defaults = {match[1]: match[2] for match in VARIABLES if match[2]}
    assert Settings.from_environ(REQUIRED_VARIABLES | defaults) == Settings.from_environ(
        REQUIRED_VARIABLES
    )


def test_every_line_is_a_comment() -> None:
    assert all(not line or line.startswith("#") for line in LINES)


def test_every_variable_is_explained_in_the_line_before() -> None:
    variable = re.compile(r"# [A-Z_]+=.*")
    for before, line in pairwise(LINES):
        # The five PG* variables of libpq share one explanation.
        if variable.fullmatch(line) and not line.startswith("# PG"):
            assert before.startswith("# "), line
            assert not variable.fullmatch(before), line
