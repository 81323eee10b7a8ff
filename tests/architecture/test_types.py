"""pyright finds nothing. It is a test, so that `make test` runs it beside other tests: alone it
would occupy one core, and leave the other idle."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]

SOUND: Final = "types/sound"
"""Where pytest's cache keeps the digest of what pyright last found sound."""


def test_types_are_sound(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """pyright takes a minute. Of the same sources and packages it finds the same again, so it is
    not repeated after it has found nothing."""
    cache: pytest.Cache | None = getattr(request.config, "cache", None)
    digest = compute_digest(ROOT)
    if cache and cache.get(SOUND, None) == digest:
        return
    checked = subprocess.run(
        [sys.executable, "-m", "pyright"],
        cwd=ROOT,
        # A killed pyright leaves its temporary files.
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    if cache:
        cache.set(SOUND, digest)


def compute_digest(root: Path) -> str:
    """Of all that pyright reads: the sources, its configuration, the packages and Python."""
    packages = sorted(f"{package.name}=={package.version}" for package in distributions())
    digest = hashlib.sha256("\n".join([sys.version, *packages]).encode())
    for path in (root / "pyproject.toml", *sorted(list_sources(root))):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"\n{path.relative_to(root)} {content}".encode())
    return digest.hexdigest()


def list_sources(root: Path) -> Iterator[Path]:
    """All but those in hidden folders, such as .venv."""
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(folder, name) for name in files if name.endswith((".py", ".pyi")))


def test_digest_changes_with_sources_and_configuration(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / ".venv").mkdir()
    digests: list[str] = []
    for name in ("pyproject.toml", "package/it.py", "package/it.pyi", ".venv/it.py", "notes.md"):
        for text in ("one", "two"):
            (tmp_path / name).write_text(text)
            digests.append(compute_digest(tmp_path))
    assert len(set(digests)) == 6
    assert len(set(digests[5:])) == 1, "hidden folders and other files do not count"
