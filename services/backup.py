"""Copy a whole log into files and back: ``tapeline log export`` and ``tapeline log import``.

A folder holds one file per topic partition and ``manifest.json``, written last: without it the copy is not whole.
A copy may be taken while the trader runs: outputs are cut off first, then the journal, then the inputs, so that what
was published was committed, and what was committed rests on inputs that are in the copy. The database is not in it: it
is a function of the log, and ``tapeline replay rebuild`` makes it again.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from struct import Struct
from struct import error as StructError
from typing import Any
from zlib import error as ZlibError

from schemas.codec import CodecError, decode
from schemas.topics import CHECKPOINTS, JOURNAL, TOPICS
from streams.log import create_log
from streams.log.base import EventLog, NewRecord, NoTopic, StoredRecord
from streams.venues import is_sequenced

MANIFEST = "manifest.json"
FORMAT = 1
READ = 5_000
APPEND_BYTES = 4 * 1024 * 1024
_HEAD = Struct(">QII")
"""Before each record: offset, length of the key, length of the value."""

Progress = Callable[[str, int], None]
"""Called with a topic and how many records of it are done."""


class BackupError(Exception):
    """A copy cannot be made or used; names the file and what is wrong with it."""


def export_log(log: EventLog, folder: Path, *, progress: Progress | None = None) -> dict[str, int]:
    """Copy every topic into ``folder``, which must be new or empty; return records by topic. Raises BackupError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BackupError(f"{folder}: is not an empty folder; a copy is written into a new one")
    folder.mkdir(parents=True, exist_ok=True)
    ends = _ends(log)
    files = [_export(log, folder, topic, shard, end, progress) for (topic, shard), end in ends.items()]
    shards = 1 + max((shard for _, shard in ends), default=0)
    manifest = {"format": FORMAT, "shards": shards, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return _totals(files)


def import_log(log: EventLog, folder: Path, *, progress: Progress | None = None) -> dict[str, int]:
    """Write a copy into an empty log, every record at its old offset; return records by topic.

    All files are checked against the manifest first. Raises BackupError, LogError.
    """
    manifest = _manifest(folder)
    for entry in manifest["files"]:
        _check(folder, entry)
    create_log(log, shards=int(manifest["shards"]))
    for (topic, shard), end in _ends(log).items():
        if end:
            raise BackupError(f"the log holds {end} records of {topic}/{shard}: a copy goes into an empty log only")
    for entry in manifest["files"]:
        _import(log, folder, entry, progress)
    return _totals(manifest["files"])


def _ends(log: EventLog) -> dict[tuple[str, int], int]:
    """Return where each partition is cut off, in the order that keeps the copy whole."""
    groups: dict[str, list[tuple[str, int]]] = {CHECKPOINTS: [], "outputs": [], JOURNAL: [], "inputs": []}
    for topic in TOPICS:
        try:
            shards = log.partitions(topic.name)
        except NoTopic:
            continue  # the log is older than the topic
        for shard in range(shards):
            groups[_group(log, topic.name, shard)].append((topic.name, shard))
    return {place: log.end_offset(*place) for places in groups.values() for place in places}


def _group(log: EventLog, topic: str, shard: int) -> str:
    """Return when a partition is cut off; the reports of a gateway are an input of the shard's trader."""
    if topic in (CHECKPOINTS, JOURNAL):
        return topic
    return "outputs" if is_sequenced(log, topic, shard) else "inputs"


def _export(log: EventLog, folder: Path, topic: str, shard: int, end: int, progress: Progress | None) -> dict[str, Any]:
    name, digest, offset = f"{topic}-{shard}.gz", sha256(), 0
    with gzip.GzipFile(folder / name, "wb", compresslevel=1, mtime=0) as file:
        while offset < end:
            records = log.read(topic, shard, offset, limit=min(READ, end - offset))
            if not records:
                raise BackupError(f"{topic}/{shard}: offset {offset} cannot be read, but {end} were there")
            for record in records:
                packed = _HEAD.pack(record.offset, len(record.key), len(record.value)) + record.key + record.value
                digest.update(packed)
                file.write(packed)
            offset = records[-1].offset + 1
            if progress:
                progress(topic, offset)
    return {"file": name, "topic": topic, "shard": shard, "records": end, "sha256": digest.hexdigest()}


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise BackupError(f"{path}: is not there; the folder is no copy of a log, or the copy was broken off")
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{path}: is not a manifest of ours: {error}") from error
    if version != FORMAT:
        raise BackupError(f"{path}: format {version}, this version reads {FORMAT}")
    return manifest


def _check(folder: Path, entry: dict[str, Any]) -> None:
    digest, count, path = sha256(), 0, folder / entry["file"]
    for record, packed in _records(path, entry):
        if record.offset != count:
            raise BackupError(f"{path}: offset {record.offset} where {count} is next: records are missing")
        digest.update(packed)
        count += 1
    if (count, digest.hexdigest()) != (entry["records"], entry["sha256"]):
        raise BackupError(f"{path}: is not what the manifest says ({count} records); the copy is damaged")


def _import(log: EventLog, folder: Path, entry: dict[str, Any], progress: Progress | None) -> None:
    batch: list[NewRecord] = []
    size, done = 0, 0
    for record, packed in _records(folder / entry["file"], entry):
        batch.append(_new(record))
        size += len(packed)
        if len(batch) >= READ or size >= APPEND_BYTES:
            done = _append(log, batch, done)
            batch, size = [], 0
            if progress:
                progress(entry["topic"], done)
    _append(log, batch, done)


def _append(log: EventLog, batch: list[NewRecord], done: int) -> int:
    offsets = log.append(batch) if batch else []
    if offsets != list(range(done, done + len(batch))):
        place = f"{batch[0].topic}/{batch[0].partition}"
        raise BackupError(f"{place}: records landed at {offsets[:1]}, not at {done}: somebody else writes to this log")
    return done + len(batch)


def _new(record: StoredRecord) -> NewRecord:
    try:
        ts_event = int(decode(record.value)[0].ts_event)
    except CodecError:
        ts_event = 0  # an unreadable input stays what it is
    return NewRecord(record.topic, record.partition, record.key, record.value, ts_event)


def _records(path: Path, entry: dict[str, Any]) -> Iterator[tuple[StoredRecord, bytes]]:
    """Yield the records of a file with their packed bytes. Raises BackupError where it is damaged."""
    try:
        with gzip.open(path, "rb") as file:
            while head := file.read(_HEAD.size):
                offset, key_size, value_size = _HEAD.unpack(head)
                body = _exactly(file, key_size + value_size)
                key, value = body[:key_size], body[key_size:]
                yield StoredRecord(entry["topic"], entry["shard"], offset, key, value), head + body
    except (OSError, EOFError, StructError, ZlibError) as error:
        raise BackupError(f"{path}: cannot be read: {error}; the copy is damaged") from error


def _exactly(file: gzip.GzipFile, size: int) -> bytes:
    body = file.read(size)
    if len(body) != size:
        raise EOFError("ends in the middle of a record")
    return body


def _totals(files: list[dict[str, Any]]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for entry in files:
        totals[entry["topic"]] = totals.get(entry["topic"], 0) + int(entry["records"])
    return totals
