"""What a desk knows of its orders, kept aside so that a start need not read the log from its beginning.

A cache: losing or tearing it costs time only (kernel, sections 7 and 8). It is used if its digest fits, the same code
wrote it for this account and shard, and the records before its two places are those on this log; else the log is read
whole.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from pydantic import TypeAdapter

from schemas.topics import REPORTS
from services.gateways.okx.desk import OrderDesk
from services.gateways.okx.owner import ORDERS
from services.gateways.okx.tracked import Orders, Pace
from streams.log.base import EventLog

BYTES_MAX = 64 * 1024 * 1024
"""A file larger than this is not ours: the newest 5,000 orders and 20,000 trades are a tenth of it."""
_log = structlog.get_logger("tapeline.gateway.okx.trading")


@dataclass(slots=True)
class Mark:
    """A place in a topic: the offset that is read next, and what the record before it was."""

    offset: int
    before: str


@dataclass(slots=True)
class Kept:
    """A desk's orders as they were at two places of its log. ``seq``: the number the next intent has."""

    code_version: str
    account_id: str
    venue_account: str
    shard: int
    reports: Mark
    intents: Mark
    seq: int
    ts_begun: int
    snapshots: tuple[int, int]
    orders: Orders


_KEPT = TypeAdapter(Kept)


def remember(desk: OrderDesk) -> bytes:
    """Return what ``recall`` puts back; of a desk that is open, at any moment between its actions."""
    reports, intents = desk.reports, desk.intents
    kept = Kept(
        code_version=reports.owner.code_version,
        account_id=reports.owner.account_id,
        venue_account=reports.owner.venue_account,
        shard=reports.shard,
        reports=_mark(reports.log, REPORTS, reports.shard, reports.next_offset),
        intents=_mark(reports.log, ORDERS, reports.shard, intents.offset),
        seq=intents.seq,
        ts_begun=reports.ts_begun,
        snapshots=reports.snapshots,
        orders=desk.orders,
    )
    content = _KEPT.dump_json(kept)
    return sha256(content).hexdigest().encode() + b"\n" + content


def recall(desk: OrderDesk, data: bytes) -> str:
    """Put a desk that is not open yet where ``remember`` left one; return why not, empty where it did."""
    digest, _, content = data.partition(b"\n")
    if sha256(content).hexdigest().encode() != digest:
        return "it is torn"
    try:
        kept = _KEPT.validate_json(content)
    except ValueError as error:
        return f"it cannot be read: {' '.join(str(error).split())[:200]}"
    reports = desk.reports
    owner = (reports.owner.code_version, reports.owner.account_id, reports.owner.venue_account, reports.shard)
    if (kept.code_version, kept.account_id, kept.venue_account, kept.shard) != owner:
        return "another version of the code, account or shard wrote it"
    for topic, mark in ((REPORTS, kept.reports), (ORDERS, kept.intents)):
        if _mark(reports.log, topic, reports.shard, mark.offset) != mark:
            return f"it is of another log: {topic} has another record before offset {mark.offset}"
    for order in kept.orders.orders.values():
        order.pace = Pace()  # what a process remembers ends with it
    for each in fields(Orders):
        setattr(desk.orders, each.name, getattr(kept.orders, each.name))
    reports.resume(kept.reports.offset, ts_begun=kept.ts_begun, snapshots=kept.snapshots)
    desk.intents.offset, desk.intents.seq = kept.intents.offset, kept.seq
    desk.intents.look_back()
    return ""


def _mark(log: EventLog, topic: str, shard: int, offset: int) -> Mark:
    records = log.read(topic, shard, offset - 1, limit=1) if offset else ()
    found = records and records[0].offset == offset - 1
    return Mark(offset, sha256(records[0].value).hexdigest() if found else "")


class MemoryFile:
    """Where one shard's memory is kept. Nothing here raises: without a file, a start takes longer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failed = False

    @classmethod
    def beside(cls, log_url: str, shard: int) -> MemoryFile | None:
        """Return the one of a log: beside a SQLite file, else in ``var`` under a name of the log's own."""
        parts = urlsplit(log_url)
        if parts.scheme == "memory":
            return None  # it ends with the process
        if parts.scheme == "sqlite":
            return cls(Path(f"{parts.path[1:]}.okx-{shard}.memory"))
        return cls(Path("var") / f"okx-{shard}-{sha256(log_url.encode()).hexdigest()[:12]}.memory")

    def load(self) -> bytes | None:
        """Return what was saved last; None: nothing, or nothing of a size that could be ours."""
        try:
            return self._path.read_bytes() if 0 < self._path.stat().st_size <= BYTES_MAX else None
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("memory not read", path=str(self._path), detail=str(error))
            return None

    def save(self, data: bytes) -> None:
        """Put new content in place of the old, whole or not at all."""
        beside = self._path.with_name(self._path.name + ".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(data)
            os.replace(beside, self._path)
            self._failed = False
        except OSError as error:
            if not self._failed:
                path, detail = str(self._path), str(error)
                _log.warning("memory not saved: the next start reads the log whole", path=path, detail=detail)
            self._failed = True
