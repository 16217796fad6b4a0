"""The API for people: one page without a script, a font or a picture, made from the OpenAPI document."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from unlatch.web.problems import TROUBLES

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
)
# Where the keyboard is, as on every page of the apps.
FOCUS_STYLE = ":focus-visible { outline: 3px solid; outline-offset: 2px; }"
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 3rem; border-bottom: 1px solid; } h3 { margin-top: 2rem; }
code, pre { font: 14px/1.45 ui-monospace, monospace; } pre { overflow-x: auto; padding: .5rem 1rem; }
.method { font-weight: 700; } .who { opacity: .75; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; vertical-align: top;
padding: .2rem .6rem .2rem 0; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
"""


def make_page(document: dict[str, Any]) -> bytes:
    """The page, complete and static."""
    info = document["info"]
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>{escape(info['title'])} API {escape(info['version'])}</title>",
        f"<style>{_STYLE}{FOCUS_STYLE}</style></head><body><main>",
        f"<h1>{escape(info['title'])} API</h1>",
        *(f"<p>{_inline(text)}</p>" for text in info["description"].split("\n\n")),
        "<p>The same for machines: <a href='/v1/openapi.json'>/v1/openapi.json</a> (OpenAPI 3.1).</p>",
        _contents(document),
        *(_tag(document, tag) for tag in document["tags"]),
        _schemas(document),
        _problems(),
        "</main></body></html>",
    ]
    return "\n".join(parts).encode()


def _inline(text: str) -> str:
    """Text with `code` in it."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces))


def _operations(document: dict[str, Any], tag: str) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if tag in operation["tags"]
    ]


def _contents(document: dict[str, Any]) -> str:
    rows = [
        f"<tr><td class='method'>{method}</td><td><a href='#{operation['operationId']}'>"
        f"<code>{escape(path)}</code></a></td><td>{_inline(operation['summary'])}</td></tr>"
        for tag in document["tags"]
        for method, path, operation in _operations(document, tag["name"])
    ]
    return f"<nav aria-label='Endpoints'><table>{''.join(rows)}</table></nav>"


def _tag(document: dict[str, Any], tag: dict[str, Any]) -> str:
    parts = [f"<h2 id='{tag['name']}'>{escape(tag['name'])}</h2><p>{_inline(tag['description'])}</p>"]
    parts += [_operation(*operation) for operation in _operations(document, tag["name"])]
    return "\n".join(parts)


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    who = ", ".join(next(iter(scheme)) for scheme in operation["security"]) or "anyone"
    parts = [
        f"<h3 id='{operation['operationId']}'><span class='method'>{method}</span> ",
        f"<code>{escape(path)}</code></h3>",
        f"<p>{_inline(operation['description'])} <span class='who'>For: {escape(who)}.</span></p>",
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body:
        parts.append(f"<p>Takes {_reference(body['schema'])}.</p>")
        parts += [
            f"<pre>{escape(json.dumps(example['value'], indent=2, ensure_ascii=False))}</pre>"
            for example in body.get("examples", {}).values()
        ]
    query = [one for one in operation.get("parameters", ()) if one["in"] == "query"]
    if query:
        names = ", ".join(f"<code>{escape(one['name'])}</code>" for one in query)
        parts.append(f"<p>Query: {names}.</p>")
    rows = []
    for status, answer in operation["responses"].items():
        schemas = [content.get("schema", {}) for content in answer.get("content", {}).values()]
        shown = ", ".join(_reference(schema) for schema in schemas)
        rows.append(f"<tr><td>{status}</td><td>{_inline(answer['description'])}</td><td>{shown}</td></tr>")
    parts.append(f"<table>{''.join(rows)}</table>")
    return "\n".join(parts)


def _reference(schema: dict[str, Any]) -> str:
    name = schema.get("$ref", "").rpartition("/")[2]
    return f"<a href='#shape-{escape(name)}'>{escape(name)}</a>" if name else _describe(schema)


def _describe(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return _reference(schema)
    if "anyOf" in schema:
        return " or ".join(_describe(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    kind = schema.get("format") or schema.get("contentEncoding") or str(schema.get("type", "anything"))
    if kind == "array":
        return f"list of {_describe(schema.get('items', {}))}"
    limits = [
        f"{word} {schema[name]}"
        for name, word in (
            ("minimum", "from"),
            ("maximum", "to"),
            ("maxLength", "at most characters:"),
            ("pattern", "like"),
        )
        if name in schema
    ]
    return escape(f"{kind} ({', '.join(limits)})" if limits else kind)


def _schemas(document: dict[str, Any]) -> str:
    parts = ["<h2 id='shapes'>Shapes</h2>"]
    for name, schema in sorted(document["components"]["schemas"].items()):
        parts.append(f"<h3 id='shape-{escape(name)}'>{escape(name)}</h3>")
        if "description" in schema:
            parts.append(f"<p>{_inline(schema['description'])}</p>")
        if "properties" not in schema:
            parts.append(f"<p>{_describe(schema)}</p>")
            continue
        rows = []
        for field, value in schema["properties"].items():
            needed = "required" if field in schema.get("required", ()) else ""
            told = _inline(value.get("description", ""))
            rows.append(
                f"<tr><td><code>{escape(field)}</code></td><td>{_describe(value)}</td>"
                f"<td>{needed}</td><td>{told}</td></tr>"
            )
        parts.append(f"<table>{''.join(rows)}</table>")
    return "\n".join(parts)


def _problems() -> str:
    rows = [
        f"<tr id='problem-{trouble}'><td><code>{trouble}</code></td><td>{status}</td><td>{escape(title)}</td></tr>"
        for trouble, (status, title) in TROUBLES.items()
    ]
    return f"<h2 id='problems'>Problems</h2><table>{''.join(rows)}</table>"
