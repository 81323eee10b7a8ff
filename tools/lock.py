"""Renew the files in `requirements`: exact versions and the hashes of all their files.

`python tools/lock.py` takes the newest versions that pyproject.toml allows, `--keep` keeps the
versions that are pinned already and pins only what pyproject.toml has added. The files are valid
for every supported Python and platform. They include each other, so that no version is pinned
twice: dev.txt includes embedded.txt, which includes runtime.txt.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PYPROJECT: Final = ROOT / "pyproject.toml"
FOLDER: Final = ROOT / "requirements"

HEADER: Final = """\
# {purpose} Renewed by `make lock`.
"""
PURPOSES: Final = {
    "build": "What builds and installs the package.",
    "runtime": "What Atomic imports.",
    "embedded": "PostgreSQL and Valkey as wheels.",
    "dev": "What tests, lints and measures.",
}
INCLUDED: Final = {"embedded": "runtime", "dev": "embedded"}
"""The file that a file includes."""

OPTIONS: Final = ("--universal", "--fork-strategy=fewest", "--generate-hashes", "--no-header")
OUTPUT: Final = ("--no-annotate", "--quiet")

Pins = dict[str, str]
"""The lines of each pinned requirement, by its first line: name, version and marker."""


def main(arguments: Sequence[str]) -> int:
    if unknown := set(arguments) - {"--keep"}:
        sys.stderr.write(f"unknown arguments: {' '.join(sorted(unknown))}\n")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        pins = compile_all(Path(folder), keeps_versions="--keep" in arguments)
    FOLDER.mkdir(exist_ok=True)
    for name, purpose in PURPOSES.items():
        inherited = pins[INCLUDED[name]] if name in INCLUDED else {}
        include = f"-r {INCLUDED[name]}.txt\n" if name in INCLUDED else ""
        own = "".join(lines for first, lines in pins[name].items() if first not in inherited)
        text = HEADER.format(purpose=purpose) + include + own
        (FOLDER / f"{name}.txt").write_text(text, encoding="utf-8")
    return 0


def compile_all(folder: Path, *, keeps_versions: bool) -> dict[str, Pins]:
    """The pins of each file, with those that it includes."""
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "uv"], check=True)
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))
    oldest = project["project"]["requires-python"].removeprefix(">=")
    build_input = folder / "build.in"
    requires = [*project["build-system"]["requires"], "pip"]
    build_input.write_text("\n".join(requires), encoding="utf-8")

    def compile_pins(name: str, *inputs: str | Path) -> Pins:
        # uv keeps the versions of an output file that exists.
        output = folder / f"{name}.txt"
        if keeps_versions:
            output.write_text(read_pinned(), encoding="utf-8")
        command = [python, "-m", "uv", "pip", "compile", *OPTIONS, *OUTPUT]
        command += ["--python-version", oldest, "--output-file", output, *inputs]
        # Another folder: uv reads no configuration of this one.
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        return split_pins(output.read_text(encoding="utf-8"))

    # All at once, then the parts in the same versions.
    pins = {
        "build": compile_pins("build", build_input),
        "dev": compile_pins("dev", PYPROJECT, "--extra", "dev"),
    }
    versions = folder / "versions.txt"
    versions.write_text("\n".join(pins["dev"]), encoding="utf-8")
    same = ("--constraint", versions)
    pins["embedded"] = compile_pins("embedded", PYPROJECT, "--extra", "embedded", *same)
    pins["runtime"] = compile_pins("runtime", PYPROJECT, *same)
    return pins


def read_pinned() -> str:
    return "".join(
        path.read_text(encoding="utf-8").replace("-r ", "# -r ") for path in FOLDER.glob("*.txt")
    )


def split_pins(text: str) -> Pins:
    blocks = re.findall(r"^(?![ #]).+\n(?: .+\n)*", text, re.MULTILINE)
    return {block.partition("\n")[0].removesuffix("\\").strip(): block for block in blocks}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
