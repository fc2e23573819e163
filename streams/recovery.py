"""Rebuild a shard from its log: newest usable checkpoint, then the counted commits, then what is missing.

Nothing is decided here: every step was committed before. Inputs, outputs and state must reproduce every digest the
journal holds; where one does not, recovery stops and says where (kernel, sections 5 and 8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from schemas.codec import CodecError, decode
from schemas.envelope import Envelope, Event
from schemas.events.journal import CheckpointTaken, Claimed, Committed, Position
from schemas.settings import Venue
from schemas.topics import CHECKPOINTS, JOURNAL, inputs_of, outputs_of
from streams.core.kernel import Digest, Kernel, KernelError, Output, decompress, digest_outputs, state_digest
from streams.journal import (
    GENESIS,
    READ_LIMIT,
    CountedCommit,
    FailStop,
    Fenced,
    JournalState,
    Unsure,
    output_records,
    read_journal,
)
from streams.log.base import EventLog, LogError, NoTopic
from streams.reader import SeqReader
from streams.venues import SETTINGS, venue_of

CHECKPOINTS_TRIED = 5
"""How many of the newest checkpoints are tried before the replay starts from the beginning."""
REPEATS_MAX = 200
"""How many records at the end of a topic may be another owner's late repeats when a checkpoint is taken."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What recovery found: the next input offsets, the chain, and how much work it was."""

    positions: dict[str, int]
    chain: str
    from_step: int
    to_step: int
    republished: int
    recorded_by: str = ""
    """Code version of the newest counted commit; empty: there is none."""


@dataclass(slots=True)
class Place:
    """A point in a shard's history: next input offsets, and (offset, seq) to read each output topic from."""

    inputs: dict[str, int]
    outputs: dict[str, tuple[int, int]]
    chain: str = GENESIS
    next_step: int = 0


def beginning(venue: Venue) -> Place:
    """Return the place before the first step of a shard on a venue."""
    return Place(dict.fromkeys(inputs_of(venue), 0), dict.fromkeys(outputs_of(venue), (0, 0)))


def input_positions(positions: Mapping[str, int]) -> tuple[Position, ...]:
    """Write input positions as a checkpoint holds them."""
    return tuple(Position(topic, offset, -1) for topic, offset in positions.items())


def output_positions(log: EventLog, shard: int, seqs: Mapping[str, int]) -> tuple[Position, ...] | None:
    """Return (offset after the record with the last ``seq``, next seq) of every output topic.

    Late repeats of another owner may follow that record; None if it is not among the last REPEATS_MAX.
    """
    found = []
    for topic, seq in seqs.items():
        offset = log.end_offset(topic, shard)
        lowest = max(0, offset - REPEATS_MAX)
        while offset > lowest and not _ends_with(log, topic, shard, offset, seq):
            offset -= 1
        if not _ends_with(log, topic, shard, offset, seq):
            return None
        found.append(Position(topic, offset, seq))
    return tuple(found)


def _ends_with(log: EventLog, topic: str, shard: int, offset: int, seq: int) -> bool:
    """Tell whether the record before ``offset`` carries ``seq - 1``; one that cannot be read carries nothing."""
    if offset == 0:
        return seq == 0
    records = log.read(topic, shard, offset - 1, limit=1)
    try:
        return bool(records) and decode(records[0].value)[0].seq == seq - 1
    except CodecError:
        return False


# -- recovery -------------------------------------------------------------------------------------------------------


def recover(log: EventLog, shard: int, kernel: Kernel, epoch: int) -> Recovered:
    """Bring ``kernel`` to the state the journal implies up to the claim at ``epoch``; publish what is missing.

    Raises FailStop where log and journal contradict each other, Fenced when a newer owner has moved on meanwhile.
    """
    running = kernel.code_version
    journal, place = restore_newest(log, shard, kernel)
    from_step, recorded_by = place.next_step, journal.claim.code_version if journal.claim else ""
    published = {topic: _published(log, topic, shard, *place.outputs[topic]) for topic in place.outputs}
    missing: list[Output] = []
    for counted in read_journal(log, shard, journal, epoch + 1):
        recorded_by = counted.claim.code_version
        outputs = _replay(log, shard, kernel, place, counted, running)
        missing += [output for output in outputs if output.seq >= published[output.topic]]
    _refuse_numbers_beyond(log, shard, kernel, published, epoch)
    if missing:
        try:
            log.publish(output_records(missing, shard))
        except LogError as error:
            raise Unsure(f"shard {shard}: {len(missing)} missing outputs were not acknowledged: {error}") from error
    return Recovered(place.inputs, place.chain, from_step, place.next_step, len(missing), recorded_by)


def _replay(
    log: EventLog, shard: int, kernel: Kernel, place: Place, counted: CountedCommit, running: str
) -> list[Output]:
    """Replay one commit; where it fails and another code recorded it, say so and what to do."""
    version = counted.claim.code_version
    try:
        return replay_commit(log, shard, kernel, place, counted, same_code=version == running)
    except (FailStop, KernelError) as error:
        commit = counted.commit
        place_of_it = f"shard {shard}, steps {commit.first_step}..{commit.last_step}: " * isinstance(error, KernelError)
        who = "" if version == running else f"; {other_code(version, running)}"
        raise FailStop(f"{place_of_it}{error}{who}") from error


