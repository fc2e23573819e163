"""Errors the HTTP API answers with, shared by the read side and the control side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict


class FieldError(TypedDict):
    """One thing wrong with a request; ``field`` is a path such as ``targets[1].fraction``."""

    field: str
    reason: str


class ApiError(Exception):
    """An answer other than success, with a body that says what and why."""

    def __init__(self, status: int, detail: str, *, errors: Sequence[FieldError] = (), **extra: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.body: dict[str, Any] = {"detail": detail, **extra}
        if errors:
            self.body["errors"] = list(errors)


def invalid(field: str, reason: str) -> ApiError:
    """Return the 422 for one field."""
    return ApiError(422, f"{field}: {reason}", errors=[{"field": field, "reason": reason}])
