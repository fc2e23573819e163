"""Open a log by its URL: ``sqlite:///path``, ``kafka://host:port``, ``memory://``."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from schemas.topics import TOPICS
from streams.log.base import EventLog, LogError
from streams.log.memory import MemoryLog
from streams.log.sqlite import SqliteLog


def open_log(url: str, *, read_only: bool = False) -> EventLog:
    """Return the log a URL names. ``sqlite:///relative.db`` and ``sqlite:////absolute.db``; ``?sync=full`` fsyncs.

    Raises LogError for a URL of another form, or when the log cannot be opened.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
        sync = parse_qs(parts.query).get("sync", ["normal"])[0]
        return SqliteLog(Path(parts.path[1:]), full_sync=sync == "full", read_only=read_only)
    if parts.scheme == "kafka":
        from streams.log.kafka import KafkaLog  # librdkafka is loaded only where it is used

        return KafkaLog.from_url(url)
    if parts.scheme == "memory":
        return MemoryLog()
    raise LogError(f"{url!r}: a log is sqlite:///PATH, kafka://HOST:PORT or memory://")


def create_log(log: EventLog, *, shards: int = 1) -> None:
    """Create every topic with one partition a shard; a log that has them already is left as it is."""
    log.create_topics({topic.name: shards for topic in TOPICS})
