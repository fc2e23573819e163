"""``given(stage, *past).when(event).then(*events)``: a stage's behaviour as a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from schemas.envelope import Event, Message
from schemas.ids import output_id
from streams.core.stage import Stage
from tests.builders import message


@dataclass
class Spec:
    """A stage with a history; ``state`` and ``emitted`` are open to assertions."""

    stage: Stage[Any]
    state: Any
    emitted: list[Event]

    def when(self, event: Event | Message, *, ts: int | None = None) -> Spec:
        """Feed one message; keep what the stage emits."""
        self.emitted = []
        self.state = feed(self.stage, self.state, as_message(event, ts), self.emitted)
        return self

    def then(self, *expected: Event) -> Spec:
        """Assert exactly these events were emitted."""
        assert tuple(self.emitted) == expected
        return self

    def of(self, kind: type[Event]) -> list[Any]:
        """Return the emitted events of one type."""
        return [event for event in self.emitted if isinstance(event, kind)]


def as_message(event: Event | Message, ts: int | None = None) -> Message:
    """Wrap a bare event; a message stays as it is."""
    if isinstance(event, Message):
        return event
    return message(event) if ts is None else message(event, ts=ts)


def feed(stage: Stage[Any], state: Any, incoming: Message, emitted: list[Event]) -> Any:
    """Do what the kernel does with one message and one stage."""
    if type(incoming.event) not in stage.takes:
        return state
    outputs = list(stage.decide(state, incoming))
    state = stage.evolve(state, incoming)
    for index, event in enumerate(outputs):
        identity = output_id(incoming.envelope.event_id, stage.name, index)
        state = stage.evolve(state, message(event, ts=incoming.now, event_id=identity, stage=stage.name))
    emitted += outputs
    return state


def given(stage: Stage[Any], *past: Event | Message) -> Spec:
    """Start a stage and feed it its past."""
    state = stage.initial()
    for event in past:
        state = feed(stage, state, as_message(event), [])
    return Spec(stage, state, [])
