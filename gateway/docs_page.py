"""The API reference at ``/docs``: one HTML page made from the OpenAPI document.

It works without scripts and without anything from elsewhere, in a closed network too. Everything
that comes from the document is escaped.
"""

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from gateway.docs_style import STYLE

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
Node = Mapping[str, Any]
_METHODS = ("get", "post", "put", "patch", "delete")
_MOST_DEPTH = 5


def render(api: Node) -> str:
    """The page for an OpenAPI 3.1 document."""
    info = api["info"]
    groups = _by_tag(api)
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(info['title'])} API</title><style>{STYLE}</style></head><body>",
            '<a class="skip" href="#main">Skip to the reference</a>',
            _navigation(info, groups),
            f'<main id="main"><h1>{escape(info["title"])} API</h1>',
            f'<p class="soft">Version {escape(info["version"])} · ',
            '<a href="/openapi.json">OpenAPI document</a></p>',
            _text(info.get("description", "")),
            _missing(api.get("x-mooring-missing", ())),
            *(_group(api, tag, operations) for tag, operations in groups.items()),
            _schemas(api),
            "</main></body></html>",
        )
    )


Operation = tuple[str, str, Node]


def _by_tag(api: Node) -> dict[str, list[Operation]]:
    groups: dict[str, list[Operation]] = {}
    for path, item in api.get("paths", {}).items():
        for method in _METHODS:
            if method in item:
                tag = next(iter(item[method].get("tags", ())), "general")
                groups.setdefault(tag, []).append((path, method, item[method]))
    return dict(sorted(groups.items()))


def _navigation(info: Node, groups: Mapping[str, list[Operation]]) -> str:
    lists = "".join(
        f"<h2>{escape(tag)}</h2><ul>{''.join(_link(*operation) for operation in operations)}</ul>"
        for tag, operations in groups.items()
    )
    schemas = '<h2>More</h2><ul><li><a href="#schemas"><span>Schemas</span></a></li></ul>'
    title = f"<strong>{escape(info['title'])}</strong>"
    return f'<nav aria-label="Operations">{title}{lists}{schemas}</nav>'


def _link(path: str, method: str, _: Node) -> str:
    name = escape(path.removeprefix("/v1"))
    badge = f'<span class="method {method}">{method}</span>'
    return f'<li><a href="#{_anchor(method, path)}">{badge}<span>{name}</span></a></li>'


def _anchor(method: str, path: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", f"{method} {path}".lower()).strip("-")


def _missing(names: Any) -> str:
    if not names:
        return ""
    listed = escape(", ".join(names))
    return (
        f'<p class="notice" role="status">Not described at the moment, because the service did not '
        f"answer: <strong>{listed}</strong>. Reload in a few seconds.</p>"
    )


def _group(api: Node, tag: str, operations: list[Operation]) -> str:
    described = "".join(_operation(api, *one) for one in operations)
    return f"<section><h2>{escape(tag)}</h2>{described}</section>"


def _operation(api: Node, path: str, method: str, operation: Node) -> str:
    anchor = _anchor(method, path)
    return "".join(
        (
            f'<article id="{anchor}" aria-labelledby="{anchor}-name"><h3 id="{anchor}-name">',
            f'<span class="method {method}">{method}</span><code>{escape(path)}</code></h3>',
            f"<p><strong>{escape(operation.get('summary', ''))}</strong></p>",
            _text(operation.get("description", "")),
            _roles(operation.get("x-mooring-roles")),
            _parameters(operation.get("parameters", ())),
            _request(api, operation.get("requestBody", {})),
            _responses(api, operation.get("responses", {})),
            "</article>",
        )
    )


def _roles(roles: Any) -> str:
    if roles is None:
        return ""
    named = ", ".join(f"<code>{escape(role)}</code>" for role in roles) or "any valid token"
    return f'<p class="roles">Roles: {named}</p>'


def _parameters(parameters: Any) -> str:
    if not parameters:
        return ""
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}"
        f"{' · required' if one.get('required') else ''}</td>"
        f"<td>{escape(_type(one.get('schema', {})))}</td>"
        f"<td>{_inline(one.get('description', ''))}</td></tr>"
        for one in parameters
        if "name" in one
    )
    return f"<h4>Parameters</h4>{_table(('Name', 'Where', 'Type', 'Meaning'), rows)}"


def _table(columns: tuple[str, ...], rows: str) -> str:
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def _request(api: Node, body: Node) -> str:
    content = body.get("content", {})
    if not content:
        return ""
    media_type, media = next(iter(content.items()))
    schema = media.get("schema", {})
    return (
        f"<h4>Body <span class=soft>{escape(media_type)}</span> {_schema_link(schema)}</h4>"
        f"{_example(api, media)}"
    )


