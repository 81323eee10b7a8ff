"""A reference of the API for people, as text, from the OpenAPI document."""

from collections.abc import Iterator, Mapping
from typing import Any

JsonObject = Mapping[str, Any]


def render_reference(document: JsonObject) -> str:
    """Markdown that is readable as it is."""
    return "\n".join(_render_lines(document)) + "\n"


def _render_lines(document: JsonObject) -> Iterator[str]:
    info, server = document["info"], document["servers"][0]["url"]
    yield f"# {info['title']} {info['version']}\n"
    yield info["description"]
    for tag in document["tags"]:
        yield f"\n## {tag['name']}\n\n{tag['description']}"
        for path, item in document["paths"].items():
            for method, operation in item.items():
                if operation["tags"] == [tag["name"]]:
                    yield f"\n### {method.upper()} {server}{path}\n"
                    yield from _render_operation(operation, document["components"])


def _render_operation(operation: JsonObject, components: JsonObject) -> Iterator[str]:
    yield f"{operation['summary']}. {operation['description']}\n"
    credentials = [name for requirement in operation["security"] for name in requirement]
    yield f"- Credential: {', '.join(credentials) or 'none'}"
    for reference in operation["parameters"]:
        parameter = _resolve(reference, components)
        yield f"- {parameter['in'].capitalize()} `{parameter['name']}`: {parameter['description']}"
    if "requestBody" in operation:
        reference = operation["requestBody"]["content"]["application/json"]["schema"]
        yield from _render_fields(_resolve(reference, components))
    for status, reference in operation["responses"].items():
        yield f"- {status}: {_resolve(reference, components)['description']}"


def _render_fields(schema: JsonObject) -> Iterator[str]:
    for name, field in schema["properties"].items():
        necessity = "required" if name in schema.get("required", ()) else "optional"
        description = field.get("description", "")
        yield f"- Body `{name}` ({necessity}){': ' if description else ''}{description}"


def _resolve(value: JsonObject, components: JsonObject) -> JsonObject:
    if "$ref" not in value:
        return value
    kind, name = value["$ref"].split("/")[-2:]
    return components[kind][name]
