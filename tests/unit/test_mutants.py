"""Each mutant applies to the current source, and the runner reports failing checks correctly."""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from mutants.catalogue import ALL_MUTANTS, MUTANTS
from mutants.checks import (
    CHECKS,
    EXCLUDED_TESTS,
    FAULT_CHECK,
    Check,
    Outcome,
    Runner,
    find_failed_tests,
)
from mutants.copies import (
    ROOT,
    ForeignImport,
    build_environ,
    check_imports,
    create_copy,
    get_python,
)
from mutants.mutant import Edit, StaleMutant
from processes import wait_until

GUARD_SECONDS = 60
"""Only stops a test that would hang."""


@pytest.fixture(scope="module")
def copy() -> Iterator[Path]:
    with create_copy() as root:
        yield root


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_applies_to_current_source(name: str) -> None:
    sources: dict[str, str] = {}
    for edit in MUTANTS[name].edits:
        source = sources.get(edit.path) or read_source(edit.path)
        sources[edit.path] = edit.edit(source)
        assert edit.new in sources[edit.path]
    for path, source in sources.items():
        if path.endswith(".py"):
            ast.parse(source, path)


@cache
def read_source(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def test_names_of_mutants_are_unique() -> None:
    names = [mutant.name for mutant in ALL_MUTANTS]
    assert sorted(names) == sorted(MUTANTS)


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


@pytest.mark.parametrize(
    "line",
    [
        "tests/a.py::test_b[x y] FAILED                                  [ 40%]",
        "tests/a.py::test_b[x y] a thread prints\nFAILED [ 40%]\nFAILED tests/a.py::test_b[x y]",
        "ERROR tests/a.py::test_b[x y] - OSError: no - more",
    ],
)
def test_failed_test_is_found_in_the_output(line: str) -> None:
    assert find_failed_tests(f"first\n{line}\nlast") == ["tests/a.py::test_b[x y]"]


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
    is_first_run = not mark.exists()
    mark.touch()
    assert not is_first_run
def test_passes(): pass
def test_fails(): assert False
def test_hangs(): threading.Event().wait()
def test_hangs_once():
    mark = Path(__file__).with_name("mark")
    is_first_run = not mark.exists()
    mark.touch()
    if is_first_run:
        threading.Event().wait()
"""

TEST_FILE = "tests/own/test_it.py"

PYTEST_INI = """
[pytest]
addopts = -p no:schemathesis -p no:hypothesispytest -p no:xdist -p no:anyio -p no:valkey
"""
"""Starts several times faster without plugins, and the tests need none."""


@pytest.fixture
def small_copy(tmp_path: Path) -> Path:
    """A tree with only these tests and the current venv."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "pytest.ini").write_text(PYTEST_INI)
    folder = tmp_path / "tests" / "own"
    folder.mkdir(parents=True)
    (folder / "test_it.py").write_text(TESTS)
    (folder / "test_broken.py").write_text("import nothing_of_this_name")
    return tmp_path


def run_tests(root: Path, *names: str, seconds: float = 120) -> Outcome:
    targets = tuple(f"{TEST_FILE}::{name}" for name in names)
    return Runner().run(Check("own", targets, seconds), root)


def test_runner_reports_first_repeated_failure(small_copy: Path) -> None:
    outcome = run_tests(small_copy, "test_passes", "test_fails_once", "test_fails")
    assert outcome == Outcome(failure=f"{TEST_FILE}::test_fails")


def test_failure_that_does_not_repeat_passes(small_copy: Path) -> None:
    assert run_tests(small_copy, "test_passes", "test_fails_once") == Outcome()
    assert (small_copy / TEST_FILE).with_name("mark").exists()


def test_tests_that_cannot_be_imported_are_an_error(small_copy: Path) -> None:
    outcome = Runner().run(Check("own", ("tests/own/test_broken.py",), 120), small_copy)
    assert outcome.failure is None
    assert outcome.error


def time_out(monkeypatch: pytest.MonkeyPatch, has_started: Callable[[], bool], count: int) -> None:
    """Let the next processes time out as soon as the test has started, however long pytest takes
    to start."""
    remaining = list(range(count))

    class TimedOutProcess(subprocess.Popen):
        def wait(self, timeout: float | None = None) -> int:
            if timeout is None or not remaining:
                return super().wait(timeout)
            remaining.pop()
            wait_until(has_started, GUARD_SECONDS, "the test starts")
            raise subprocess.TimeoutExpired(self.args, timeout)

    monkeypatch.setattr(subprocess, "Popen", TimedOutProcess)


def test_test_that_hangs_is_a_failure(small_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = small_copy / "tmp" / "check.log"
    time_out(monkeypatch, lambda: "test_hangs" in log.read_text(), 2)
    outcome = run_tests(small_copy, "test_hangs", seconds=4)
    assert outcome == Outcome(failure=f"{TEST_FILE}::test_hangs (hangs: 4 s)")


def test_check_that_is_only_slow_proves_nothing(
    small_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time_out(monkeypatch, (small_copy / TEST_FILE).with_name("mark").exists, 1)
    outcome = run_tests(small_copy, "test_hangs_once")
    assert outcome == Outcome(
        error=f"the check own took over 120 s; {TEST_FILE}::test_hangs_once passes alone"
    )


def test_only_a_failing_fault_suite_catches_a_mutant(small_copy: Path) -> None:
    assert Runner().run(FAULT_CHECK, small_copy).failure is None
    suite = small_copy / "tests" / "fault"
    suite.mkdir()
    (suite / "__main__.py").write_text("import sys; sys.exit('seed 1: posted twice')")
    failure = Runner().run(FAULT_CHECK, small_copy).failure
    assert failure
    assert "seed 1: posted twice" in failure
