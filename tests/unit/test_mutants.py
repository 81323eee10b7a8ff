"""Each mutant applies to the current source, and the runner reports failing checks correctly."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mutants.catalogue import MUTANTS
from mutants.checks import CHECKS, EXCLUDED_TESTS, FAULT_CHECK, Check, Runner
from mutants.copies import (
    ROOT,
    ForeignImport,
    build_environ,
    check_imports,
    create_copy,
    get_python,
)
from mutants.mutant import Edit, StaleMutant


@pytest.fixture(scope="module")
def copy() -> Iterator[Path]:
    with create_copy() as root:
        yield root


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_applies_to_current_source(name: str, tmp_path: Path) -> None:
    mutant = MUTANTS[name]
    for path in {edit.path for edit in mutant.edits}:
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / path).read_bytes())
    for edit in mutant.edits:
        edit.apply(tmp_path)
        assert edit.new in (tmp_path / edit.path).read_text()
        if edit.path.endswith(".py"):
            compile((tmp_path / edit.path).read_bytes(), edit.path, "exec")


def test_edit_of_text_that_is_not_unique_raises(tmp_path: Path) -> None:
    (tmp_path / "it").write_text("one two one")
    for text in ("one", "three"):
        with pytest.raises(StaleMutant):
            Edit("it", text, "four").apply(tmp_path)
    assert (tmp_path / "it").read_text() == "one two one"


def test_paths_of_checks_exist() -> None:
    paths = {path for mutant in MUTANTS.values() for path in mutant.likely_tests}
    paths |= {target for check in CHECKS if check is not FAULT_CHECK for target in check.targets}
    assert [path for path in (*paths, *EXCLUDED_TESTS) if not (ROOT / path).exists()] == []


def test_copy_imports_itself_from_any_directory(copy: Path) -> None:
    check_imports(copy)
    (copy / "atomic_core" / "changed.py").write_text("TEXT = 'in the copy only'")
    result = subprocess.run(
        [get_python(copy), "-c", "import atomic_core.changed as it, pytest, sys; print(it.TEXT)"],
        cwd="/",
        env=build_environ(copy),
        capture_output=True,
        text=True,
    )
    assert result.stdout == "in the copy only\n", result.stderr


def test_copy_that_imports_other_modules_raises(copy: Path, tmp_path: Path) -> None:
    [pth] = copy.glob(".venv/lib/*/site-packages/copy.pth")
    pth.write_text(f"{ROOT}\n")
    try:
        with pytest.raises(ForeignImport):
            check_imports(copy)
    finally:
        pth.write_text(f"{copy}\n")


TESTS = """
import threading
from pathlib import Path
def test_fails_once():
    mark = Path(__file__).with_name("mark")
    first = not mark.exists()
    mark.touch()
    assert not first
def test_passes(): pass
def test_fails(): assert False
def test_hangs(): threading.Event().wait()
"""


def test_runner_reports_first_repeated_failure(copy: Path) -> None:
    folder = copy / "tests" / "own"
    folder.mkdir()
    (folder / "test_it.py").write_text(TESTS)
    (folder / "test_broken.py").write_text("import nothing_of_this_name")
    runner, file = Runner(), "tests/own/test_it.py"

    def run(*targets: str, seconds: float = 30) -> tuple[str | None, bool]:
        outcome = runner.run(Check("own", targets, seconds), copy)
        return outcome.failure, outcome.error is not None

    names = ("test_passes", "test_fails_once", "test_fails")
    assert run(*(f"{file}::{name}" for name in names)) == (f"{file}::test_fails", False)
    assert run(*(f"{file}::{name}" for name in names[:2])) == (None, False)
    hanging = f"{file}::test_hangs"
    assert run(hanging, seconds=4) == (f"{hanging} (hangs: 4 s)", False)
    assert run("tests/own/test_broken.py") == (None, True)


def test_only_a_failing_fault_suite_catches_a_mutant(
    copy: Path,
) -> None:
    suite = copy / "tests" / "fault"
    suite.mkdir(exist_ok=True)
    main = suite / "__main__.py"
    main.unlink(missing_ok=True)
    assert Runner().run(FAULT_CHECK, copy).failure is None
    main.write_text("import sys; sys.exit('seed 1: posted twice')")
    failure = Runner().run(FAULT_CHECK, copy).failure
    assert failure
    assert "seed 1: posted twice" in failure
