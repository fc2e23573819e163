"""Ollama's chat: a server of one's own that wants no key, counts by other names, and calls a bad schema its fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.fakes.models.wire import Body, Usage, Wire, bearer

KEY = "0llama-proxy-Planted-0123456789abcdef"
"""Ollama asks for none; who puts a proxy before it may."""
KNOWN = frozenset({"model", "messages", "tools", "format", "options", "stream", "keep_alive", "think"})
OPTIONS = frozenset({"num_ctx", "num_predict", "temperature", "seed", "stop", "top_k", "top_p", "repeat_penalty"})
WINDOW = 4_096
"""Tokens of context where a request does not say."""
BYTES_PER_TOKEN = 4


def completion(request: Body, text: str, finish_reason: str, usage: Usage | None) -> dict[str, Any]:
    """Return the one message of a chat that is not streamed."""
    body: dict[str, Any] = {
        "model": request["model"],
        "created_at": "2025-03-19T16:00:00.000000Z",
        "message": {"role": "assistant", "content": text},
        "done": True,
        "done_reason": finish_reason,
        "total_duration": 4_883_583_458,
        "load_duration": 1_334_875,
        "prompt_eval_duration": 342_546_000,
        "eval_duration": 4_535_599_000,
    }
    if usage is not None:
        body |= {"prompt_eval_count": usage["prompt_tokens"], "eval_count": usage["completion_tokens"]}
    return body


def error(message: str, _kind: str) -> dict[str, Any]:
    """Return an error object."""
    return {"error": message}


def problem_of(request: Body, _headers: Mapping[str, str]) -> tuple[str, str, int] | None:
    """Return the field a request gets wrong, why, and the status; None: it is as documented.

    A prompt larger than the window is no error there: its beginning is dropped. Here it is one, so that it is seen.
    """
    unknown = sorted((request.keys() - KNOWN) | (request.get("options", {}).keys() - OPTIONS))
    if unknown or request.get("stream") is not False:
        return "stream", f"not as documented: {unknown}, stream {request.get('stream')}", 400
    wanted = request.get("format", "json")
    if wanted != "json" and not isinstance(wanted, dict):
        return "format", f'invalid format: {wanted!r}; expected "json" or a valid JSON Schema object', 500
    if isinstance(wanted, dict) and (wanted.get("type") != "object" or "$ref" in repr(wanted)):
        return "format", "invalid JSON schema in format", 500
    size = sum(len(message["content"]) for message in request["messages"]) // BYTES_PER_TOKEN
    window = request.get("options", {}).get("num_ctx", WINDOW)
    if size + request.get("options", {}).get("num_predict", 0) > window:
        return "num_ctx", f"the prompt does not fit into {window} tokens, its beginning is dropped", 400
    return None


OLLAMA = Wire(None, bearer, problem_of, completion, error)
