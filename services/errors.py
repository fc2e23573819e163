"""Errors the HTTP API answers with, shared by the read side and the control side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict


class FieldError(TypedDict):
    """One thing wrong with a request; ``field`` is a path such as ``targets[1].fraction``."""

    field: str
    reason: str


def described(says: str, properties: dict[str, Any], *, required: Sequence[str]) -> dict[int | str, dict[str, Any]]:
    """Return how OpenAPI describes a route's errors, whatever their status: a JSON object with these properties."""
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"default": {"description": says, "content": {"application/json": {"schema": schema}}}}


_TEXT = {"type": "string"}
_FIELDS = {"type": "object", "properties": {"field": _TEXT, "reason": _TEXT}, "required": ["field", "reason"]}
ERRORS = described(
    "An error: what is wrong; where fields of the request are at fault (422), each of them and why.",
    {"detail": _TEXT, "errors": {"type": "array", "items": _FIELDS}},
    required=["detail"],
)
"""In place of FastAPI's own description of a 422, which is not what we send."""


class ApiError(Exception):
    """An answer other than success, with a body that says what and why. ``retry_after_s`` is a header too."""

    def __init__(self, status: int, detail: str, *, errors: Sequence[FieldError] = (), **extra: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.body: dict[str, Any] = {"detail": detail, **extra}
        if errors:
            self.body["errors"] = list(errors)
        self.headers = {"Retry-After": str(extra["retry_after_s"])} if "retry_after_s" in extra else None


def invalid(field: str, reason: str) -> ApiError:
    """Return the 422 for one field."""
    return ApiError(422, f"{field}: {reason}", errors=[{"field": field, "reason": reason}])
