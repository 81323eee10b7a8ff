"""Lint the OpenAPI document with Redocly and Spectral, and generate a Python client from it; any
warning is a failure.

Needs Node.js and, at the first run, the npm registry and PyPI.
"""

import json
import os
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
GENERATOR: Final = "openapi-python-client==0.29.1"

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
        statuses += generate_client(Path(folder), documents)
    return 1 if any(statuses) else 0


def generate_client(folder: Path, documents: list[str]) -> list[int]:
    """Generate a client from each document and import all its modules; return the exit statuses.
    The generator has an environment of its own: few developers need it and what it depends on."""
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], cwd=folder, check=True)
    python = environment / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", GENERATOR]
    subprocess.run(install, check=True)
    # It formats what it generates with the ruff on PATH.
    environ = {"PATH": f"{python.parent}:{os.environ['PATH']}"}
    statuses: list[int] = []
    for document in documents:
        package = document.removesuffix(".json")
        command = [python, "-m", "openapi_python_client", "generate", "--fail-on-warning"]
        command += ["--meta", "none", "--path", document, "--output-path", package]
        statuses.append(subprocess.run(command, cwd=folder, env=environ, check=False).returncode)
        modules = [
            ".".join(file.relative_to(folder).with_suffix("").parts)
            for file in sorted((folder / package).rglob("*.py"))
        ]
        imports = "\n".join(f"import {module}" for module in modules)
        statuses.append(subprocess.run([python, "-c", imports], cwd=folder, check=False).returncode)
        sys.stdout.write(f"{package}: {len(modules)} modules of a generated client\n")
    return statuses


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
