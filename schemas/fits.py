"""A JSON schema as one function that says whether a document fits. It never explains why one does not.

The validator of ``jsonschema`` looks every keyword and every reference up anew for each document; here they are looked
up once. Only what the plan document's schema uses is compiled, anything else is refused, so no word is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Fits = Callable[[Any], bool]
"""Whether a value, of the types ``json.loads`` returns, fits."""
Schema = Mapping[str, Any]

_NOTES = frozenset(("$schema", "$defs", "title", "description", "default"))


class NotCompiled(ValueError):
    """The schema says something that is not compiled here."""


def compile_schema(schema: Schema) -> Fits:
    """Return the function for a schema whose references stay inside it. Raises NotCompiled."""
    return _compile(schema, schema)


def _compile(schema: Schema, root: Schema) -> Fits:
    kind = next((word for word in ("$ref", "oneOf", "const", "enum", "type") if word in schema), "nothing")
    name = schema["type"] if kind == "type" else kind
    if name not in _COMPILERS:
        raise NotCompiled(f"{name} in {dict(schema)}")
    compiler, words = _COMPILERS[name]
    if left_out := schema.keys() - words - _NOTES - {kind}:
        raise NotCompiled(f"{', '.join(sorted(left_out))} beside {name}")
    return compiler(schema, root)


def _ref(schema: Schema, root: Schema) -> Fits:
    start, *path = schema["$ref"].split("/")
    if start != "#":
        raise NotCompiled(f"a reference to {schema['$ref']}")
    found: Any = root
    for part in path:
        found = found[part]
    return _compile(found, root)


def _one_of(schema: Schema, root: Schema) -> Fits:
    branches = [_compile(branch, root) for branch in schema["oneOf"]]
    return lambda value: sum([fits(value) for fits in branches]) == 1


def _const(schema: Schema, _: Schema) -> Fits:
    wanted = schema["const"]
    if not isinstance(wanted, str | int) or isinstance(wanted, bool):
        raise NotCompiled(f"const {wanted!r}")
    return lambda value: value == wanted and not isinstance(value, bool)


def _enum(schema: Schema, _: Schema) -> Fits:
    allowed = frozenset(schema["enum"])
    if not all(isinstance(symbol, str) for symbol in allowed):
        raise NotCompiled(f"enum {schema['enum']!r}")
    return lambda value: isinstance(value, str) and value in allowed


def _string(schema: Schema, _: Schema) -> Fits:
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength", 1 << 62)
    search = re.compile(schema.get("pattern", "")).search

    def fits(value: Any) -> bool:
        if not isinstance(value, str) or not shortest <= len(value) <= longest:
            return False
        # Python's ``$`` matches before a trailing newline, too.
        return search(value) is not None and not ("pattern" in schema and value.endswith("\n"))

    return fits


def _integer(schema: Schema, _: Schema) -> Fits:
    least, most = schema.get("minimum", -(1 << 62)), schema.get("maximum", 1 << 62)

    def fits(value: Any) -> bool:
        whole = (isinstance(value, int) and not isinstance(value, bool)) or (
            isinstance(value, float) and value.is_integer()
        )
        return whole and least <= value <= most

    return fits


def _boolean(_: Schema, __: Schema) -> Fits:
    return lambda value: isinstance(value, bool)


def _array(schema: Schema, root: Schema) -> Fits:
    most, unique = schema.get("maxItems", 1 << 62), schema.get("uniqueItems", False)
    item = _compile(schema["items"], root)
    if unique and schema["items"].get("type") != "string":
        raise NotCompiled("uniqueItems of anything but strings")

    def fits(value: Any) -> bool:
        if not isinstance(value, list) or len(value) > most or not all([item(each) for each in value]):
            return False
        return not unique or len(set(value)) == len(value)

    return fits


def _object(schema: Schema, root: Schema) -> Fits:
    if schema.get("additionalProperties") is not False:
        raise NotCompiled("an object that is not closed by additionalProperties: false")
    members = {name: _compile(part, root) for name, part in schema["properties"].items()}
    required = frozenset(schema.get("required", ()))

    def fits(value: Any) -> bool:
        if not isinstance(value, dict) or not (required <= value.keys() <= members.keys()):
            return False
        return all([members[name](part) for name, part in value.items()])

    return fits


_COMPILERS: dict[str, tuple[Callable[[Schema, Schema], Fits], frozenset[str]]] = {
    "$ref": (_ref, frozenset()),
    "oneOf": (_one_of, frozenset()),
    "const": (_const, frozenset()),
    "enum": (_enum, frozenset()),
    "string": (_string, frozenset(("minLength", "maxLength", "pattern"))),
    "integer": (_integer, frozenset(("minimum", "maximum"))),
    "boolean": (_boolean, frozenset()),
    "array": (_array, frozenset(("items", "maxItems", "uniqueItems"))),
    "object": (_object, frozenset(("properties", "required", "additionalProperties"))),
}
"""By keyword or type: what compiles it, and the words it heeds."""
