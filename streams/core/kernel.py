"""Take one input through all stages: the step, the numbers it stamps on what it emits, and the digests that prove it.

The kernel is a state machine: its state is a function of the inputs it stepped through, in order. It knows no log, no
clock and no network; ``streams.journal`` makes its steps durable. Stages are given in their fixed order.
"""

from __future__ import annotations

import json
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from schemas.codec import HEADER_BYTES, CodecError, decode, encode, event_name
from schemas.envelope import Envelope, Event, Message
from schemas.events.control import SettingsChanged
from schemas.events.data import MessageQuarantined
from schemas.ids import derive_id, output_id
from schemas.settings import Venue, venue_in
from schemas.topics import BY_NAME, TOPIC_OF, outputs_of
from schemas.values import Micros, pin_decimal_context
from streams.core.stage import Stage

EVENTS_PER_STEP_MAX = 10_000
"""A step that emits more is a loop between stages: a bug, and the shard stops."""
BAD_RUN_MAX = 10
"""Consecutive unreadable inputs that may be set aside before the shard stops."""
BAD_SHARE_MAX = 0.01
"""Share of unreadable inputs, once BAD_SHARE_FROM were taken, above which the shard stops."""
BAD_SHARE_FROM = 1_000
KERNEL = "kernel"
"""Stage name of events the kernel itself emits."""


class KernelError(Exception):
    """The kernel refuses to go on: it names the step and the input."""


class Output(NamedTuple):
    """One event a step emitted, encoded."""

    topic: str
    seq: int
    key: bytes
    value: bytes
    ts_event: int


@dataclass(slots=True)
class Counters:
    """What the kernel itself remembers, beside the stages. ``seqs``: next number by output topic.

    ``venue``: of the first settings, empty before them; which topics are outputs follows from it.
    """

    step: int = 0
    clock: int = 0
    settings_digest: str = ""
    venue: str = ""
    bad_run: int = 0
    bad_total: int = 0
    seqs: dict[str, int] = field(default_factory=lambda: dict.fromkeys(outputs_of(Venue.PAPER), 0))


_COUNTERS = TypeAdapter(Counters)
_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)
"""Made once for each type of state: making one takes as long as a thousand steps, and a proof makes many kernels."""


