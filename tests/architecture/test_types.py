"""pyright finds nothing. It is a test, so that `make test` runs it beside other tests: alone it
would occupy one core, and leave the other idle."""

import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


def test_types_are_sound() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "pyright"], cwd=ROOT, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
