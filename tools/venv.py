"""Makes .venv, or brings it up to date: `python tools/venv.py embedded|dev`.

Standard library only, since it runs before anything is installed. Make calls it when
pyproject.toml or constraints.txt are newer than the stamp; whether there is anything to do is
decided here by their content, under a lock, so that two makes at once do it once.
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
"""Installing an extra also brings these."""


def main(extra: str) -> int:
    VENV.mkdir(exist_ok=True)
    with (VENV / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return bring_up_to_date(extra)


def bring_up_to_date(extra: str) -> int:
    wanted = digest()
    stamp = stamp_of(extra)
    if runs("-c", "pass") and stamp.exists() and stamp.read_text() == wanted:
        stamp.touch()
        return 0
    for other in INCLUDED:
        stamp_of(other).unlink(missing_ok=True)
    # One that was cut off, or whose Python has been removed, is made anew.
    if not runs("-m", "pip", "--version"):
        say(f"Making .venv with Python {sys.version.split()[0]}")
        made = subprocess.run([sys.executable, "-m", "venv", VENV], check=False)
        if made.returncode:
            say("This Python cannot make virtual environments; on Debian: apt install python3-venv")
            return made.returncode
    say(f"Installing atomic[{extra}] as pinned in constraints.txt")
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    install = ["-m", "pip", "install", "--disable-pip-version-check", *quiet]
    done = subprocess.run(
        [PYTHON, *install, "-c", "constraints.txt", "-e", f".[{extra}]"], cwd=ROOT, check=False
    )
    if done.returncode == 0:
        for included in INCLUDED[extra]:
            stamp_of(included).write_text(wanted)
    return done.returncode


def digest() -> str:
    files = [ROOT / "pyproject.toml", ROOT / "constraints.txt"]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def stamp_of(extra: str) -> Path:
    return VENV / f"{extra}.stamp"


def runs(*arguments: str) -> bool:
    if not PYTHON.exists():
        return False
    return subprocess.run([PYTHON, *arguments], capture_output=True, check=False).returncode == 0


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - there is nothing else to print with yet


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
