"""A clock that is moved by hand."""

from __future__ import annotations


class Clock:
    """Seconds since nothing in particular; call it for the time, set ``now`` to move it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now
