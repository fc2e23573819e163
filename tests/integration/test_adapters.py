"""Context beside trading: whatever the sources do, the trader goes on, says what it lacked, and can be proven."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from schemas.codec import decode
from schemas.events.account import TradeClosed
from schemas.events.context import NewsItem, OnchainMetric, SourceState, SourceStatus, TrendPoint
from schemas.events.control import GeneratePlan, Planner
from schemas.events.data import BarClosed
from schemas.events.model import CompletionRequested
from schemas.events.risk import PlanApproved, PlanDenied
from schemas.values import SECOND
from services.adapters.service import run_blocking
from services.metrics.adapters import adapters_registry
from streams.batch import run_batch
from streams.log import create_log
from streams.log.memory import MemoryLog
from streams.pipeline import CODE_VERSION, stages
from streams.verify import verify
from tests.context_floor import ALL, TOKEN, XML, Floor, export, feed, on_floor
from tests.fakes.sites import Reply
from tests.tapes import recorded_ticks
from tests.waiting import PATIENCE_S

UP, STALE, DOWN = SourceState.UP, SourceState.STALE, SourceState.DOWN
WARM = 8_812
"""Ticks of the three days before the first live bar."""
BTC = "BTC-USDT-SWAP"
BOMB = b"<!DOCTYPE rss [<!ENTITY a 'lol'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]><rss><channel><title>&b;</title></channel></rss>"  # noqa: E501

HOSTILE: dict[str, Reply] = {
    "down": Reply(status=503),
    "silent": Reply(hangs=True),
    "huge": Reply(chunks=lambda: itertools.repeat(b" " * 65_536)),
    "a gzip bomb": Reply(gzip.compress(b" " * 20_000_000), headers={"Content-Encoding": "gzip"}),
    "an XML bomb": Reply(BOMB, XML),
    "garbage": Reply(b"\x00\xff\xfe garbage", "application/json"),
    "another page": Reply(b"<html>Just a moment...</html>", "text/html"),
    "in circles": Reply(status=302, headers={"Location": "/round"}),
    "pointing to a file": Reply(status=302, headers={"Location": "file:///etc/passwd"}),
    "pointing into our network": Reply(status=302, headers={"Location": "https://10.0.0.1/"}),
    "no HTTP at all": Reply(raw=b"220 smtp ready\r\n\r\n"),
}


@asynccontextmanager
async def adapters_on(floor: Floor, trends: Path, **environ: str) -> AsyncIterator[Callable[[], None]]:
    """Run the adapters for as long as the block lasts; stop them as an operator does."""
    stopped = asyncio.Event()
    trends.write_text(export(floor.now))
    task = asyncio.create_task(floor.adapters(trends, **environ).run(stopped.is_set))
    try:
        yield stopped.set
    finally:
        stopped.set()
        await task


def proven(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many steps were proven, with every way out of the process shut."""

    def shut(*_: object, **__: object) -> Any:
        raise AssertionError("a proof asks nobody")

    with monkeypatch.context() as patched:
        for name in ("socket", "create_connection", "getaddrinfo"):
            patched.setattr(socket, name, shut)
        report = verify(floor.log, 0, stages(), code_version=CODE_VERSION)
    assert report.proven, report
    return report.steps


def test_trading_goes_on_whatever_the_sources_do_and_says_what_it_lacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trends = tmp_path / "trends.csv"

    async def scenario(floor: Floor) -> None:
        floor.advance(WARM + 40)
        floor.say_well()
        assert floor.missing() == set(), "nobody has said anything of a source yet"
        async with adapters_on(floor, trends):
            await floor.until_all(UP)
            assert floor.missing() == set()
            for name, reply in HOSTILE.items():
                floor.site.everywhere = reply
                trends.write_bytes(b"\x00\xff")
                await floor.until_all(DOWN)
                bars, verdicts = floor.log.end_offset("bars", 0), len(floor.of("verdicts", PlanApproved | PlanDenied))  # type: ignore[arg-type]
                floor.advance(40)
                assert floor.missing() == set(ALL), name
                assert floor.log.end_offset("bars", 0) >= bars + 35, name
                assert len(floor.of("verdicts", PlanApproved | PlanDenied)) > verdicts, name  # type: ignore[arg-type]
                floor.say_well()
                trends.write_text(export(floor.now))
                await floor.until_all(UP)
                assert floor.missing() == set(), name
            _shows_what_happened(floor)
        floor.advance(400)

    floor = on_floor(recorded_ticks(days=3.5, warmup_days=3, skip_days=2), scenario)
    last = {event.source: event.detail for event in floor.of("context", SourceStatus)}
    assert last == dict.fromkeys(ALL, "the adapters were stopped")
    assert floor.missing() == set(ALL)
    assert len(floor.of("accounts", TradeClosed)) >= 2, "trades were opened and closed meanwhile"
    context = floor.log.end_offset("context", 0)
    records = floor.log.read("context", 0, 0, limit=100_000)
    assert len({decode(record.value)[0].event_id for record in records}) == context, "every event has an id of its own"
    assert context > 2 * len(ALL) * len(HOSTILE)
    assert proven(floor, monkeypatch) > WARM + 40 * len(HOSTILE) + context


