""".atomic/dev.env: the URLs, ids and key of `atomic dev`, for scripts and other commands."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values


def read_env_file(path: Path) -> dict[str, str]:
    """Return the names and values in the file; empty if there is no file."""
    return {name: value for name, value in dotenv_values(path).items() if value is not None}


def write_env_file(path: Path, values: Mapping[str, str]) -> None:
    """Replace the file atomically. A shell can source it. Only its owner may read it, because it
    contains an API key."""
    new_file = path.with_name(f"{path.name}.new")
    new_file.unlink(missing_ok=True)
    text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    descriptor = os.open(new_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    new_file.replace(path)
