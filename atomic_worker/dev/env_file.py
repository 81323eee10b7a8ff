""".atomic/dev.env: the URLs, ids and key of `atomic dev`, for scripts and other commands."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path


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
