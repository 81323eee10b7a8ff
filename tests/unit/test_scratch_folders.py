"""Folders of killed processes are deleted; those of running processes are not."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scratch_folders import (
    LEFTOVER_SECONDS,
    LOCK_NAME,
    create_scratch_folder,
    delete_leftovers,
    scratch_folder,
)

OWNER = """
import sys
from scratch_folders import create_scratch_folder
print(create_scratch_folder(sys.argv[1]), flush=True)
sys.stdin.read()
"""

TESTS = Path(__file__).parents[1]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@contextmanager
def run_owner(directory: Path, prefix: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that owns a folder until it is killed, and that folder."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, prefix],
        env={**os.environ, "TMPDIR": str(directory), "PYTHONPATH": str(TESTS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def make_old(folder: Path) -> None:
    os.utime(folder, (0, folder.stat().st_mtime - LEFTOVER_SECONDS - 60))


def test_folder_is_deleted_once_its_owner_is_killed(directory: Path) -> None:
    with run_owner(directory, "mutant-") as (process, folder):
        (folder / "nested").mkdir()
        make_old(folder)
        assert delete_leftovers(directory) == []
        assert (folder / "nested").exists()
        process.kill()
        process.wait()
        assert delete_leftovers(directory) == [folder.name]
    assert list(directory.iterdir()) == []


def test_folder_of_this_process_is_kept_until_its_block_ends(directory: Path) -> None:
    with scratch_folder("atomic-") as folder:
        assert delete_leftovers(directory) == []
        assert folder.is_dir()
    assert not folder.exists()


def test_folder_without_a_lock_is_deleted_after_a_day(directory: Path) -> None:
    old, new = directory / "atomic-fault-0a1b2c3_", directory / "atomic-bench-0a1b2c3_"
    for folder in (old, new):
        folder.mkdir()
    make_old(old)
    assert delete_leftovers(directory) == [old.name]
    assert new.exists()


def test_folder_of_a_running_server_is_kept(directory: Path) -> None:
    folder = create_scratch_folder("atomic-")
    # Its owner has ended, but its server has not.
    (folder / LOCK_NAME).rename(folder / "postgres.lock")
    make_old(folder)
    assert delete_leftovers(directory) == []
    assert folder.exists()


@pytest.mark.parametrize(
    "name",
    [
        *(
            "atomic-0123456789abcdef",
            "atomic-mine",
            "atomic-dev",
            "pytest-of-root",
            "other-0a1b2c3d",
        ),
        *("atomic-metrics-PID-0a1b2c3d", "atomic-metrics-1-0a1b2c3d"),
    ],
)
def test_other_folders_are_kept(directory: Path, name: str) -> None:
    # Of a process that runs. Not in the parameter: each process of pytest-xdist has its own.
    name = name.replace("PID", str(os.getpid()))
    (directory / name).mkdir()
    make_old(directory / name)
    assert delete_leftovers(directory) == []
    assert (directory / name).exists()


def test_metrics_of_a_server_that_has_ended_are_deleted(directory: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    folder = directory / f"atomic-metrics-{ended.pid}-0a1b2c3d"
    folder.mkdir()
    assert delete_leftovers(directory) == [], "it is new"
    make_old(folder)
    assert delete_leftovers(directory) == [folder.name]


def test_link_to_a_folder_is_kept(
    directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    target = tmp_path_factory.mktemp("target")
    make_old(target)
    (directory / "mutant-0a1b2c3d").symlink_to(target)
    assert delete_leftovers(directory) == []
    assert target.exists()


def test_name_that_would_not_be_found_again_is_refused(directory: Path) -> None:
    with pytest.raises(AssertionError, match="would not be found again"):
        create_scratch_folder("other-")
