"""The documentation is complete, and nothing in it points to what does not exist.

A name is *documented* by a Markdown table row whose first cell holds it in backticks; the whole
code span is the name (`POST /payments`, `atomic verify`, `PORT`, `card_declined`). Each name of
the code must have exactly one such row in README.md, CONTRIBUTING.md, SECURITY.md and docs/**.
"""

import ast
import collections
import importlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from prometheus_client import Counter, Gauge, Histogram

from atomic_adapters.networks.sandbox import (
    AUTHORIZATION_RESPONSES,
    CAPTURE_RESPONSES,
    REFUND_RESPONSES,
    STATE_RESPONSES,
    VOID_RESPONSES,
)
from atomic_adapters.settings import Settings
from atomic_adapters.wiring import in_memory
from atomic_core.domain import audit_log, events
from atomic_core.domain.backlog import NO_BACKLOG
from atomic_core.domain.card_networks import DECLINE_REASONS
from atomic_core.domain.ledger_verification import LedgerCheck, LedgerReport
from atomic_core.domain.merchants import Scope
from atomic_core.domain.open_work import HOLD_AGES, OpenWork
from atomic_core.domain.posting import Refusal
from atomic_core.domain.process_load import NO_LOAD
from atomic_core.domain.settlement import NETWORK_UNAVAILABLE
from atomic_core.domain.webhook_backlog import WebhookBacklog
from atomic_core.use_cases.in_doubt import RESOLVED_BY_OPERATOR
from atomic_web import metrics
from atomic_web.app import create_app
from atomic_web.context import BASE_PATH
from atomic_web.error_catalogue import ERRORS_BY_CODE
from atomic_web.openapi.document import ALIASES
from atomic_worker.cli import main
from atomic_worker.settlement import metrics as settlement_metrics
from atomic_worker.webhooks import metrics as webhook_metrics

ROOT = Path(__file__).parents[2]
MAX_README_LINES = 200

NAMED = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES = [*NAMED, *sorted((ROOT / "docs").rglob("*.md"))]
REFERENCE = [page for page in PAGES if page.name != "CHANGELOG.md"]

COMPOSE_SETTINGS = {
    "POSTGRES_PASSWORD",
    "OWNER_ROLE_PASSWORD",
    "PUBLISH_ADDRESS",
    "POSTGRES_IMAGE",
    "VALKEY_IMAGE",
    "NGINX_IMAGE",
    "PYTHON_IMAGE",
}
"""Read by compose.yaml, not by Atomic."""

GENERATED = (".atomic/", ".venv/")
"""Folders that exist after `make run` only."""

NEW_MODULES = {"atomic_web.schemas.fees"}
"""Modules that an example of CONTRIBUTING.md adds."""

