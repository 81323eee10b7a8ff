"""What the README shows, works."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_in_python_passes(example: str) -> None:
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)  # noqa: S102
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        assert callable(test)
        test()


def test_the_in_memory_example_is_there() -> None:
    assert any("in_memory()" in example for example in EXAMPLES)


def test_every_command_and_target_it_names_exists() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    named = set(re.findall(r"^make ([a-z-]+)", README, re.MULTILINE))
    commands = README.split("\n## Commands\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[a-z`,=… -]+) \| ", commands, re.MULTILINE)
    named |= {name for row in rows for name in re.findall(r"`([a-z-]+)", row)}
    assert {"run", "test", "migrate-create", "up"} <= named
    assert named <= targets
