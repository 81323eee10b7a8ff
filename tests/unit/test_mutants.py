"""The mutants of tests/mutants still fit the source, and are tried out on copies of it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mutants.catalogue import MUTANTS
from mutants.checks import CHECKS, FAULTS, SILENT, Check, Runner
from mutants.copies import ROOT, NotTheCopy, copied, environment_of, prove, python_of
from mutants.mutant import Edit, StaleMutant


@pytest.fixture(scope="module")
def copy() -> Iterator[Path]:
    with copied() as root:
        yield root


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_applies_to_the_source_as_it_is(name: str, tmp_path: Path) -> None:
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


def test_text_that_is_not_there_once_is_not_edited(tmp_path: Path) -> None:
    (tmp_path / "it").write_text("one two one")
    for text in ("one", "three"):
        with pytest.raises(StaleMutant):
            Edit("it", text, "four").apply(tmp_path)
    assert (tmp_path / "it").read_text() == "one two one"


def test_the_checks_are_there() -> None:
    named = {path for mutant in MUTANTS.values() for path in mutant.likely}
    named |= {target for check in CHECKS if check is not FAULTS for target in check.targets}
    assert [path for path in (*named, *SILENT) if not (ROOT / path).exists()] == []


def test_a_copy_imports_itself_wherever_it_is_started(copy: Path) -> None:
    prove(copy)
    (copy / "atomic_core" / "changed.py").write_text("WORDS = 'in the copy only'")
    told = subprocess.run(
        [python_of(copy), "-c", "import atomic_core.changed as it, pytest, sys; print(it.WORDS)"],
        cwd="/",
        env=environment_of(copy),
        capture_output=True,
        text=True,
    )
    assert told.stdout == "in the copy only\n", told.stderr


def test_a_copy_that_imports_something_else_is_not_used(copy: Path, tmp_path: Path) -> None:
    [pth] = copy.glob(".venv/lib/*/site-packages/copy.pth")
    pth.write_text(f"{ROOT}\n")
    try:
        with pytest.raises(NotTheCopy):
            prove(copy)
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
def test_stands_still(): threading.Event().wait()
"""


def test_what_became_of_a_check_is_told(copy: Path) -> None:
    folder = copy / "tests" / "own"
    folder.mkdir()
    (folder / "test_it.py").write_text(TESTS)
    (folder / "test_broken.py").write_text("import nothing_of_this_name")
    runner, file = Runner(), "tests/own/test_it.py"

    def run(*targets: str, seconds: float = 30) -> tuple[str | None, bool]:
        outcome = runner.run(Check("own", targets, seconds), copy)
        return outcome.caught, outcome.broken is not None

    names = ("test_passes", "test_fails_once", "test_fails")
    assert run(*(f"{file}::{name}" for name in names)) == (f"{file}::test_fails", False)
    assert run(*(f"{file}::{name}" for name in names[:2])) == (None, False)
    still = f"{file}::test_stands_still"
    assert run(still, seconds=4) == (f"{still} (stands still: 4 s)", False)
    assert run("tests/own/test_broken.py") == (None, True)


def test_a_fault_suite_that_is_not_there_catches_nothing_and_one_that_fails_does(
    copy: Path,
) -> None:
    suite = copy / "tests" / "fault"
    suite.mkdir(exist_ok=True)
    main = suite / "__main__.py"
    main.unlink(missing_ok=True)
    assert Runner().run(FAULTS, copy).caught is None
    main.write_text("import sys; sys.exit('seed 1: posted twice')")
    caught = Runner().run(FAULTS, copy).caught
    assert caught
    assert "seed 1: posted twice" in caught
