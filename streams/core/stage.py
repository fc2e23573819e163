"""What a stage is: three pure functions and the list of message types it takes.

No clock, no chance, no I/O, no globals: time is ``message.now``, identifiers derive from ``message.envelope.event_id``.
Stages share events, never state or code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from schemas.envelope import Event, Message
from schemas.settings import Venue

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Stage(Generic[S]):
    """One stage of the trader.

    decide: ``(state, message) -> events``, in order; the only place that emits.
    evolve: ``(state, message) -> state``; the only place that changes state. It sees every message ``decide`` saw,
      after it, and then every event ``decide`` returned, each in an envelope of its own.
    state_type: a dataclass whose fields pydantic can write to JSON and read back to an equal object (checkpoints).
    only_on: the venue whose shards have this stage; elsewhere it is given nothing. None: every shard.
    """

    name: str
    takes: tuple[type[Event], ...]
    state_type: type[S]
    initial: Callable[[], S]
    decide: Callable[[S, Message], Sequence[Event]]
    evolve: Callable[[S, Message], S]
    only_on: Venue | None = None