def _shows_what_happened(floor: Floor) -> None:
    """The kinds of failure are in the metrics, none of what was sent is in them or on the log."""
    counts = floor.counters
    for kind in ("STATUS", "TIMEOUT", "TOO_LARGE", "WRONG_TYPE", "REDIRECT", "FORBIDDEN", "UNREACHABLE"):
        assert counts.failures["mempool.space", kind] > 0, kind
    assert counts.failures["rss:127.0.0.1", "GARBAGE"] > 0, "the XML bomb"
    assert counts.failures["google-trends", "GARBAGE"] > 0
    registry = adapters_registry(counts)
    label = {"source": "fear-greed"}
    assert registry.get_sample_value("tapeline_source_state_level", label) == 0
    assert registry.get_sample_value("tapeline_source_last_ok_timestamp_seconds", label) == pytest.approx(
        floor.now / SECOND, abs=3_600
    )
    assert (registry.get_sample_value("tapeline_source_items_total", label) or 0) > 2 * len(HOSTILE)
    assert any(TOKEN in request for request in floor.site.requests), "the token was sent to its source"
    shown = generate_latest(registry).decode() + repr(floor.of("context", SourceStatus))
    everything = b"".join(record.value for record in floor.log.read("context", 0, 0, limit=100_000))
    assert TOKEN not in shown
    assert TOKEN.encode() not in everything
    assert b"lollol" not in everything


def facts(floor: Floor) -> dict[str, dict[str, Any]]:
    """Return what a model would be told of the context now, by text."""
    (asked,) = floor.ask(GeneratePlan("paper", BTC, Planner.LLM))
    assert isinstance(asked, CompletionRequested), asked
    return {note["text"]: note for note in json.loads(asked.facts)["context"]}


def test_what_was_published_earlier_is_known_from_when_we_had_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(floor: Floor) -> None:
        floor.advance(WARM + 40)
        floor.say_well()
        early = floor.now // SECOND - 3_000
        async with adapters_on(floor, tmp_path / "trends.csv"):
            await floor.until_all(UP)
            floor.advance(60)
            assert "late but true" not in facts(floor)
            had = floor.now
            floor.site.replies["/rss"] = Reply(
                feed(
                    ("late", "late but true", early), ("old", "from last week", early - 7 * 86_400),
                    ("soon", "from tomorrow", early + 90_000),
                ).replace(b"</feed>", b"<entry><id>u</id><title>undated</title></entry></feed>"), XML,
            )  # fmt: skip
            floor.site.replies["/fees"] = Reply(b'{"fastestFee": -12, "halfHourFee": 9, "hourFee": 6}')
            await floor.until(lambda: len(floor.of("context", NewsItem)) == 6, "four more headlines")
            await floor.until(lambda: any(e.anomaly for e in floor.of("context", OnchainMetric)), "a set-aside fee")
            known = facts(floor)
        assert (known["late but true"]["ts_event"] >= had, early * SECOND < had) == (True, True)
        timely = {event.title: event.timely for event in floor.of("context", NewsItem)}
        assert timely == {
            "Exchange reports record inflows": True, "Whale wakes": True, "late but true": True,
            "from last week": False, "from tomorrow": False, "undated": False,
        }  # fmt: skip
        assert {"from last week", "from tomorrow", "undated"} & known.keys() == set()
        fees = [(e.value, e.anomaly) for e in floor.of("context", OnchainMetric) if e.name == "fastest_fee"]
        assert fees == [(Decimal(12), ""), (Decimal(-12), "below 0")]
        assert "fastest_fee: 12 sat/vB" in known, "the last one that can be"
        assert "fastest_fee: -12 sat/vB" not in known
        assert "search interest in bitcoin: 74 of 100" in known
        assert [(p.value, p.partial) for p in floor.of("context", TrendPoint)] == [(Decimal(74), False)]

    floor = on_floor(recorded_ticks(days=3.2, warmup_days=3), scenario)
    assert floor.of("bars", BarClosed)
    _nothing_is_known_before_it_was_written(floor)
    assert proven(floor, monkeypatch) > WARM