FENCE = re.compile(r"^(```+|~~~+)[^\n]*\n.*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)(?P<code>.+?)\1")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\((?P<target>[^()\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(?P<text>.+?) *#*$", re.MULTILINE)
FIRST_CELL = re.compile(r"^\| *(?P<cell>(?:[^|\\]|\\.)*?) *\|", re.MULTILINE)
SYMBOL_IN_FILE = re.compile(r"`(?P<symbol>\w+)(?:\(\))?` in\s+`(?P<path>[\w./-]+\.(?:py|sql|lua))`")
DIFF = re.compile(r"^```diff\n\+\+\+ (?P<path>\S+)\n(?P<lines>.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON_EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


# --- Links, paths, symbols ----------------------------------------------------------------------


def test_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MAX_README_LINES


def test_every_page_is_reachable_from_the_index() -> None:
    linked = {
        target.resolve()
        for page in (ROOT / "README.md", ROOT / "docs" / "README.md")
        for target, _ in local_links(page)
    }
    unlinked = {page.relative_to(ROOT).as_posix() for page in PAGES if page not in linked}
    assert unlinked <= {"README.md", "docs/README.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_resolves(page: Path) -> None:
    broken = []
    for target, anchor in local_links(page):
        is_found = target.exists() and target.resolve().is_relative_to(ROOT)
        if is_found and anchor:
            is_found = target.suffix == ".md" and anchor in anchors(target)
        if not is_found:
            broken.append(f"{target}#{anchor}".rstrip("#"))
    assert broken == []


@pytest.mark.parametrize("page", REFERENCE, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_path_in_backticks_exists(page: Path) -> None:
    missing = [path for path in paths_in(prose(page)) if not (ROOT / path).exists()]
    assert missing == []


@pytest.mark.parametrize("page", REFERENCE, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_symbol_is_in_the_file_named_beside_it(page: Path) -> None:
    wrong = [
        found[0]
        for found in SYMBOL_IN_FILE.finditer(prose(page))
        if not re.search(rf"\b{found['symbol']}\b", (ROOT / found["path"]).read_text("utf-8"))
    ]
    assert wrong == []


def test_every_diff_applies_to_the_code_as_it_is() -> None:
    """Unchanged and removed lines of the examples exist in the file, in this order."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    examples = list(DIFF.finditer(text))
    assert examples
    wrong = []
    for example in examples:
        source = iter((ROOT / example["path"]).read_text(encoding="utf-8").splitlines())
        kept = [line[1:] for line in example["lines"].splitlines() if line[:1] in (" ", "-")]
        # `in` consumes the iterator up to the line, so the order counts.
        wrong += [f"{example['path']}: {line}" for line in kept if line not in source]
    assert wrong == []


def test_every_import_of_the_examples_resolves() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    imports = [
        statement
        for example in PYTHON_EXAMPLE.findall(text)
        for statement in ast.walk(ast.parse(example))
        if isinstance(statement, ast.ImportFrom)
    ]
    assert imports
    unresolved = []
    for statement in imports:
        name = statement.module or ""
        if name not in NEW_MODULES:
            module = importlib.import_module(name)
            names = [alias.name for alias in statement.names]
            unresolved += [f"{name}.{each}" for each in names if not hasattr(module, each)]
    assert unresolved == []


# --- Names of the code --------------------------------------------------------------------------


def settings() -> set[str]:
    return set(Settings.variables()) | COMPOSE_SETTINGS


def commands() -> set[str]:
    def walk(command: click.Command, path: str) -> Iterator[str]:
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child
                yield from walk(child, f"{path} {name}")
        else:
            yield path

    return set(walk(main, "atomic"))


def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return {f"make {name}" for name in re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)}


def routes() -> set[str]:
    """`METHOD /path` with the parameters in braces, without the base path."""
    app = create_app(
        in_memory(),
        Settings.from_environ({"ATOMIC_ENV": "test", "DATABASE_URL": "postgresql:///unused"}),
    )
    found = set()
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:[^<>]+:)?([^<>]+)>", r"{\1}", rule.rule.removeprefix(BASE_PATH))
        methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule in ALIASES:
            continue
        found |= {f"{method} {path}" for method in methods}
    return found


def error_codes() -> set[str]:
    return set(ERRORS_BY_CODE)


def failure_reasons() -> set[str]:
    own = {NETWORK_UNAVAILABLE, RESOLVED_BY_OPERATOR}
    return {*DECLINE_REASONS, *own, *(refusal.value for refusal in Refusal)}


def metric_names() -> set[str]:
    """As Prometheus shows them: a counter ends in `_total`."""
    empty = WebhookBacklog(0, 0.0, 0, 0, 0, {})
    described = [*webhook_metrics.StoreCollector(lambda: empty, lambda: 0, list).collect()]
    described += settlement_metrics.OpenWorkCollector(
        lambda: NO_BACKLOG, lambda: OpenWork([], [0] * len(HOLD_AGES))
    ).collect()
    described += settlement_metrics.LoadCollector(lambda: NO_LOAD).collect()
    ledger_checks = settlement_metrics.LedgerCheckCollector()
    ledger_checks.observe(LedgerReport(0, 0, 0, 0, 0, 0, []), 0)
    described += ledger_checks.collect()
    modules = (metrics, webhook_metrics, settlement_metrics)
    for metric in [value for module in modules for value in vars(module).values()]:
        if isinstance(metric, Counter | Gauge | Histogram):
            described += metric.describe()
    return {each.name + ("_total" if each.type == "counter" else "") for each in described}


def ledger_checks() -> set[str]:
    return {check.value for check in LedgerCheck}


def scopes() -> set[str]:
    return {scope.value for scope in Scope}


def timeline_events() -> set[str]:
    types = events.EventType
    return {type.timeline_name for type in types if type.startswith(("payment.", "refund."))}


def stream_events() -> set[str]:
    return {type.value for type in events.STREAM_TYPES}


def audit_events() -> set[str]:
    return {event.value for event in audit_log.AuditEventType}


def sandbox_tokens() -> set[str]:
    return {
        *AUTHORIZATION_RESPONSES,
        *CAPTURE_RESPONSES,
        *VOID_RESPONSES,
        *REFUND_RESPONSES,
        *STATE_RESPONSES,
    }


NAMES = {
    "setting": settings,
    "command": commands,
    "make target": make_targets,
    "route": routes,
    "error code": error_codes,
    "failure reason": failure_reasons,
    "metric": metric_names,
    "ledger check": ledger_checks,
    "scope": scopes,
    "test token": sandbox_tokens,
    "timeline event": timeline_events,
    "stream event": stream_events,
    "audit event": audit_events,
}


@pytest.mark.parametrize("kind", NAMES)
def test_each_name_is_documented_once(kind: str) -> None:
    names = NAMES[kind]()
    assert names
    rows = documented(REFERENCE)
    assert {name: rows[name] for name in names if rows[name] != 1} == {}


@pytest.mark.parametrize(
    ("page", "section", "pattern", "kinds"),
    [
        ("configuration.md", None, r"[A-Z][A-Z0-9_]+", ["setting"]),
        ("operations.md", "Commands", r"atomic .+", ["command"]),
        ("operations.md", "Commands", r"make .+", ["make target"]),
        ("operations.md", "Monitor", r"atomic_\w+", ["metric"]),
        ("testing.md", "Make targets", r"make .+", ["make target"]),
        ("api.md", "Authentication", r"\w+:\w+", ["scope"]),
        ("api.md", "Routes", r"[A-Z]+ /.*", ["route"]),
        ("errors.md", "Codes", r"\w+", ["error code"]),
        ("api.md", "Failure reasons", r"\w+", ["failure reason"]),
        ("api.md", "Events", r"\w+", ["timeline event", "audit event"]),
        ("events.md", "What the numbers promise", r"\w+\.\w+", ["stream event"]),
        ("concepts.md", "The ledger", r"\w+_\w+", ["ledger check"]),
    ],
)
def test_nothing_is_documented_that_does_not_exist(
    page: str, section: str | None, pattern: str, kinds: list[str]
) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    named = [name for name in first_cells(section_of(text, section)) if re.fullmatch(pattern, name)]
    assert named
    existing = {name for kind in kinds for name in NAMES[kind]()}
    assert set(named) - existing == set()


# --- Examples -----------------------------------------------------------------------------------


def python_examples() -> list[str]:
    text = (ROOT / "docs" / "getting-started.md").read_text(encoding="utf-8")
    return PYTHON_EXAMPLE.findall(text)


@pytest.mark.parametrize("example", python_examples())
def test_python_example_passes(example: str) -> None:
    names: dict[str, object] = {}
    exec(compile(example, "getting-started.md", "exec"), names)  # noqa: S102
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        assert callable(test)
        test()


def test_in_memory_example_exists() -> None:
    assert any("in_memory()" in example for example in python_examples())


# --- Markdown -----------------------------------------------------------------------------------


@cache
def prose(page: Path) -> str:
    """The page without fenced code blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def local_links(page: Path) -> Iterator[tuple[Path, str]]:
    """The target file and the anchor of each link that is not a URL."""
    for found in LINK.finditer(CODE.sub("`code`", prose(page))):
        path, _, anchor = found["target"].partition("#")
        if not re.match(r"[a-z]+:", path):
            yield (page.parent / path if path else page), anchor


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of the headings, as GitHub derives them."""
    used: collections.Counter[str] = collections.Counter()
    found = set()
    for heading in HEADING.finditer(prose(page)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading["text"]).lower()
        kept = (char for char in text if is_kept_in_anchor(char))
        slug = "".join(kept).replace(" ", "-")
        found.add(f"{slug}-{used[slug]}" if used[slug] else slug)
        used[slug] += 1
    return frozenset(found)


def is_kept_in_anchor(char: str) -> bool:
    return char in " -_" or unicodedata.category(char)[0] in "LN"


def first_cells(text: str) -> Iterator[str]:
    """The code spans in the first cell of each table row."""
    for row in FIRST_CELL.finditer(text):
        for span in CODE.finditer(row["cell"]):
            yield span["code"].replace("\\|", "|")


def documented(pages: Iterable[Path]) -> collections.Counter[str]:
    return collections.Counter(name for page in pages for name in first_cells(prose(page)))


def section_of(text: str, heading: str | None) -> str:
    """A section of the second level, or the whole text."""
    if heading is None:
        return text
    _, found, rest = text.partition(f"\n## {heading}\n")
    assert found, f"no section {heading!r}"
    return rest.partition("\n## ")[0]


def paths_in(text: str) -> Iterator[str]:
    """The code spans that name a file or folder of this repository."""
    top = {entry.name for entry in ROOT.iterdir()}
    for span in CODE.finditer(text):
        path = span["code"]
        if not re.fullmatch(r"[\w./-]+", path) or path.startswith(GENERATED):
            continue
        first = path.split("/")[0]
        is_file_name = re.fullmatch(r"[\w.-]+\.(?:md|py|sql|lua|toml|ya?ml|txt|conf|cfg|png)", path)
        if ("/" in path and first in top) or is_file_name:
            yield path
