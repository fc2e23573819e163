"""The API's own documentation as one HTML page, written from its OpenAPI document.

It asks nobody for anything: no script, font or style from elsewhere, so that it works on a machine without a network.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
details { margin: .4rem 0; border: 1px solid #ddd; border-radius: 4px; padding: .4rem .8rem; }
summary { cursor: pointer; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { background: #f6f6f6; padding: .6rem; overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; }
td, th { text-align: left; vertical-align: top; padding: .15rem 1rem .15rem 0; }
.verb { display: inline-block; width: 3.5rem; font-weight: 600; }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Content-Security-Policy of the page: a browser loads nothing else."""
TITLES = {
    "health": "Health",
    "read": "Read side",
    "schemas": "Schema registry, for stock Avro clients",
    "control": "Control side: every call needs the header X-API-Token",
}


def docs_page(document: Mapping[str, Any], base_url: str) -> str:
    """Return the page of an OpenAPI document; ``base_url`` is what its examples call."""
    sections: dict[str, list[str]] = {}
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            tag = (operation.get("tags") or ["other"])[0]
            sections.setdefault(tag, []).append(_operation(verb.upper(), path, operation, base_url))
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    body = "".join(f"<h2>{escape(TITLES.get(tag, tag))}</h2>{''.join(parts)}" for tag, parts in sections.items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body><h1>{title}</h1><p>{escape(document['info'].get('description', ''))}</p>"
        f'<p>For machines: <a href="openapi.json">openapi.json</a></p>{body}</body></html>'
    )


def _operation(verb: str, path: str, operation: Mapping[str, Any], base_url: str) -> str:
    words = operation.get("description") or operation.get("summary", "")
    return (
        f'<details><summary><span class="verb">{verb}</span> <code>{escape(path)}</code> {_prose(words)}</summary>'
        f"{_parameters(operation.get('parameters', ()))}{_body(operation)}"
        f"<pre>{escape(_example(verb, path, operation, base_url))}</pre></details>"
    )


def _prose(words: str) -> str:
    """Return text as HTML; what stands between double backticks is code."""
    return re.sub("``(.+?)``", r"<code>\1</code>", escape(words))


def _parameters(parameters: Any) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{escape(each['in'])}"
        f"{', required' if each.get('required') else ''}</td><td>{escape(each.get('description', ''))} "
        f"{escape(_limits(each.get('schema', {})))}</td></tr>"
        for each in parameters
    )
    return f"<table><tr><th>parameter</th><th>in</th><th></th></tr>{rows}</table>" if rows else ""


def _limits(schema: Mapping[str, Any]) -> str:
    return f"One of {', '.join(map(str, schema['enum']))}." if "enum" in schema else ""


def _schema_of(operation: Mapping[str, Any]) -> Any:
    return operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")


def _body(operation: Mapping[str, Any]) -> str:
    schema = _schema_of(operation)
    if schema is None:
        return ""
    needed = "required" if operation["requestBody"].get("required") else "may be left out"
    return (
        f"<p>Body ({needed}), as JSON schema:</p><pre>{escape(json.dumps(schema, indent=1, ensure_ascii=False))}</pre>"
    )


def _example(verb: str, path: str, operation: Mapping[str, Any], base_url: str) -> str:
    words = ["curl", *_options(verb, operation), f"'{base_url.rstrip('/')}{path}'"]
    return " ".join(words)


def _options(verb: str, operation: Mapping[str, Any]) -> Iterator[str]:
    if verb != "GET":
        yield f"-X {verb}"
    if "control" in operation.get("tags", ()):
        yield '-H "X-API-Token: $TAPELINE_API_TOKEN"'
    if _schema_of(operation) is not None:
        yield "--json @body.json"
