"""Prove a recorded run: step through its inputs in the journal's order and compare every output, byte for byte.

The run is cut at usable checkpoints, so that segments can be verified independently and in parallel; each segment must
end in the state digest the next one starts from. Nothing outside the log is asked (kernel, section 11).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from schemas.codec import CodecError, decode
from schemas.settings import Venue
from schemas.topics import CHECKPOINTS, JOURNAL, outputs_of
from streams.children import end_with_parent
from streams.core.kernel import Digest, Kernel, KernelError, Output, digest_outputs, state_digest
from streams.core.stage import Stage
from streams.journal import READ_LIMIT, CountedCommit, FailStop, JournalState, read_journal
from streams.log.base import EventLog, end_of
from streams.reader import SeqReader
from streams.recovery import Place, beginning, read_checkpoint, read_inputs, restore_checkpoint, usable
from streams.stored import Difference, Stored
from streams.venues import venue_of


@dataclass(frozen=True, slots=True)
class Recorded:
    """The steps one version of the code recorded in a row. ``proven``: this one reproduced all of them."""

    code_version: str
    first_step: int
    last_step: int
    proven: bool


@dataclass(slots=True)
class Report:
    """What a verification saw. ``difference`` None: the run is proven.

    ``code_version``: of the code that ran the steps again; ``recorded``: by which they were recorded.
    """

    steps: int = 0
    commits: int = 0
    inputs: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    difference: Difference | None = None
    code_version: str = ""
    recorded: tuple[Recorded, ...] = ()

    def digest(self) -> str:
        """Return one digest over all topics: equal for every run with the same outputs."""
        digest = Digest()
        for topic, value in sorted(self.digests.items()):
            digest.add(topic.encode(), value.encode())
        return digest.hex()

    @property
    def proven(self) -> bool:
        """Tell whether every output and digest was reproduced."""
        return self.difference is None


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of commits between two checkpoints; ``checkpoint_offset`` None: from the beginning."""

    checkpoint_offset: int | None
    first_step: int
    last_step: int


_Job = tuple[Callable[[], EventLog], Callable[[], Sequence[Stage[Any]]], int, Segment, str]


def verify(
    log: EventLog,
    shard: int,
    stages: Sequence[Stage[Any]],
    *,
    open_again: Callable[[], EventLog] | None = None,
    stages_again: Callable[[], Sequence[Stage[Any]]] | None = None,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
    code_version: str = "",
    since_step: int = 0,
) -> Report:
    """Verify one shard. ``progress`` is called with the steps proven so far.

    ``since_step``: begin at the last usable checkpoint before it; digests, which are of whole topics, are left out.
    ``code_version``: of these stages; steps that another version recorded are compared all the same, and the report
    says so.
    With ``open_again`` and ``stages_again`` (picklable functions) segments run in ``workers`` processes.
    """
    try:
        venue = venue_of(log, shard) or Venue.PAPER  # a log without settings has no steps either
        ends = {topic: end_of(log, topic, shard) for topic in outputs_of(venue)}  # before the journal: it leads
        commits = list(read_journal(log, shard, JournalState(), log.end_offset(JOURNAL, shard)))
    except (FailStop, CodecError) as error:
        return Report(difference=Difference(0, "journal", str(error)))
    segments = [segment for segment in cut(log, shard, commits) if segment.last_step >= since_step]
    if workers > 1 and open_again and stages_again and len(segments) > 1:
        jobs = [(open_again, stages_again, shard, segment, code_version) for segment in segments]
        with ProcessPoolExecutor(workers, initializer=end_with_parent) as pool:
            reports = _gather(pool.map(_verify_elsewhere, jobs), progress)
    else:
        reports = _gather((verify_segment(log, shard, stages, s, commits, code_version) for s in segments), progress)
    report = _account_for(_merge(reports), log, shard, ends, commits, whole=since_step == 0)
    return _by_version(report, code_version, commits, list(zip(segments, reports, strict=True)))


def _gather(reports: Iterator[Report] | Any, progress: Callable[[int], None] | None) -> list[Report]:
    gathered: list[Report] = []
    for report in reports:
        gathered.append(report)
        if progress:
            progress(sum(r.steps for r in gathered))
    return gathered


