"""Loads SQL statements from files.

`-- name:` begins a statement; comments after it explain it. `-- include:` stands for a file in
`fragments`. Both are resolved at import, so every statement is constant text. Its indentation is
removed: psycopg parses a statement of more than 4,096 bytes again at each call.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

SQL_FOLDER: Final = Path(__file__).parent
_NAME: Final = re.compile(r"^-- name: *(\w+) *$", re.MULTILINE)
_INCLUDE: Final = re.compile(r"^ *-- include: *(\w+)(?:\((\w+)\))? *$", re.MULTILINE)
_INDENTATION: Final = re.compile(r"^ +", re.MULTILINE)


def load_statements(stem: str) -> Mapping[str, bytes]:
    """The statements of `<stem>.sql` by name. As bytes: the type checker then reports any string
    that is concatenated to them."""
    _, *parts = _NAME.split((SQL_FOLDER / f"{stem}.sql").read_text(encoding="utf-8"))
    names, bodies = parts[::2], parts[1::2]
    if len(set(names)) != len(names):
        raise ValueError(f"{stem}.sql names a statement twice")
    return {
        name: _INDENTATION.sub("", _INCLUDE.sub(_read_fragment, body)).strip().encode()
        for name, body in zip(names, bodies, strict=True)
    }


def _read_fragment(include: re.Match[str]) -> str:
    name, table = include.groups()
    path = Path(__file__).parent / "fragments" / f"{name}.sql"
    return path.read_text(encoding="utf-8").replace("{table}", table or "").rstrip()