class Kernel:
    """The stages of one shard and their state.

    code_version: stamped on every output as ``producer``; set it to the claim's version when replaying old commits.
    """

    def __init__(self, stages: Sequence[Stage[Any]], *, code_version: str) -> None:
        self.stages = tuple(stages)
        self.code_version = code_version
        self.counters = Counters()
        self.states: list[Any] = [stage.initial() for stage in self.stages]
        self._adapters = [_adapter(stage.state_type) for stage in self.stages]
        self._routes: dict[type[Event], tuple[tuple[int, Stage[Any]], ...]] = {}

    @property
    def venue(self) -> Venue:
        """The venue of the shard's settings; PAPER before them."""
        return Venue(self.counters.venue or Venue.PAPER)

    # -- stepping -------------------------------------------------------------------------------------------------

    def step(self, topic: str, data: bytes) -> list[Output]:
        """Take one input record's bytes through all stages; return what was emitted, in order.

        Raises KernelError for an input that cannot be read and may not be skipped, or when too many cannot be read.
        """
        try:
            envelope, event = decode(data)
        except CodecError as error:
            return self._set_aside(topic, data, error)
        self.counters.bad_run = 0
        return self.step_event(envelope, event)

    def step_event(self, envelope: Envelope, event: Event) -> list[Output]:
        """Take one decoded input through all stages; return what was emitted, in order."""
        pin_decimal_context()
        counters = self.counters
        if envelope.ts_event > counters.clock:
            counters.clock = envelope.ts_event
        if type(event) is SettingsChanged:
            self._take_settings(event)
        outputs = self._work_off(Message(envelope, event, Micros(counters.clock)))
        counters.step += 1
        return outputs

    @contextmanager
    def through(self, stages: Sequence[Stage[Any]]) -> Iterator[None]:
        """Take the steps of the block through these stages: the same ones, with something around their functions."""
        own, routes, venue = self.stages, self._routes, self.venue
        self.stages, self._routes = tuple(stages), {}
        try:
            yield
        finally:
            self.stages, self._routes = own, routes if self.venue is venue else {}

    def _take_settings(self, event: SettingsChanged) -> None:
        """Remember which settings are in force. The first decide the venue, for the life of the shard."""
        counters, venue = self.counters, venue_in(event.values)
        if counters.venue not in ("", venue):
            raise KernelError(
                f"step {counters.step}: settings with venue={venue}, but this shard is on {counters.venue} for life; "
                "begin a new log for another venue"
            )
        if not counters.venue:
            counters.venue = venue
            counters.seqs = {topic: counters.seqs[topic] for topic in outputs_of(venue)}
            self._routes.clear()
        counters.settings_digest = event.digest

    def _work_off(self, first: Message) -> list[Output]:
        outputs: list[Output] = []
        queue: deque[tuple[Message, int]] = deque(((first, -1),))
        while queue:
            message, emitter = queue.popleft()
            for index, stage in self._route(type(message.event)):
                if index == emitter:
                    continue
                events = stage.decide(self.states[index], message)
                self.states[index] = stage.evolve(self.states[index], message)
                if events and self._emit(index, message, events, first.envelope.ts_ingest, outputs, queue):
                    break
        return outputs

    def _emit(
        self,
        index: int,
        cause: Message,
        events: Sequence[Event],
        ts_ingest: Micros,
        outputs: list[Output],
        queue: deque[tuple[Message, int]],
    ) -> bool:
        """Stamp, fold and queue what a stage emitted; return whether one of them stops the causing message."""
        stage = self.stages[index]
        stops = False
        for number, event in enumerate(events):
            message = self._stamp(cause, stage.name, number, event, ts_ingest, outputs)
            self.states[index] = stage.evolve(self.states[index], message)
            queue.append((message, index))
            stops = stops or event.stops_cause
        if len(outputs) > EVENTS_PER_STEP_MAX:
            raise KernelError(
                f"step {self.counters.step}: more than {EVENTS_PER_STEP_MAX} events, last by {stage.name} for "
                f"{type(cause.event).__name__} {cause.envelope.event_id}; two stages answer each other without "
                "end: a bug, report it"
            )
        return stops

    def _stamp(
        self, cause: Message, stage: str, number: int, event: Event, ts_ingest: Micros, outputs: list[Output]
    ) -> Message:
        counters = self.counters
        topic = TOPIC_OF[type(event)]
        seq = counters.seqs.get(topic.name)
        if seq is None:
            raise KernelError(
                f"step {counters.step}: stage {stage} emitted {type(event).__name__}, but on {counters.venue} topic "
                f"{topic.name} is the gateway's to write"
            )
        counters.seqs[topic.name] = seq + 1
        envelope = Envelope(
            output_id(cause.envelope.event_id, stage, number),
            getattr(event, "plan_id", "") or cause.envelope.correlation_id,
            cause.envelope.event_id,
            stage,
            counters.step,
            len(outputs),
            seq,
            cause.now,
            ts_ingest,
            self.code_version,
            counters.settings_digest,
        )
        key = getattr(event, topic.key, "").encode()
        outputs.append(Output(topic.name, seq, key, encode(envelope, event), cause.now))
        return Message(envelope, event, cause.now)

    def _route(self, kind: type[Event]) -> tuple[tuple[int, Stage[Any]], ...]:
        route = self._routes.get(kind)
        if route is None:
            taking = ((index, stage) for index, stage in enumerate(self.stages) if kind in stage.takes)
            route = tuple(pair for pair in taking if pair[1].only_on in (None, self.venue))
            self._routes[kind] = route
        return route

    def _set_aside(self, topic: str, data: bytes, error: CodecError) -> list[Output]:
        """Put an unreadable input on the log as such, where the topic allows it; within bounds."""
        counters = self.counters
        counters.bad_run += 1
        counters.bad_total += 1
        taken = counters.step + 1
        too_many = taken >= BAD_SHARE_FROM and counters.bad_total > BAD_SHARE_MAX * taken
        if not BY_NAME[topic].may_skip or counters.bad_run > BAD_RUN_MAX or too_many:
            raise KernelError(
                f"step {counters.step}: a record of topic {topic} cannot be read: {error} "
                f"({counters.bad_run} in a row, {counters.bad_total} of {taken}); nothing was "
                "decided on it: run the version that wrote it, or restore the topic from a backup"
            ) from error
        identity = derive_id("unreadable", counters.step, sha256(data).hexdigest())
        now = Micros(counters.clock)
        envelope = Envelope(identity, identity, "", KERNEL, counters.step, 0, -1, now, now, "", "")
        event = MessageQuarantined(topic, counters.step, _reason(data), data[:1024])
        outputs: list[Output] = []
        self._stamp(Message(envelope, event, now), KERNEL, 0, event, now, outputs)
        counters.step += 1
        return outputs

    # -- state ----------------------------------------------------------------------------------------------------

    def state_json(self) -> bytes:
        """Return the whole state as canonical JSON: equal states give equal bytes."""
        parts = [_COUNTERS.dump_json(self.counters)]
        parts += [adapter.dump_json(state) for adapter, state in zip(self._adapters, self.states, strict=True)]
        names = [KERNEL, *(stage.name for stage in self.stages)]
        return b"{" + b",".join(b'"%s":%s' % (n.encode(), p) for n, p in zip(names, parts, strict=True)) + b"}"

    def restore(self, state_json: bytes) -> tuple[str, ...]:
        """Put back a state that ``state_json`` wrote; return the stages it knows nothing of: they are as they begin.

        Raises ValueError for what these stages could not go on from: a stage that is not here any more, a state that
        does not fit or would lose a field. Then nothing has changed.
        """
        loaded = json.loads(state_json)
        names = [stage.name for stage in self.stages]
        unknown = sorted(loaded.keys() - {KERNEL, *names})
        if unknown:
            raise ValueError(f"it has a stage {unknown[0]} that is not here")
        counters = _load(_COUNTERS, KERNEL, loaded[KERNEL])
        outputs = outputs_of(Venue(counters.venue or Venue.PAPER))
        gone = sorted(counters.seqs.keys() - set(outputs))
        if gone:
            raise ValueError(f"it numbers topic {gone[0]}, which is no output here")
        pairs = zip(self._adapters, self.stages, strict=True)
        states = [_load(a, s.name, loaded[s.name]) if s.name in loaded else s.initial() for a, s in pairs]
        counters.seqs = dict.fromkeys(outputs, 0) | counters.seqs
        self.counters, self.states = counters, states
        self._routes.clear()
        return tuple(name for name in names if name not in loaded)

    def introduce(self, stage_name: str, settings: tuple[Envelope, Event]) -> None:
        """Let a stage that joins a running shard see the settings in force; it decides nothing on them."""
        message = Message(*settings, Micros(self.counters.clock))
        for index, stage in enumerate(self.stages):
            if stage.name == stage_name and type(message.event) in stage.takes:
                self.states[index] = stage.evolve(self.states[index], message)


