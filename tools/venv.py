"""Create or update .venv: `python tools/venv.py embedded|dev`.

Uses the standard library only, because it runs before anything is installed. Make calls it when
pyproject.toml or a file in `requirements` is newer than the stamp; it installs only if their
content has changed, under a lock, so that concurrent calls of make install once. pip checks the
hash of each file that it installs.
"""

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
INCLUDED = {"embedded": ("embedded",), "dev": ("embedded", "dev")}
"""The extras that installing an extra includes."""


def main(extra: str) -> int:
    VENV.mkdir(exist_ok=True)
    with (VENV / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return bring_up_to_date(extra)


def bring_up_to_date(extra: str) -> int:
    expected_digest = compute_digest()
    stamp = get_stamp(extra)
    if can_run("-c", "pass") and stamp.exists() and stamp.read_text() == expected_digest:
        stamp.touch()
        return 0
    for other in INCLUDED:
        get_stamp(other).unlink(missing_ok=True)
    # Created again if its creation was interrupted or its Python has been removed.
    if not can_run("-m", "pip", "--version"):
        say(f"Creating .venv with Python {sys.version.split()[0]}")
        created = subprocess.run([sys.executable, "-m", "venv", VENV], check=False)
        if created.returncode:
            say("This Python cannot create .venv; on Debian: apt install python3-venv")
            return created.returncode
    say(f"Installing atomic[{extra}] as pinned in requirements/{extra}.txt")
    # First pip itself: the one that comes with Python 3.11 takes twice as long for the others.
    status = install("--require-hashes", "-r", "requirements/build.txt")
    if status == 0:
        status = install("--require-hashes", "-r", f"requirements/{extra}.txt")
    # Atomic itself has no hash, so it is installed apart, without anything that is not pinned. Only
    # errors are shown: setuptools warns of every editable installation.
    if status == 0:
        status = install("-qq", "--no-deps", "--no-build-isolation", "-e", ".")
    if status == 0:
        compile_packages()
        for included in INCLUDED[extra]:
            get_stamp(included).write_text(expected_digest)
    return status


def install(*arguments: str) -> int:
    """Without compiling to bytecode, which pip does on one core."""
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    options = ["--disable-pip-version-check", "--no-compile", *quiet]
    command = [PYTHON, "-m", "pip", "install", *options, *arguments]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


NOT_COMPILED = r"/site-packages/(pip|setuptools)/|/tests?/"
"""What no process of ours imports, a sixth of the files."""


def compile_packages() -> None:
    """Compile to bytecode on all cores. Packages contain files that do not compile, for other
    versions of Python: they are left out, as pip does."""
    for packages in VENV.glob("lib/python*/site-packages"):
        command = [PYTHON, "-m", "compileall", "-qq", "-j", "0", "-x", NOT_COMPILED, packages]
        subprocess.run(command, check=False)


def compute_digest() -> str:
    files = [ROOT / "pyproject.toml", *sorted((ROOT / "requirements").glob("*.txt"))]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def get_stamp(extra: str) -> Path:
    return VENV / f"{extra}.stamp"


def can_run(*arguments: str) -> bool:
    if not PYTHON.exists():
        return False
    return subprocess.run([PYTHON, *arguments], capture_output=True, check=False).returncode == 0


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - no logging is set up


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
