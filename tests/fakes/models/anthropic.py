"""Anthropic's messages: the system text apart, blocks of content, a key in a header of its own, a schema to hold to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.fakes.models.wire import Body, Usage, Wire

KEY = "sk-ant-api03-Planted0123456789abcdefghijklmnopqrstuvwxyz"
KNOWN = frozenset(
    {
        "model", "messages", "max_tokens", "system", "temperature", "stream", "stop_sequences", "top_p", "top_k",
        "output_format", "output_config", "metadata",
    }
)  # fmt: skip
NOT_IN_A_SCHEMA = frozenset(
    {"minimum", "maximum", "multipleOf", "minLength", "maxLength", "maxItems", "uniqueItems", "oneOf", "$ref"}
)
OPTIONAL_MAX, UNIONS_MAX = 24, 16
STRUCTURED = "structured-outputs-2025-11-13"
_REASONS = {"stop": "end_turn", "length": "max_tokens"}


def completion(request: Body, text: str, finish_reason: str, usage: Usage | None) -> dict[str, Any]:
    """Return a message."""
    spent = usage or {}
    return {
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": f"{request['model']}-20250929",
        "content": [{"type": "text", "text": text}],
        "stop_reason": _REASONS.get(finish_reason, finish_reason),
        "stop_sequence": None,
        "usage": {
            "input_tokens": spent.get("prompt_tokens", 0),
            "output_tokens": spent.get("completion_tokens", 0),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        },
    }


def error(message: str, kind: str) -> dict[str, Any]:
    """Return an error object."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_fake"}


def problem_of(request: Body, headers: Mapping[str, str]) -> tuple[str, str, int] | None:
    """Return the field a request gets wrong and why; None: it is as documented."""
    if headers.get("anthropic-version") != "2023-06-01":
        return "anthropic-version", "anthropic-version: header is required", 400
    unknown = sorted(request.keys() - KNOWN)
    if unknown:
        return unknown[0], f"{unknown[0]}: Extra inputs are not permitted", 400
    if not isinstance(request.get("max_tokens"), int) or request["max_tokens"] < 1:
        return "max_tokens", "max_tokens: Field required", 400
    temperature = request.get("temperature", 1)
    if not 0 <= temperature <= 1:
        return "temperature", "temperature: range: 0..1", 400
    return _messages_problem(request) or _form_problem(request, headers)


def _messages_problem(request: Body) -> tuple[str, str, int] | None:
    messages = request.get("messages") or [{}]
    if messages[0].get("role") != "user" or any(said.get("role") not in ("user", "assistant") for said in messages):
        return "messages", 'messages: Unexpected role. Allowed roles are "user" or "assistant"', 400
    texts = [request.get("system", []), *(said["content"] for said in messages)]
    blocks = [block for text in texts if not isinstance(text, str) for block in text]
    if any(block.get("type") != "text" or not block.get("text") for block in blocks):
        return "messages", "messages: text content blocks must be non-empty", 400
    return None


def _form_problem(request: Body, headers: Mapping[str, str]) -> tuple[str, str, int] | None:
    wanted = request.get("output_format")
    if wanted is None:
        return None
    if STRUCTURED not in headers.get("anthropic-beta", ""):
        return "output_format", "output_format: Extra inputs are not permitted", 400
    parts = list(_parts(wanted["schema"]))
    for part in parts:
        if bad := sorted(part.keys() & NOT_IN_A_SCHEMA):
            return "output_format", f"output_format.schema: property '{bad[0]}' is not supported", 400
        if part.get("type") == "object" and part.get("additionalProperties") is not False:
            return "output_format", "output_format.schema: 'additionalProperties' must be explicitly false", 400
    optional = sum(len(part.get("properties", {}).keys() - set(part.get("required", ()))) for part in parts)
    if optional > OPTIONAL_MAX or sum("anyOf" in part for part in parts) > UNIONS_MAX:
        return "output_format", "output_format.schema: too complex", 400
    return None


def _parts(part: Any) -> Iterator[dict[str, Any]]:
    """Yield every schema in a schema; a property may be called as a keyword is."""
    if isinstance(part, list):
        for item in part:
            yield from _parts(item)
    elif isinstance(part, dict):
        yield part
        yield from _parts(list(part.get("properties", {}).values()))
        for name in ("items", "anyOf", "oneOf", "allOf"):
            yield from _parts(part.get(name, []))


def _key_of(headers: Mapping[str, str]) -> str:
    return headers.get("x-api-key", "")


ANTHROPIC = Wire(KEY, _key_of, problem_of, completion, error)
