""".env.example names every variable, with the default it really has."""

import re
from itertools import pairwise
from pathlib import Path

from atomic_adapters.settings import Settings

LINES = (Path(__file__).parents[2] / ".env.example").read_text(encoding="utf-8").splitlines()
VARIABLES = [found for line in LINES if (found := re.fullmatch(r"# ([A-Z_]+)=(.*)", line))]
OF_COMPOSE = {"POSTGRES_PASSWORD"}
A_DATABASE = {"DATABASE_URL": "postgresql:///atomic"}


def test_every_variable_is_there_once() -> None:
    names = [found[1] for found in VARIABLES]
    assert len(names) == len(set(names))
    assert set(names) - OF_COMPOSE == set(Settings.variables())


def test_each_has_its_real_default() -> None:
    defaults = {found[1]: found[2] for found in VARIABLES if found[2]}
    assert Settings.from_environ(A_DATABASE | defaults) == Settings.from_environ(A_DATABASE)


def test_nothing_is_set_by_copying_it() -> None:
    assert all(not line or line.startswith("#") for line in LINES)


def test_each_has_a_line_of_meaning() -> None:
    variable = re.compile(r"# [A-Z_]+=.*")
    for before, line in pairwise(LINES):
        # libpq's own five share one.
        if variable.fullmatch(line) and not line.startswith("# PG"):
            assert before.startswith("# "), line
            assert not variable.fullmatch(before), line
