"""The ten stages of the trader, in the one order in which a message meets them."""

from __future__ import annotations

from typing import Any

from streams.code_version import code_version
from streams.core import account, bars, execution, features, planner, quality, regime, risk, signals, venue
from streams.core.stage import Stage

CODE_VERSION = code_version()
"""Stamped on every output and claim; it follows from the sources and changes with them."""


def stages() -> tuple[Stage[Any], ...]:
    """Return the stages: quality > bars > features > ... > venue (the paper one, on paper shards only) > account."""
    modules = (quality, bars, features, signals, regime, planner, risk, execution, venue, account)
    return tuple(module.STAGE for module in modules)


STAGES = stages()
