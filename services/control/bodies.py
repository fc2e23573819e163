"""What the control routes take, as JSON schema for the API's own documentation.

The bodies are read by ``requests`` after the token was checked, so FastAPI cannot describe them by itself.
"""

from __future__ import annotations

from typing import Any

from schemas.plan_document import schema as plan_schema
from services.control.requests import REASON_LENGTH_MAX

_REASON = {"type": "string", "minLength": 1, "maxLength": REASON_LENGTH_MAX, "description": "Why, for the record."}


def _body(properties: dict[str, Any], *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
    if required:
        schema["required"] = list(required)
    return _described(schema, required=bool(required))


def _described(schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """Return a schema with its ``$defs`` written out: references inside an OpenAPI page point elsewhere."""
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    return {name: _inlined(part, definitions) for name, part in schema.items() if name not in ("$defs", "$schema")}


PLAN = _described(_inlined(plan_schema(), plan_schema()["$defs"]), required=True)
CLOSE = _body({"instrument_id": {"type": "string", "examples": ["BTC-USDT-SWAP"]}})
PAUSE = _body({"state": {"enum": ["REDUCING", "HALTED"], "default": "REDUCING"}, "reason": _REASON})
RESUME = _body({"reason": _REASON})
KILL = _body({"flatten": {"type": "boolean", "default": False}, "reason": _REASON})
OVERRIDE = _body(
    {"name": {"type": "string", "examples": ["heat_pct_max"]}, "value": {"type": "string"}, "reason": _REASON},
    required=("name", "value", "reason"),
)
TRANSFER = _body(
    {"amount": {"type": "string", "examples": ["3000", "-500.50"]}},
    required=("amount",),
)