def _responses(api: Node, responses: Node) -> str:
    return "<h4>Answers</h4>" + "".join(
        _response(api, status, _resolved(api, response)) for status, response in responses.items()
    )


def _response(api: Node, status: str, response: Node) -> str:
    media: Node = next(iter(response.get("content", {}).values()), {})
    opened = " open" if status.startswith("2") else ""
    title = f"<code>{escape(status)}</code>{escape(response.get('description', ''))}"
    example = _example(api, media) if status.startswith("2") else ""
    link = _schema_link(media.get("schema", {}))
    return f"<details{opened}><summary>{title} {link}</summary>{example}</details>"


def _example(api: Node, media: Node) -> str:
    value = _example_value(api, media)
    if value is None:
        return ""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return f'<pre tabindex="0" aria-label="Example"><code>{escape(text)}</code></pre>'


def _example_value(api: Node, media: Node) -> Any:
    if "example" in media:
        return media["example"]
    for example in media.get("examples", {}).values():
        return _resolved(api, example).get("value")
    return _made_up(api, media.get("schema", {}), 0)


def _made_up(api: Node, schema: Node, depth: int) -> Any:
    """An example put together from the examples of a schema's fields."""
    schema = _resolved(api, schema)
    for name in ("example", "const", "default"):
        if schema.get(name) is not None:
            return schema[name]
    if schema.get("examples") or schema.get("enum"):
        return (schema.get("examples") or schema["enum"])[0]
    if depth > _MOST_DEPTH:
        return None
    for name in ("anyOf", "oneOf", "allOf"):
        if schema.get(name):
            return _made_up(api, schema[name][0], depth + 1)
    if schema.get("type") == "array":
        return [_made_up(api, schema.get("items", {}), depth + 1)]
    if "properties" in schema:
        required = schema.get("required", ())
        return {
            name: _made_up(api, below, depth + 1)
            for name, below in schema["properties"].items()
            if name in required or _has_example(below)
        }
    return {"string": "text", "integer": 0, "number": 0, "boolean": True, "object": {}}.get(
        str(schema.get("type"))
    )


def _has_example(field: Node) -> bool:
    return "examples" in field or any("examples" in one for one in field.get("anyOf", ()))


def _resolved(api: Node, node: Node) -> Node:
    reference = node.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return node
    found: Any = api
    for part in reference[2:].split("/"):
        found = found.get(part, {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def _schema_name(schema: Node) -> str | None:
    reference = schema.get("$ref")
    return reference.rpartition("/")[2] if isinstance(reference, str) else None


def _schema_link(schema: Node) -> str:
    name = _schema_name(schema)
    return f'<a href="#schema-{escape(name)}">{escape(name)}</a>' if name else ""


def _type(schema: Node) -> str:
    name = _schema_name(schema)
    if name:
        return name
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return " or ".join(_type(one) for one in schema[choice])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    kind = schema.get("format") or schema.get("type", "any")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _schemas(api: Node) -> str:
    schemas = api.get("components", {}).get("schemas", {})
    described = "".join(_schema(name, schema) for name, schema in sorted(schemas.items()))
    return f'<section id="schemas"><h2>Schemas</h2>{described}</section>'


def _schema(name: str, schema: Node) -> str:
    rows = "".join(_fields(schema))
    table = (
        _table(("Field", "Type", "Meaning"), rows) if rows else f"<p>{escape(_type(schema))}</p>"
    )
    return (
        f'<article id="schema-{escape(name)}"><h3>{escape(name)}</h3>'
        f"{_text(schema.get('description', ''))}{table}</article>"
    )


def _fields(schema: Node) -> Iterator[str]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        needed = ' <span class="soft">required</span>' if name in required else ""
        yield (
            f"<tr><td><code>{escape(name)}</code>{needed}</td>"
            f"<td>{_linked_type(field)}</td><td>{_inline(field.get('description', ''))}</td></tr>"
        )


def _linked_type(schema: Node) -> str:
    item = schema.get("items", {}) if schema.get("type") == "array" else schema
    link = _schema_link(item)
    return (f"list of {link}" if item is not schema else link) if link else escape(_type(schema))


def _text(markdown: str) -> str:
    """Paragraphs and code; the little Markdown that our own descriptions use."""
    paragraphs = re.split(r"\n\s*\n", markdown.strip())
    return "".join(f"<p>{_inline(one)}</p>" for one in paragraphs if one)


def _inline(text: str) -> str:
    return re.sub(r"`{1,2}([^`]+)`{1,2}", r"<code>\1</code>", escape(text))
