"""The core imports nothing but Python's standard library."""

import ast
import sys
from pathlib import Path

import atomic_core


def test_core_imports_only_the_standard_library_and_itself() -> None:
    allowed = sys.stdlib_module_names | {"atomic_core"}
    sources = sorted(Path(atomic_core.__path__[0]).rglob("*.py"))
    assert sources
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, source
                names = [node.module or ""]
            foreign = {name for name in names if name.split(".")[0] not in allowed}
            assert not foreign, source
