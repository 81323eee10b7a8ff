"""The files in `requirements` pin everything that pyproject.toml declares, with hashes."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parents[2]
PYPROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS: Final[dict[str, list[str]]] = PYPROJECT["project"]["optional-dependencies"]

DECLARED: Final[dict[str, list[str]]] = {
    "build": PYPROJECT["build-system"]["requires"],
    "runtime": PYPROJECT["project"]["dependencies"],
    "embedded": EXTRAS["embedded"],
    "dev": [requirement for requirement in EXTRAS["dev"] if not requirement.startswith("atomic[")],
}

PARTS: Final = {
    "runtime": ("runtime",),
    "embedded": ("runtime", "embedded"),
    "dev": ("runtime", "embedded", "dev"),
}

HASH: Final = re.compile(r"--hash=sha256:[0-9a-f]{64}")

PYTHONS: Final = ("3.11.0", "3.12.0", "3.13.0", "3.14.0")


def read_lines(name: str) -> list[str]:
    """One line per requirement or included file."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def parse_pin(line: str) -> Requirement:
    return Requirement(HASH.sub("", line).strip())


def read_pins(name: str) -> dict[str, Requirement]:
    """The requirements of a file and of those that it includes, by name."""
    pins: dict[str, Requirement] = {}
    for line in read_lines(name):
        if included := re.fullmatch(r"-r (\w+)\.txt", line):
            pins |= read_pins(included[1])
        else:
            pin = parse_pin(line)
            pins[canonicalize_name(pin.name)] = pin
    return pins


@pytest.mark.parametrize("name", DECLARED)
def test_every_requirement_is_one_version_with_hashes(name: str) -> None:
    lines = [line for line in read_lines(name) if not line.startswith("-r ")]
    assert lines
    for line in lines:
        pin = parse_pin(line)
        assert re.fullmatch(r"==[^*,]+", str(pin.specifier)), pin
        assert HASH.search(line), f"{pin} has no hash"


@pytest.mark.parametrize("name", DECLARED)
def test_every_declared_dependency_is_pinned(name: str) -> None:
    pins = read_pins(name)
    for declared in map(Requirement, DECLARED[name]):
        pin = pins.get(canonicalize_name(declared.name))
        assert pin, f"{declared.name} is declared and not pinned: run `make lock ARGS=--keep`"
        [version] = [specifier.version for specifier in pin.specifier]
        assert declared.specifier.contains(version), f"{pin} does not satisfy {declared}"


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", ["runtime", "embedded", "dev"])
def test_dependencies_of_dependencies_are_pinned(name: str, python: str) -> None:
    """As far as they are installed here, for every supported Python."""
    environment = {
        "python_version": python.rpartition(".")[0],
        "python_full_version": python,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    pins = read_pins(name)
    pending = [text for part in PARTS[name] for text in DECLARED[part]]
    seen: set[str] = set()
    while pending:
        text = pending.pop()
        if text in seen:
            continue
        seen.add(text)
        requirement = Requirement(text)
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin, f"{text} is not pinned in {name}.txt"
        assert not pin.marker or pin.marker.evaluate(environment), f"{pin} lacks Python {python}"
        pending += list_dependencies(requirement, environment)


def list_dependencies(requirement: Requirement, environment: dict[str, str]) -> list[str]:
    """The requirements of an installed distribution, with the given extras."""
    try:
        texts = requires(requirement.name) or []
    except PackageNotFoundError:
        # Not on this platform or Python.
        return []
    environments = [environment | {"extra": extra} for extra in ("", *requirement.extras)]
    markers = {text: Requirement(text).marker for text in texts}
    return [
        text
        for text, marker in markers.items()
        if not marker or any(marker.evaluate(each) for each in environments)
    ]
