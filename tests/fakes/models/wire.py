"""What a wire format is to the server: where the key is, what a request must look like, the bodies that go back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Body = Mapping[str, Any]
Usage = Mapping[str, int]
"""``prompt_tokens`` and ``completion_tokens``, whatever the provider calls them."""


@dataclass(frozen=True)
class Wire:
    """One format.

    ``key``: the only one that is let in; None: none is asked for. ``key_of``: the one in a request's headers, which
    have lower-case names. ``problem_of``: the field a request gets wrong, why, and the status of the refusal.
    ``completion``: the body of an answer, from the request, the text, why it ended ("stop" or "length") and the usage.
    ``error``: the body of an error, from its words and its kind.
    """

    key: str | None
    key_of: Callable[[Mapping[str, str]], str]
    problem_of: Callable[[Body, Mapping[str, str]], tuple[str, str, int] | None]
    completion: Callable[[Body, str, str, Usage | None], dict[str, Any]]
    error: Callable[[str, str], dict[str, Any]]


def bearer(headers: Mapping[str, str]) -> str:
    """Return the key of an Authorization header."""
    return headers.get("authorization", "").removeprefix("Bearer ")
