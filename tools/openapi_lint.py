"""Lint the OpenAPI document with Redocly and Spectral; fail on any warning.

Needs Node.js and, at the first run, the npm registry.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from atomic_adapters.settings import Settings
from atomic_adapters.wiring import in_memory
from atomic_web.app import create_app
from atomic_web.openapi.document import build

# Exact versions: a newer one may have further rules.
REDOCLY: Final = "@redocly/cli@2.77.0"
SPECTRAL: Final = "@stoplight/spectral-cli@6.16.0"

RULESETS: Final = {
    # The recommended rules, with every warning as an error.
    "redocly.yaml": "extends: [recommended-strict]\n",
    "spectral.yaml": "extends: spectral:oas\n",
}

VARIANTS: Final[dict[str, dict[str, str]]] = {
    "default": {},
    "restricted": {"CURRENCIES": "USD,EUR", "CORS_ORIGIN": "https://shop.example"},
}
"""Settings that the document depends on, by the name of the variant."""


def main() -> int:
    npx = shutil.which("npx")
    if npx is None:
        sys.stderr.write("make openapi-lint needs Node.js 20.19 or newer, with npx on PATH.\n")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        for name, ruleset in RULESETS.items():
            (Path(folder) / name).write_text(ruleset, encoding="utf-8")
        documents = [write_document(Path(folder), variant) for variant in VARIANTS]
        redocly = [REDOCLY, "lint", "--config", "redocly.yaml"]
        spectral = [SPECTRAL, "lint", "--ruleset", "spectral.yaml", "--fail-severity", "hint"]
        statuses = [
            subprocess.run([npx, "--yes", *command, *documents], cwd=folder, check=False).returncode
            for command in (redocly, spectral)
        ]
    return 1 if any(statuses) else 0


def write_document(folder: Path, variant: str) -> str:
    """Write the document of a variant; return the file's name."""
    required = {"ATOMIC_ENV": "test", "DATABASE_URL": "postgresql:///unused"}
    settings = Settings.from_environ(required | VARIANTS[variant])
    document = build(create_app(in_memory(), settings), settings)
    name = f"{variant}.json"
    (folder / name).write_text(json.dumps(document), encoding="utf-8")
    return name


if __name__ == "__main__":
    sys.exit(main())