def _verify_elsewhere(job: _Job) -> Report:
    open_again, stages_again, shard, segment, code_version = job
    log = open_again()
    try:
        commits = list(read_journal(log, shard, JournalState(), log.end_offset(JOURNAL, shard)))
        return verify_segment(log, shard, stages_again(), segment, commits, code_version)
    finally:
        log.close()


def cut(log: EventLog, shard: int, commits: Sequence[CountedCommit]) -> list[Segment]:
    """Cut the counted commits into segments at the checkpoints that can be used."""
    by_offset = {counted.offset: counted for counted in commits if counted.commit.state_digest}
    cuts: list[tuple[int | None, int]] = [(None, 0)]
    for offset in range(log.end_offset(CHECKPOINTS, shard)):
        checkpoint = read_checkpoint(log, shard, offset)
        counted = None if checkpoint is None else by_offset.get(checkpoint.journal_offset)
        if checkpoint is None or counted is None or checkpoint.step + 1 <= cuts[-1][1]:
            continue
        if usable(log, shard, checkpoint, counted):
            cuts.append((offset, checkpoint.step + 1))
    last = commits[-1].commit.last_step if commits else -1
    ends = [first - 1 for _, first in cuts[1:]] + [last]
    return [Segment(at, first, end) for (at, first), end in zip(cuts, ends, strict=True) if end >= first]


def verify_segment(
    log: EventLog,
    shard: int,
    stages: Sequence[Stage[Any]],
    segment: Segment,
    commits: Sequence[CountedCommit],
    code_version: str = "",
) -> Report:
    """Re-run one segment and compare it with what is stored."""
    kernel, place = Kernel(stages, code_version=code_version), beginning(venue_of(log, shard) or Venue.PAPER)
    if segment.checkpoint_offset is not None:
        try:
            place = _restored(log, shard, kernel, segment.checkpoint_offset, commits)
        except FailStop as error:
            return Report(difference=Difference(segment.first_step, "checkpoint", str(error)))
    stored = Stored(log, shard, place)
    report = Report()
    for counted in commits:
        if not segment.first_step <= counted.commit.last_step <= segment.last_step:
            continue
        same_code = code_version in ("", counted.claim.code_version)
        report.difference = _verify_commit(log, shard, kernel, place, counted, stored, report, same_code=same_code)
        if report.difference:
            return report
    return report


def _restored(log: EventLog, shard: int, kernel: Kernel, offset: int, commits: Sequence[CountedCommit]) -> Place:
    checkpoint = read_checkpoint(log, shard, offset)
    counted = next((c for c in commits if checkpoint and c.offset == checkpoint.journal_offset), None)
    if checkpoint is None or counted is None:
        raise FailStop(f"checkpoint at offset {offset} vanished while it was being verified")
    return restore_checkpoint(log, shard, kernel, checkpoint, counted)


def _verify_commit(
    log: EventLog,
    shard: int,
    kernel: Kernel,
    place: Place,
    counted: CountedCommit,
    stored: Stored,
    report: Report,
    *,
    same_code: bool,
) -> Difference | None:
    commit = counted.commit
    kernel.code_version = counted.claim.code_version
    inputs_digest, outputs = Digest(), list[Output]()
    try:
        for run in commit.runs:
            for value in read_inputs(log, shard, place, run.topic, run.count):
                inputs_digest.add(value)
                outputs += kernel.step(run.topic, value)
            report.inputs[run.topic] = report.inputs.get(run.topic, 0) + run.count
    except (FailStop, KernelError) as error:
        return Difference(kernel.counters.step, "input", str(error))
    found = next((d for output in outputs if (d := stored.compare(output))), None)
    if found:
        return _with_inputs(found, commit.inputs_digest != inputs_digest.hex(), counted)
    report.steps += commit.last_step - commit.first_step + 1
    report.commits += 1
    for output in outputs:
        report.outputs[output.topic] = report.outputs.get(output.topic, 0) + 1
    return _compare_digests(kernel, counted, inputs_digest.hex(), digest_outputs(outputs), same_code=same_code)


def _with_inputs(found: Difference, inputs_changed: bool, counted: CountedCommit) -> Difference:
    if not inputs_changed:
        return found
    commit = counted.commit
    note = f"\nthe inputs of steps {commit.first_step}..{commit.last_step} are not those that were committed"
    return Difference(found.step, found.what, found.detail + note)


