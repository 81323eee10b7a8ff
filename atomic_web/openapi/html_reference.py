"""The same reference as `reference.py` as a page for browsers: one file without scripts, fonts or
anything else from elsewhere."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

JsonObject = Mapping[str, Any]

_STYLE: Final = """
body{margin:0;font:16px/1.5 system-ui,sans-serif;color:#1a1a1a;background:#fff}
nav{position:fixed;top:0;bottom:0;width:18rem;overflow:auto;padding:1rem;background:#f5f5f5}
nav ul{list-style:none;margin:0;padding:0 0 0 .5rem;font-size:.85rem}
main{margin-left:20rem;padding:1rem 2rem 4rem;max-width:60rem}
h2{margin-top:3rem;border-bottom:1px solid #ccc}
h3{margin-top:2.5rem;font-family:ui-monospace,monospace;font-size:1rem}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #e2e2e2}
code,pre{font-family:ui-monospace,monospace;font-size:.85rem}
pre{background:#f5f5f5;padding:.8rem;overflow:auto}
a{color:#0645ad}
@media(max-width:60rem){nav{position:static;width:auto}main{margin:0;padding:1rem}}
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}
nav,pre{background:#222}a{color:#8ab4f8}th,td,h2{border-color:#444}}
""".strip()

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
"""Of this page: its own style, and no script."""


def render_html_reference(document: JsonObject) -> str:
    return "\n".join(_render_page(document)) + "\n"


def _render_page(document: JsonObject) -> Iterator[str]:
    info, server = document["info"], document["servers"][0]["url"]
    title = f"{escape(info['title'])} {escape(info['version'])}"
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield f"<style>{_STYLE}</style></head><body><nav><strong>{title}</strong>"
    operations = list(_list_operations(document))
    for tag in document["tags"]:
        yield f"<p>{escape(tag['name'])}</p><ul>"
        for _, _, operation in _select(operations, tag["name"]):
            id = escape(operation["operationId"])
            yield f'<li><a href="#{id}">{escape(operation["summary"])}</a></li>'
        yield "</ul>"
    yield f"</nav><main><h1>{title}</h1>{_render_text(info['description'])}"
    yield f'<p><a href="{escape(server)}/openapi.json">OpenAPI document</a></p>'
    for tag in document["tags"]:
        yield f"<h2>{escape(tag['name'])}</h2>{_render_text(tag['description'])}"
        for method, path, operation in _select(operations, tag["name"]):
            id = escape(operation["operationId"])
            yield f'<section><h3 id="{id}">{method.upper()} {escape(server + path)}</h3>'
            yield from _render_operation(operation, document["components"])
            yield "</section>"
    yield "</main></body></html>"


def _list_operations(document: JsonObject) -> Iterator[tuple[str, str, JsonObject]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def _select(
    operations: list[tuple[str, str, JsonObject]], tag: str
) -> Iterator[tuple[str, str, JsonObject]]:
    return (each for each in operations if each[2]["tags"] == [tag])


def _render_operation(operation: JsonObject, components: JsonObject) -> Iterator[str]:
    yield f"<p><strong>{escape(operation['summary'])}.</strong></p>"
    yield _render_text(operation["description"])
    credentials = [name for requirement in operation["security"] for name in requirement]
    yield f"<p>Credential: {escape(', '.join(credentials) or 'none')}</p>"
    inputs: list[tuple[str, str, str]] = []
    for reference in operation["parameters"]:
        parameter = _resolve(reference, components)
        inputs.append((parameter["name"], parameter["in"], parameter["description"]))
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]["application/json"]
        schema = _resolve(content["schema"], components)
        for name, field in schema["properties"].items():
            is_required = name in schema.get("required", ())
            place = "body, required" if is_required else "body"
            inputs.append((name, place, field.get("description", "")))
    if inputs:
        yield "<table><tr><th>Name</th><th>In</th><th>Meaning</th></tr>"
        for name, place, description in inputs:
            yield f"<tr><td><code>{escape(name)}</code></td><td>{escape(place)}</td>"
            yield f"<td>{_render_inline(description)}</td></tr>"
        yield "</table>"
    yield "<table><tr><th>Status</th><th>Answer</th></tr>"
    responses = {
        status: _resolve(reference, components)
        for status, reference in operation["responses"].items()
    }
    for status, response in responses.items():
        description = _render_inline(response["description"])
        yield f"<tr><td>{escape(str(status))}</td><td>{description}</td></tr>"
    yield "</table>"
    example = _find_example(responses)
    if example is not None:
        text = json.dumps(example, indent=2, ensure_ascii=False)
        yield f"<details><summary>Example</summary><pre>{escape(text)}</pre></details>"


def _find_example(responses: Mapping[str, JsonObject]) -> object:
    """Of the first response that is a success and JSON; None without one."""
    for status, response in responses.items():
        content = response.get("content", {}).get("application/json", {})
        if str(status).startswith("2") and content.get("examples"):
            return next(iter(content["examples"].values())).get("value")
    return None


def _render_text(text: str) -> str:
    paragraphs = (part for part in text.split("\n\n") if part.strip())
    return "".join(f"<p>{_render_inline(part)}</p>" for part in paragraphs)


def _render_inline(text: str) -> str:
    """Code spans are the only Markdown that the document has within sentences."""
    parts = escape(text).split("`")
    if len(parts) % 2 == 0:
        return "`".join(parts)
    spans = [f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts)]
    return "".join(spans)


def _resolve(value: JsonObject, components: JsonObject) -> JsonObject:
    if "$ref" not in value:
        return value
    kind, name = value["$ref"].split("/")[-2:]
    return components[kind][name]