def _nothing_is_known_before_it_was_written(floor: Floor) -> None:
    """Every note a model was told is an event of the log that was written before the question, never after it."""
    written = {}
    for record in floor.log.read("context", 0, 0, limit=100_000):
        envelope, _ = decode(record.value)
        written[envelope.event_id] = envelope.ts_event
    told = 0
    for record in floor.log.read("prompts", 0, 0, limit=1_000):
        envelope, asked = decode(record.value)
        assert isinstance(asked, CompletionRequested)
        for note in json.loads(asked.facts)["context"]:
            assert written[note["event_id"]] == note["ts_event"] <= envelope.ts_event
            told += 1
    assert told > 10


def test_names_that_nobody_answers_for_hold_up_no_other_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released, asked = threading.Event(), socket.getaddrinfo

    def lookup(host: str, *arguments: Any, **more: Any) -> Any:
        if host.endswith(".invalid"):
            released.wait(PATIENCE_S)
            raise OSError("no such name")
        return asked(host, *arguments, **more)

    async def scenario(floor: Floor) -> None:
        floor.advance(40)
        floor.say_well()
        monkeypatch.setattr(socket, "getaddrinfo", lookup)
        dead = ",".join(f"https://{number}.invalid/" for number in range(20))
        async with adapters_on(floor, tmp_path / "trends.csv", TAPELINE_CONTEXT_FEEDS=dead):
            await floor.until(lambda: floor.states().get("mempool.space") is UP, "the others being asked")
            await floor.until(lambda: floor.states().get("rss:19.invalid") is DOWN, "a name being given up")
            assert floor.states()["fear-greed"] is UP
            released.set()

    on_floor(recorded_ticks(days=0.1), scenario)


def test_fees_that_a_cache_has_kept_too_long_are_stale_and_told_to_nobody(tmp_path: Path) -> None:
    async def scenario(floor: Floor) -> None:
        floor.advance(40)
        floor.say_well()
        fees = floor.site.replies["/fees"]
        async with adapters_on(floor, tmp_path / "trends.csv"):
            await floor.until_all(UP)
            fees.headers["Age"] = "899"
            await floor.until(lambda: len(_fees(floor)) > 3, "fees of then")
            assert (floor.states()["mempool.space"], floor.missing()) == (UP, set())
            fees.headers["Age"] = "901"
            await floor.until(lambda: floor.states()["mempool.space"] is STALE, "fees too old")
            assert floor.missing() == {"mempool.space"}
            del fees.headers["Age"]
            await floor.until(lambda: floor.states()["mempool.space"] is UP, "fees of now")
            assert floor.missing() == set()

    floor = on_floor(recorded_ticks(days=0.1), scenario)
    (stale,) = [event for event in floor.of("context", SourceStatus) if event.state is STALE]
    assert stale.detail.endswith("; 15 min are allowed"), stale
    assert {fee.anomaly[:20] for fee in _fees(floor)} == {"", "older than 15 min: o"}


def _fees(floor: Floor) -> list[OnchainMetric]:
    return [event for event in floor.of("context", OnchainMetric) if event.source == "mempool.space"]


def test_the_log_says_how_many_shards_there_are_and_a_new_one_is_told() -> None:
    for made, told, found in ((2, 1, 2), (0, 3, 3)):
        log = MemoryLog()
        if made:
            create_log(log, shards=made)
        run_blocking(log, (), shards=told, stopped=lambda: True)
        assert log.partitions("context") == found


def test_a_restart_repeats_nothing_and_a_source_switched_off_is_down(tmp_path: Path) -> None:
    trends = tmp_path / "trends.csv"

    async def scenario(floor: Floor) -> None:
        floor.advance(40)
        floor.say_well()
        async with adapters_on(floor, trends):
            await floor.until_all(UP)
        items = floor.of("context", NewsItem) + floor.of("context", OnchainMetric)
        floor.now += SECOND
        stopped = asyncio.Event()
        again = floor.adapters(trends, TAPELINE_CONTEXT_SOURCES="rss,mempool.space,cryptopanic")
        task = asyncio.create_task(again.run(stopped.is_set))
        asked = floor.site.asked("/fees")
        await floor.until(lambda: floor.states().get("mempool.space") is UP, "the source is back")
        await floor.until(lambda: floor.site.asked("/fees") > asked + 3, "more questions")
        stopped.set()
        await task
        assert floor.of("context", NewsItem) + floor.of("context", OnchainMetric) == items
        run_batch(floor.log, floor.trader)

    floor = on_floor(recorded_ticks(days=0.1), scenario)
    statuses = [event for event in floor.of("context", SourceStatus) if event.source == "mempool.space"]
    assert [event.state for event in statuses] == [UP, DOWN, UP, DOWN]
    assert statuses[1].ts_last_ok == statuses[0].ts_last_ok, "when it was last well, not when it was stopped"