def _compare_digests(
    kernel: Kernel, counted: CountedCommit, inputs: str, outputs: str, *, same_code: bool
) -> Difference | None:
    commit = counted.commit
    steps = f"steps {commit.first_step}..{commit.last_step} (journal offset {counted.offset})"
    pairs = [("inputs", commit.inputs_digest, inputs), ("outputs", commit.outputs_digest, outputs)]
    if commit.state_digest and same_code:  # what a version remembers is its own affair, what it decides is not
        pairs.append(("state", commit.state_digest, state_digest(kernel.state_json())))
    for what, journal, replayed in pairs:
        if journal != replayed:
            detail = f"{steps}: the {what} digest is {replayed}, the journal says {journal}"
            return Difference(commit.first_step, what, detail)
    return None


def topic_digest(log: EventLog, shard: int, topic: str, *, end: int | None = None) -> tuple[int, str]:
    """Return count and digest of a topic as its readers accept it: equal for every runner and log.

    ``end``: the offset to stop at; None: the end of the topic.
    """
    reader = SeqReader(log, topic, shard)
    digest, count = Digest(), 0
    last = end_of(log, topic, shard) if end is None else end
    while reader.offset < last:
        for accepted in reader.poll(min(READ_LIMIT, last - reader.offset)):
            digest.add(accepted.record.key, accepted.record.value)
            count += 1
    return count, digest.hex()


def _merge(reports: Sequence[Report]) -> Report:
    merged = Report()
    for report in reports:
        merged.steps += report.steps
        merged.commits += report.commits
        for total, part in ((merged.inputs, report.inputs), (merged.outputs, report.outputs)):
            for topic, count in part.items():
                total[topic] = total.get(topic, 0) + count
    differences = [report.difference for report in reports if report.difference]
    merged.difference = min(differences, key=lambda difference: difference.step, default=None)
    return merged


def _by_version(
    report: Report, running: str, commits: Sequence[CountedCommit], segments: Sequence[tuple[Segment, Report]]
) -> Report:
    """Say which version recorded which steps, and of a difference whether it was another one than this."""
    report.code_version = running
    # A segment ends at its first difference: what comes after it there was not looked at.
    unproven = [(part.difference.step, segment.last_step) for segment, part in segments if part.difference]
    for version, group in groupby(commits, key=lambda counted: counted.claim.code_version):
        own = list(group)
        first, last = own[0].commit.first_step, own[-1].commit.last_step
        proven = not any(begin <= last and end >= first for begin, end in unproven)
        report.recorded = (*report.recorded, Recorded(version, first, last, proven))
    found = report.difference
    by = next((r for r in report.recorded if found and r.first_step <= found.step <= r.last_step), None)
    if found and by and running and by.code_version != running:
        note = f"\nsteps {by.first_step}..{by.last_step} were recorded by code {by.code_version}, this is {running}"
        report.difference = replace(found, detail=found.detail + note)
    return report


def _account_for(
    report: Report,
    log: EventLog,
    shard: int,
    ends: Mapping[str, int],
    commits: Sequence[CountedCommit],
    *,
    whole: bool,
) -> Report:
    """Digest every topic; report outputs that stand on the log although no counted commit accounts for them."""
    if report.difference:
        return report
    implied = dict.fromkeys(ends, 0)
    for counted in commits:
        for part in counted.commit.outputs:
            implied[part.topic] = part.first_seq + part.count
    for topic, end in ends.items():
        try:
            count, digest = (
                topic_digest(log, shard, topic, end=end) if whole else (_highest(log, shard, topic, end), "")
            )
        except CodecError as error:
            report.difference = Difference(report.steps, topic, f"{topic} holds a record that cannot be read: {error}")
            return report
        if count > implied[topic]:
            detail = (
                f"{topic} holds {count} outputs, the journal accounts for {implied[topic]}: seq {implied[topic]} and "
                "later were never committed, or the journal has lost records"
            )
            report.difference = Difference(report.steps, topic, detail)
            return report
        if count and whole:
            report.digests[topic] = digest
    return report


def _highest(log: EventLog, shard: int, topic: str, end: int) -> int:
    """Return one more than the highest ``seq`` among the last records of a topic; late repeats may stand behind it."""
    start = max(0, end - READ_LIMIT)
    numbers = (
        [decode(record.value)[0].seq for record in log.read(topic, shard, start, limit=end - start)] if end else ()
    )
    return 1 + max(numbers, default=-1)
