"""Copies of the tree that import themselves, with the packages of the venv that runs this."""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

_OURS: Final = """
import atomic_adapters, atomic_core, atomic_web, atomic_worker
from atomic_adapters.postgres.migration_files import FOLDER
for module in (atomic_adapters, atomic_core, atomic_web, atomic_worker):
    print(module.__file__)
print(FOLDER)
"""


class NotTheCopy(Exception):
    """A copy's Python imports something else: no test of it would prove anything."""


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of the working tree, as it is now, until the block ends."""
    # Short, since sockets lie below; open, since embedded servers do not run as root.
    root = Path(tempfile.mkdtemp(prefix="mutant-"))
    root.chmod(0o755)
    try:
        _copy_files(root)
        _link_venv(root)
        (root / "tmp").mkdir()
        prove(root)
        yield root
    finally:
        # Servers of tests that were killed may still be on their way out.
        shutil.rmtree(root, ignore_errors=True)


def python_of(root: Path) -> Path:
    return root / ".venv" / "bin" / "python"


def environment_of(root: Path) -> dict[str, str]:
    """For the copy's processes: nothing that could lead them elsewhere, and what they leave
    behind is thrown away with it."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PYTEST", "VIRTUAL_ENV", "MAKE"))
    }
    return {**inherited, "TMPDIR": str(root / "tmp")}


def record_migrations(root: Path) -> None:
    """Write SHA256SUMS anew: that an edited migration is noticed as edited proves nothing about
    what the edit breaks."""
    folder = root / "migrations"
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.glob("*.sql"))
    ]
    (folder / "SHA256SUMS").write_text("".join(sums))


def prove(root: Path) -> None:
    """Raises NotTheCopy unless the copy's Python, started anywhere, imports the copy."""
    told = subprocess.run(
        [python_of(root), "-c", _OURS],
        cwd="/",
        env=environment_of(root),
        capture_output=True,
        text=True,
        check=True,
    )
    if strangers := [line for line in told.stdout.splitlines() if root not in Path(line).parents]:
        raise NotTheCopy(f"{', '.join(strangers)}: not below {root}")


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
        # One that was deleted is listed until that is committed.
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def _link_venv(root: Path) -> None:
    """A venv of the same packages, each a link, with the copy in the place of the editable
    install. An environment variable would not do: tests start processes without ours."""
    venv, packages = Path(sys.prefix), Path(sysconfig.get_path("purelib"))
    own = root / ".venv" / packages.relative_to(venv)
    own.mkdir(parents=True)
    for package in packages.iterdir():
        if not package.name.startswith(("__editable__", "__pycache__")):
            (own / package.name).symlink_to(package)
    (own / "copy.pth").write_text(f"{root}\n")
    shutil.copy(venv / "pyvenv.cfg", root / ".venv")
    python_of(root).parent.mkdir()
    python_of(root).symlink_to(Path(sys.executable).resolve())