def _load(adapter: TypeAdapter[Any], name: str, written: Any) -> Any:
    """Return a state from its JSON. Raises ValueError, naming the stage, where it does not fit or a field would go."""
    try:
        state = adapter.validate_json(json.dumps(written))
    except ValueError as error:
        raise ValueError(f"the state of {name} does not fit: {' '.join(str(error).split())[:300]}") from error
    lost = _lost(written, json.loads(adapter.dump_json(state)), name)
    if lost:
        raise ValueError(f"the state of {name} has {lost}, which this version would forget")
    return state


def _lost(old: Any, new: Any, path: str) -> str | None:
    """Return the path of the first field that is in ``old`` and not in ``new``."""
    if old == new:
        return None
    if isinstance(old, dict) and isinstance(new, dict):
        missing = next((f"{path}.{name}" for name in old if name not in new), None)
        return missing or next((lost for name in old if (lost := _lost(old[name], new[name], f"{path}.{name}"))), None)
    if isinstance(old, list) and isinstance(new, list):
        pairs = zip(old, new, strict=False)
        return next((lost for n, (was, now) in enumerate(pairs) if (lost := _lost(was, now, f"{path}[{n}]"))), None)
    return None


def _reason(data: bytes) -> str:
    """Say why bytes could not be decoded in words of ours: a library's words would change with its version."""
    if len(data) < HEADER_BYTES or data[0] != 0:
        return "not Confluent-framed Avro"
    try:
        return f"does not decode as {event_name(data)}"
    except CodecError:
        return "unknown schema id"


def state_digest(state_json: bytes) -> str:
    """Return the digest of a state."""
    return sha256(state_json).hexdigest()


def compress(state_json: bytes) -> bytes:
    """Pack a state for a checkpoint."""
    return zlib.compress(state_json, 6)


def decompress(packed: bytes) -> bytes:
    """Unpack a checkpoint's state. Raises ValueError when it is damaged."""
    try:
        return zlib.decompress(packed)
    except zlib.error as error:
        raise ValueError(f"damaged checkpoint: {error}") from error


class Digest:
    """A running digest over byte strings, each with its length, so that no two sequences share one."""

    __slots__ = ("_hash",)

    def __init__(self) -> None:
        self._hash = sha256()

    def add(self, *parts: bytes) -> None:
        """Take in some byte strings."""
        for part in parts:
            self._hash.update(b"%d:" % len(part))
            self._hash.update(part)

    def hex(self) -> str:
        """Return the digest so far: 32 hex digits."""
        return self._hash.hexdigest()[:32]


def digest_outputs(outputs: Iterable[Output]) -> str:
    """Return the digest over topic and bytes of outputs, in order. Every byte of an output is deterministic."""
    digest = Digest()
    for output in outputs:
        digest.add(output.topic.encode(), output.value)
    return digest.hex()
