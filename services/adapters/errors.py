"""Why a source gave nothing: one error, with a kind from a closed list."""

from __future__ import annotations

from enum import StrEnum


class Failure(StrEnum):
    """How an attempt failed; a label of the metric ``tapeline_source_failures_total``."""

    TIMEOUT = "TIMEOUT"
    UNREACHABLE = "UNREACHABLE"
    STATUS = "STATUS"
    REDIRECT = "REDIRECT"
    FORBIDDEN = "FORBIDDEN"
    TOO_LARGE = "TOO_LARGE"
    WRONG_TYPE = "WRONG_TYPE"
    GARBAGE = "GARBAGE"
    BREAKER_OPEN = "BREAKER_OPEN"


class SourceError(Exception):
    """A source gave nothing usable. ``again``: another attempt may help. The message shows no secret and no body."""

    def __init__(self, kind: Failure, message: str, *, again: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.again = again


def garbage(reason: str) -> SourceError:
    """Return the error for an answer that is not what its source promises."""
    return SourceError(Failure.GARBAGE, reason)
