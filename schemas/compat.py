"""Full Avro compatibility of two schema versions: old readers take new records, and new readers take old logs."""

from __future__ import annotations

from typing import Any

Schema = Any


def incompatibilities(old: Schema, new: Schema) -> list[str]:
    """Return why ``new`` may not follow ``old``; empty: it may.

    A field may be added or removed only if it has a default; types, scales, names and enum symbols stay.
    Source: Avro 1.11 specification, schema resolution.
    """
    return _differ(old, new, "")


def _differ(old: Schema, new: Schema, path: str) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        kinds = (old.get("type"), new.get("type"))
        if kinds == ("record", "record"):
            return _differ_records(old, new, path)
        if kinds == ("enum", "enum"):
            return _differ_enums(old, new, path)
        if kinds == ("array", "array"):
            return _differ(old["items"], new["items"], f"{path}[]")
        if kinds == ("map", "map"):
            return _differ(old["values"], new["values"], f"{path}{{}}")
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [reason for a, b in zip(old, new, strict=True) for reason in _differ(a, b, path)]
    return [] if old == new else [f"{path or '.'}: type {_short(old)} became {_short(new)}"]


def _differ_records(old: Schema, new: Schema, path: str) -> list[str]:
    if old["name"] != new["name"]:
        return [f"{path or '.'}: record {old['name']} became {new['name']}"]
    before = {field["name"]: field for field in old["fields"]}
    after = {field["name"]: field for field in new["fields"]}
    reasons = [
        f"{path}.{name}: removed, but old readers have no default for it"
        for name in before
        if name not in after and "default" not in before[name]
    ]
    reasons += [
        f"{path}.{name}: added without a default, old logs do not have it"
        for name in after
        if name not in before and "default" not in after[name]
    ]
    for name in before.keys() & after.keys():
        reasons += _differ(before[name]["type"], after[name]["type"], f"{path}.{name}")
    return sorted(reasons)


def _differ_enums(old: Schema, new: Schema, path: str) -> list[str]:
    lost = [symbol for symbol in old["symbols"] if symbol not in new["symbols"]]
    added = [symbol for symbol in new["symbols"] if symbol not in old["symbols"]]
    reasons = [f"{path}: enum symbol {symbol} removed, old logs may hold it" for symbol in lost]
    return reasons + [f"{path}: enum symbol {symbol} added, old readers do not know it" for symbol in added]


def _short(schema: Schema) -> str:
    if isinstance(schema, dict):
        return str(schema.get("logicalType") or schema.get("name") or schema.get("type"))
    return str(schema)