def other_code(recorded_by: str, running: str) -> str:
    """Say that another version recorded what this one cannot go on from, and what to do about it."""
    return (
        f"recorded by code {recorded_by}, this is {running}: a new version goes on from a clean stop; start the old "
        "one once more, stop it (it leaves a checkpoint), then start this one"
    )


def _published(log: EventLog, topic: str, shard: int, offset: int, seq: int) -> int:
    """Return the ``seq`` a reader of the topic accepts next, starting from a known place. Raises FailStop."""
    reader = SeqReader(log, topic, shard, offset=offset, seq=seq)
    end = log.end_offset(topic, shard)
    try:
        while reader.offset < end:
            reader.poll(min(READ_LIMIT, end - reader.offset))
    except CodecError as error:
        raise FailStop(f"shard {shard}: a published output cannot be read: {error}; restore the topic") from error
    return reader.seq


def _refuse_numbers_beyond(log: EventLog, shard: int, kernel: Kernel, published: Mapping[str, int], epoch: int) -> None:
    for topic, seq in published.items():
        implied = kernel.counters.seqs[topic]
        if seq <= implied:
            continue
        journal = JournalState(next_offset=epoch + 1, epoch=epoch)
        end = log.end_offset(JOURNAL, shard)
        for record in log.read(JOURNAL, shard, epoch + 1, limit=max(1, end - epoch)):
            journal.take(record.offset, decode(record.value)[1])
        if journal.epoch != epoch:
            raise Fenced(f"shard {shard}: claimed again at journal offset {journal.epoch} while it was being recovered")
        raise FailStop(
            f"shard {shard}: topic {topic} holds seq {seq - 1}, but the journal accounts only for {implied}: "
            "the journal has lost records; restore it from a backup, do not trade on"
        )


def restore_newest(log: EventLog, shard: int, kernel: Kernel) -> tuple[JournalState, Place]:
    """Restore the newest usable checkpoint into ``kernel``; return where journal and log go on from it.

    Without one: the beginning. Raises FailStop for a checkpoint this version cannot go on from.
    """
    end = log.end_offset(CHECKPOINTS, shard)
    for offset in range(end - 1, max(end - 1 - CHECKPOINTS_TRIED, -1), -1):
        checkpoint = read_checkpoint(log, shard, offset)
        counted = None if checkpoint is None else commit_at(log, shard, checkpoint.journal_offset)
        if checkpoint is None or counted is None or not usable(log, shard, checkpoint, counted):
            continue
        place = restore_checkpoint(log, shard, kernel, checkpoint, counted)
        commit = counted.commit
        state = JournalState(commit.epoch, counted.claim, commit.last_step + 1, commit.chain, counted.offset + 1)
        return state, place
    return JournalState(), beginning(venue_of(log, shard) or Venue.PAPER)


def restore_checkpoint(
    log: EventLog, shard: int, kernel: Kernel, checkpoint: CheckpointTaken, counted: CountedCommit
) -> Place:
    """Restore a usable checkpoint into ``kernel`` and return its place.

    A stage the checkpoint knows nothing of begins with its initial state and the settings in force; a topic it knows
    nothing of begins at its beginning (ADR 14). Raises FailStop for a state this version cannot go on from.
    """
    running, recorded_by = kernel.code_version, counted.claim.code_version
    try:
        joining = kernel.restore(decompress(checkpoint.state))
        _refuse_inputs_gone(counted.claim, kernel.venue)
    except ValueError as error:
        raise FailStop(
            f"shard {shard}: the checkpoint at step {checkpoint.step} cannot be gone on from: {error}; recorded by "
            f"code {recorded_by}, this is {running or 'another'}: run the version that recorded it, or start a new log"
        ) from error
    place = place_of(checkpoint, kernel.venue)
    for name in joining:
        kernel.introduce(name, _settings_in_force(log, shard, place))
    return place


def _refuse_inputs_gone(claim: Claimed, venue: Venue) -> None:
    gone = [topic for topic in claim.input_topics if topic not in inputs_of(venue)]
    if gone:
        raise ValueError(f"topic {gone[0]} is no input of this version")


def _settings_in_force(log: EventLog, shard: int, place: Place) -> tuple[Envelope, Event]:
    """Return the last settings taken before a place: every history begins with some."""
    (value,) = read_inputs(log, shard, replace(place, inputs={SETTINGS: place.inputs[SETTINGS] - 1}), SETTINGS, 1)
    return decode(value)


