"""Copies of the working tree that import their own modules, with the current venv's packages."""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scratch_folders import scratch_folder

ROOT: Final = Path(__file__).parents[2]

_PRINT_PATHS: Final = """
import atomic_adapters, atomic_core, atomic_web, atomic_worker
from atomic_adapters.postgres.migration_files import MIGRATIONS_FOLDER
for module in (atomic_adapters, atomic_core, atomic_web, atomic_worker):
    print(module.__file__)
print(MIGRATIONS_FOLDER)
"""


class ForeignImport(Exception):
    """A copy's Python imports modules from elsewhere: its tests would prove nothing."""


@contextmanager
def create_copy() -> Iterator[Path]:
    """Copy the current working tree, and delete the copy when the block ends."""
    with scratch_folder("mutant-") as root:
        # Readable, since embedded servers do not run as root.
        root.chmod(0o755)
        _copy_files(root)
        _link_venv(root)
        (root / "tmp").mkdir()
        check_imports(root)
        yield root


def get_python(root: Path) -> Path:
    return root / ".venv" / "bin" / "python"


def build_environ(root: Path) -> dict[str, str]:
    """Return the environment of the copy's processes: without variables that could make them import
    other modules, and with their temporary files inside the copy."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PYTEST", "VIRTUAL_ENV", "MAKE"))
    }
    return {**inherited, "TMPDIR": str(root / "tmp")}


def write_migration_checksums(root: Path) -> None:
    """Update SHA256SUMS: tests must fail because of what an edited migration does, not of its
    checksum."""
    folder = root / "migrations"
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.glob("*.sql"))
    ]
    (folder / "SHA256SUMS").write_text("".join(sums))


def check_imports(root: Path) -> None:
    """Raises ForeignImport unless the copy's Python imports the copy from any directory."""
    result = subprocess.run(
        [get_python(root), "-c", _PRINT_PATHS],
        cwd="/",
        env=build_environ(root),
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [Path(line) for line in result.stdout.splitlines()]
    if foreign := [str(path) for path in paths if root not in path.parents]:
        raise ForeignImport(f"{', '.join(foreign)}: not in {root}")


def _copy_files(root: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, target = ROOT / name, root / name
        # A deleted file is listed until the deletion is committed.
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def _link_venv(root: Path) -> None:
    """Create a venv of links to the same packages, with the copy in place of the editable install.
    An environment variable is not enough: tests start processes with another environment."""
    venv, packages = Path(sys.prefix), Path(sysconfig.get_path("purelib"))
    own = root / ".venv" / packages.relative_to(venv)
    own.mkdir(parents=True)
    for package in packages.iterdir():
        if not package.name.startswith(("__editable__", "__pycache__")):
            (own / package.name).symlink_to(package)
    (own / "copy.pth").write_text(f"{root}\n")
    shutil.copy(venv / "pyvenv.cfg", root / ".venv")
    get_python(root).parent.mkdir()
    get_python(root).symlink_to(Path(sys.executable).resolve())
