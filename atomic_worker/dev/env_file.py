""".atomic/dev.env: what scripts, and the other commands, need to know of a running `atomic dev`."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values


def read_env_file(path: Path) -> dict[str, str]:
    """Names and values in the file; empty if there is none."""
    return {name: value for name, value in dotenv_values(path).items() if value is not None}


def write_env_file(path: Path, values: Mapping[str, str]) -> None:
    """Write it whole or not at all, for its owner's eyes only: it holds a key. A shell can
    source it."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)
