"""Files of `atomic dev`: .atomic/dev.env with URLs, ids and keys, for scripts and other commands;
and .atomic/webhook.key, which encrypts signing secrets."""

import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path


def write_env_file(path: Path, values: Mapping[str, str]) -> None:
    """Replace the file atomically. A shell that sources it passes the values on to its commands.
    Only its owner may read it, because it contains an API key."""
    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    _write_private_file(path, text)


def ensure_key_file(path: Path, generate_key: Callable[[], str]) -> str:
    """The key in the file, which is created if there is none. Only its owner may read it."""
    try:
        key = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        key = ""
    if not key:
        key = generate_key()
        _write_private_file(path, f"{key}\n")
    return key


def _write_private_file(path: Path, text: str) -> None:
    new_file = path.with_name(f"{path.name}.new")
    new_file.unlink(missing_ok=True)
    descriptor = os.open(new_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    new_file.replace(path)
