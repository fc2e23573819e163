"""``tapeline log``: the log itself, decoded. Shows what is stored, repeats included; only ``import`` writes."""

from __future__ import annotations

import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event as Alarm
from typing import Annotated, Any

import typer

from schemas.codec import CodecError, decode
from schemas.json_form import to_json
from schemas.topics import BY_NAME, TOPICS
from services.commands import log_copy
from services.commands.common import CliError, JsonOption, LogOption, emit, line, load, note, open_log, table
from services.control.scan import headers_of, is_one_of
from streams.log.base import EventLog, NoTopic, StoredRecord
from streams.reader import LOOK_BACK, Clock, SeqRule
from streams.venues import is_sequenced

FETCH = 1_000
FOLLOW_S = 60.0
POLL_S = 0.05

Topic = Annotated[str, typer.Argument(help="A topic; `tapeline log topics` lists them.")]
Types = Annotated[
    list[str] | None, typer.Option("--type", metavar="TYPE", help="Only this event type; may be given again.")
]
Instrument = Annotated[str | None, typer.Option("--instrument", help="Only events of this instrument.")]
Partition = Annotated[int | None, typer.Option("--partition", min=0, help="Only this partition (shard).")]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events to show."""

    headers: frozenset[bytes]
    instrument_id: str | None

    def form(self, record: StoredRecord) -> dict[str, Any] | None:
        """Return a record that is wanted as JSON; one that cannot be read is wanted unless something was filtered."""
        if self.headers and not is_one_of(record, self.headers):
            return None
        form = form_of(record)
        wanted = self.instrument_id is None or form.get("payload", {}).get("instrument_id") == self.instrument_id
        return form if wanted else None


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        help="The log itself: topics, tail and cat decoded, export and import whole.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("topics")(topics)
    group.command("cat")(cat)
    group.command("tail")(tail)
    group.command("export")(log_copy.export)
    group.command("import")(log_copy.import_copy)
    app.add_typer(group, name="log")


def topics(context: typer.Context, log: LogOption = None, as_json: JsonOption = False) -> None:
    """List the topics with their records per partition."""
    with open_log(load(context, log=log).service.log) as opened:
        rows = [_topic_row(opened, topic.name) for topic in TOPICS]
    heading = ["topic", "writer", "records", "partitions"]
    body = [[row["topic"], row["writer"], str(row["records"]), str(len(row["end_offsets"]))] for row in rows]
    emit(rows, as_json=as_json, human=lambda: table([heading, *body]))


def _topic_row(log: EventLog, name: str) -> dict[str, Any]:
    ends = [log.end_offset(name, partition) for partition in range(_count(log, name))]
    topic = BY_NAME[name]
    types = [event.__name__ for event in topic.events]
    return {"topic": name, "writer": topic.writer, "records": sum(ends), "end_offsets": ends, "types": types}


def _count(log: EventLog, name: str) -> int:
    """Return the partition count of a topic; 0 where the log is older than the topic."""
    try:
        return log.partitions(name)
    except NoTopic:
        return 0


def cat(
    context: typer.Context,
    topic: Topic,
    log: LogOption = None,
    types: Types = None,
    instrument: Instrument = None,
    partition: Partition = None,
    from_offset: Annotated[int, typer.Option("--from-offset", min=0, help="First offset looked at.")] = 0,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Stop after this many lines.")] = None,
    as_json: JsonOption = True,
) -> None:
    """Write a topic as JSON lines, oldest first."""
    wanted = _filter(topic, types, instrument)
    with open_log(load(context, log=log).service.log) as opened:
        left, shown = limit, 0
        for number in _partitions(opened, topic, partition):
            end = opened.end_offset(topic, number)
            for form in _forms(opened, topic, number, from_offset, end, wanted):
                if left == 0:
                    return
                line(form)
                shown += 1
                left = None if left is None else left - 1
    _tell_if_nothing(shown, topic, wanted)


def tail(
    context: typer.Context,
    topic: Topic,
    log: LogOption = None,
    types: Types = None,
    instrument: Instrument = None,
    partition: Partition = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Lines from the end; with --follow, in all.")] = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for new records.")] = False,
    seconds: Annotated[
        float, typer.Option("--for", min=0.0, help="With --follow: stop after so many seconds.")
    ] = FOLLOW_S,
    as_json: JsonOption = True,
) -> None:
    """Write the end of a topic as JSON lines and, with --follow, what comes after it."""
    wanted = _filter(topic, types, instrument)
    with open_log(load(context, log=log).service.log) as opened:
        numbers = _partitions(opened, topic, partition)
        ends = {number: opened.end_offset(topic, number) for number in numbers}
        if follow:
            _follow(opened, topic, ends, wanted, limit, time.monotonic() + seconds)
            return
        found = [form for number in numbers for form in _last(opened, topic, number, ends[number], wanted, limit)]
    for form in found:
        line(form)
    _tell_if_nothing(len(found), topic, wanted)


def _tell_if_nothing(shown: int, topic: str, wanted: Filter) -> None:
    """Say on stderr that nothing was shown because nothing is there: silence may also be a mistyped name."""
    if not shown:
        narrowed = wanted.headers or wanted.instrument_id is not None
        which = f" of {wanted.instrument_id}" if wanted.instrument_id is not None else ""
        note(f"tapeline: {topic}: no record{which}{' matches' if narrowed else ''}")


def _follow(log: EventLog, topic: str, places: dict[int, int], wanted: Filter, limit: int, deadline: float) -> None:
    pause, left = Alarm(), limit
    rules = {number: rule for number, end in places.items() if (rule := rule_at(log, topic, number, end))}
    while left and time.monotonic() < deadline:
        before = dict(places)
        for number, offset in before.items():
            for record in log.read(topic, number, offset, limit=FETCH):
                places[number] = record.offset + 1
                if number in rules and (seq := _seq_of(record)) is not None:
                    rules[number].take(seq)
                form = wanted.form(record)
                if left and form is not None:
                    line(form)
                    left -= 1
        sys.stdout.flush()
        for rule in rules.values():
            rule.alert()
        if places == before:
            pause.wait(POLL_S)


def rule_at(log: EventLog, topic: str, partition: int, end: int, *, clock: Clock = time.monotonic) -> SeqRule | None:
    """Return what tells whether a number is missing from ``end`` on; None for a topic that is not ordered by ``seq``.

    The next number follows the highest of the last records: late repeats may stand behind it.
    """
    if not is_sequenced(log, topic, partition):
        return None
    start = max(0, end - LOOK_BACK)
    records = log.read(topic, partition, start, limit=end - start) if end else ()
    highest = max((seq for record in records if (seq := _seq_of(record)) is not None), default=-1)
    return SeqRule(topic, partition, highest + 1, clock=clock)


def _seq_of(record: StoredRecord) -> int | None:
    try:
        return decode(record.value)[0].seq
    except CodecError:
        return None  # it is shown with its error


def _last(log: EventLog, topic: str, partition: int, end: int, wanted: Filter, limit: int) -> list[dict[str, Any]]:
    """Return the last ``limit`` wanted records before ``end``, oldest first, reading backwards in blocks."""
    found: list[dict[str, Any]] = []
    while end > 0 and len(found) < limit:
        start = max(0, end - FETCH)
        found = [*_forms(log, topic, partition, start, end, wanted), *found]
        end = start
    return found[-limit:]


def _forms(log: EventLog, topic: str, partition: int, start: int, end: int, wanted: Filter) -> Iterator[dict[str, Any]]:
    while start < end:
        records = log.read(topic, partition, start, limit=min(FETCH, end - start))
        if not records:
            return
        for record in records:
            form = wanted.form(record)
            if form is not None:
                yield form
        start = records[-1].offset + 1


def form_of(record: StoredRecord) -> dict[str, Any]:
    """Return a record as JSON: its place, key and event; one that cannot be read with the reason and its bytes."""
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    try:
        return place | {"key": record.key.decode("utf-8", "replace"), **to_json(*decode(record.value))}
    except CodecError as error:
        return place | {"error": str(error), "raw": b64encode(record.value).decode()}


def _filter(topic: str, types: list[str] | None, instrument: str | None) -> Filter:
    if topic not in BY_NAME:
        raise CliError(f"{topic}: no such topic; there are {', '.join(BY_NAME)}")
    known = {event.__name__: event for event in BY_NAME[topic].events}
    for name in types or ():
        if name not in known:
            raise CliError(f"--type {name}: {topic} carries {', '.join(known)}")
    return Filter(headers_of(*(known[name] for name in types or ())), instrument)


def _partitions(log: EventLog, topic: str, partition: int | None) -> list[int]:
    count = log.partitions(topic)
    if partition is not None and partition >= count:
        raise CliError(f"--partition {partition}: {topic} has {count}, counted from 0")
    return list(range(count)) if partition is None else [partition]