def commit_at(log: EventLog, shard: int, offset: int) -> CountedCommit | None:
    """Return the commit at a journal offset with the claim it was made under; None if either is not there.

    A checkpoint is written only after its commit was acknowledged at the very offset its writer expected, so between
    the claim and that commit there are only commits of that writer: it counts.
    """
    commit = _journal_event(log, shard, offset)
    claim = _journal_event(log, shard, commit.epoch) if isinstance(commit, Committed) else None
    if not isinstance(commit, Committed) or not isinstance(claim, Claimed):
        return None
    return CountedCommit(offset, claim, commit)


def _journal_event(log: EventLog, shard: int, offset: int) -> Event | None:
    records = log.read(JOURNAL, shard, offset, limit=1) if offset >= 0 else ()
    return decode(records[0].value)[1] if records and records[0].offset == offset else None


def read_checkpoint(log: EventLog, shard: int, offset: int) -> CheckpointTaken | None:
    """Return the checkpoint at an offset; None if it is torn or the log has dropped it: it is only a cache."""
    try:
        records = log.read(CHECKPOINTS, shard, offset, limit=1)
        event = decode(records[0].value)[1] if records else None
    except (ValueError, LogError):
        return None
    return event if isinstance(event, CheckpointTaken) else None


def usable(log: EventLog, shard: int, checkpoint: CheckpointTaken, counted: CountedCommit) -> bool:
    """Tell whether a checkpoint belongs to a counted commit, is whole, and its output places hold."""
    commit = counted.commit
    if (checkpoint.chain, checkpoint.step, checkpoint.state_digest) != (
        commit.chain,
        commit.last_step,
        commit.state_digest,
    ):
        return False
    try:
        intact = state_digest(decompress(checkpoint.state)) == checkpoint.state_digest
    except ValueError:
        return False
    if not intact or not _places_every_input(checkpoint, counted.claim):
        return False
    try:
        there = all(log.partitions(position.topic) > shard for position in checkpoint.outputs)
        return there and all(_ends_with(log, p.topic, shard, p.offset, p.seq) for p in checkpoint.outputs)
    except NoTopic:  # a torn name
        return False


def _places_every_input(checkpoint: CheckpointTaken, claim: Claimed) -> bool:
    """Tell whether the input positions are whole: of the topics claimed, and a step for each input taken."""
    named = all(position.topic in claim.input_topics for position in checkpoint.inputs)
    return named and sum(position.offset for position in checkpoint.inputs) == checkpoint.step + 1


def place_of(checkpoint: CheckpointTaken, venue: Venue) -> Place:
    """Return the place right after the commit a checkpoint was taken at."""
    return Place(
        inputs=dict.fromkeys(inputs_of(venue), 0) | {p.topic: p.offset for p in checkpoint.inputs},
        outputs=dict.fromkeys(outputs_of(venue), (0, 0)) | {p.topic: (p.offset, p.seq) for p in checkpoint.outputs},
        chain=checkpoint.chain,
        next_step=checkpoint.step + 1,
    )


def replay_commit(
    log: EventLog, shard: int, kernel: Kernel, place: Place, counted: CountedCommit, *, same_code: bool
) -> list[Output]:
    """Step through the inputs of one counted commit in their recorded order; ``place`` moves along.

    ``same_code``: these stages recorded it, so their state must be the same, too.
    Returns the outputs it caused. Raises FailStop when an input is missing or a digest differs.
    """
    commit = counted.commit
    kernel.code_version = counted.claim.code_version
    inputs_digest = Digest()
    outputs: list[Output] = []
    for run in commit.runs:
        for value in read_inputs(log, shard, place, run.topic, run.count):
            inputs_digest.add(value)
            outputs += kernel.step(run.topic, value)
    _match(counted, shard, "inputs", commit.inputs_digest, inputs_digest.hex())
    _match(counted, shard, "outputs", commit.outputs_digest, digest_outputs(outputs))
    if commit.state_digest and same_code:
        _match(counted, shard, "state", commit.state_digest, state_digest(kernel.state_json()))
    place.chain, place.next_step = commit.chain, commit.last_step + 1
    return outputs


def read_inputs(log: EventLog, shard: int, place: Place, topic: str, count: int) -> list[bytes]:
    """Return the next ``count`` inputs of a topic and move the place past them. Raises FailStop at a hole."""
    values: list[bytes] = []
    position = place.inputs[topic]
    while len(values) < count:
        records = log.read(topic, shard, position, limit=min(READ_LIMIT, count - len(values)))
        if not records or records[0].offset != position or records[-1].offset != position + len(records) - 1:
            raise FailStop(f"shard {shard}: input {topic} offset {position} is gone, but the journal says it was taken")
        values += [record.value for record in records]
        position += len(records)
    place.inputs[topic] = position
    return values


def _match(counted: CountedCommit, shard: int, what: str, journal: str, replayed: str) -> None:
    if journal != replayed:
        commit = counted.commit
        raise FailStop(
            f"shard {shard}, steps {commit.first_step}..{commit.last_step} (journal offset {counted.offset}): "
            f"the {what} digest is {replayed}, the journal says {journal}; "
            "`tapeline replay verify` names the first event that differs"
        )
