"""``tapeline adapters`` as an operator meets it: well when its sources are not, and silent about secrets."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from schemas.codec import decode, encode
from schemas.envelope import Event
from schemas.events.context import NewsItem, SourceState, SourceStatus
from schemas.events.market import MarkPrice
from schemas.values import Price
from streams.log import create_log
from streams.log.base import NewRecord
from streams.log.sqlite import SqliteLog
from tests.builders import message
from tests.context_floor import XML, feed
from tests.fakes.sites import Reply, Sites, sites
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
TOKEN = "t0ken-nobody-may-see-4711"


def _environment(site: Sites, log: Path) -> dict[str, str]:
    return {
        **os.environ, "PYTHONPATH": str(ROOT), "TAPELINE_LOG": f"sqlite:///{log}", "TAPELINE_CRYPTOPANIC_TOKEN": TOKEN,
        "TAPELINE_CONTEXT_SOURCES": "rss,cryptopanic,mempool.space", "TAPELINE_CONTEXT_FEEDS": site.url("/rss"),
        "TAPELINE_CONTEXT_URLS": f"cryptopanic={site.url('/posts')},mempool.space={site.url('/fees')}",
        "TAPELINE_CONTEXT_INTERVALS": "rss=86400,cryptopanic=10,mempool.space=10",
    }  # fmt: skip


async def _start(site: Sites, log: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.cli", "--debug", "adapters", *arguments, "--json",
        env=_environment(site, log), cwd=log.parent, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


def _answers(site: Sites) -> None:
    """The feed is well, the fees are down, and CryptoPanic answers with the token in where it points to."""
    site.replies["/rss"] = Reply(feed(("n1", "Exchange reports record inflows", int(time.time()) - 60)), XML)
    site.replies["/posts"] = Reply(status=302, headers={"Location": f"http://example.com/?auth_token={TOKEN}"})


def _live(log: Path) -> None:
    """Put a tick of now on a new log."""
    opened, now = SqliteLog(log), time.time_ns() // 1000
    create_log(opened)
    event = MarkPrice("BTC-USDT-SWAP", Price(Decimal(100)))
    opened.append([NewRecord("ticks", 0, b"x", encode(message(event, ts=now).envelope, event), now)])
    opened.close()


def _context(log: Path) -> list[Event]:
    opened = SqliteLog(log, read_only=True)
    found = [decode(record.value)[1] for record in opened.read("context", 0, 0, limit=1_000)]
    opened.close()
    return found


def _with_sites(scenario: Callable[[Sites], Awaitable[None]]) -> None:
    async def run() -> None:
        async with sites() as site, asyncio.timeout(PATIENCE_S):
            _answers(site)
            await scenario(site)

    asyncio.run(run())


def test_it_stays_well_when_sources_are_down_tells_no_token_and_stops_cleanly(tmp_path: Path) -> None:
    log = tmp_path / "log.db"
    _live(log)

    async def scenario(site: Sites) -> None:
        process = await _start(site, log, "--metrics-port", "0")
        assert process.stderr is not None
        said = b""
        while b"/metrics" not in said:
            said += await process.stderr.readline()
        found = re.search(rb"http://[0-9.:]+/metrics", said)
        assert found is not None
        shown = await _until_told(found[0].decode(), log)
        process.send_signal(signal.SIGTERM)
        out, err = await process.communicate()
        assert process.returncode == 0, err
        assert json.loads(out)["state"] == {"rss:127.0.0.1": "UP", "cryptopanic": "DOWN", "mempool.space": "DOWN"}
        assert any(f"auth_token={TOKEN}" in request for request in site.requests)
        assert site.asked("/rss") == 1, "a source is asked on its schedule and not before"
        for text in (said, out, err, shown.encode(), *(path.read_bytes() for path in tmp_path.iterdir())):
            assert TOKEN.encode() not in text

    _with_sites(scenario)
    events = _context(log)
    assert [event.title for event in events if isinstance(event, NewsItem)] == ["Exchange reports record inflows"]
    last = {event.source: (event.state, event.detail) for event in events if isinstance(event, SourceStatus)}
    assert last["rss:127.0.0.1"] == (SourceState.DOWN, "the adapters were stopped")
    assert "only https is followed" in last["cryptopanic"][1]
    assert "answered 404" in last["mempool.space"][1]


async def _until_told(url: str, log: Path) -> str:
    """Return the metrics once every source has answered and the log has it."""
    async with httpx.AsyncClient() as client:
        while True:
            shown = (await client.get(url)).text
            level = {
                sample.labels["source"]: sample.value
                for family in text_string_to_metric_families(shown)
                for sample in family.samples
                if sample.name == "tapeline_source_state_level"
            }
            told = {event.source for event in _context(log) if isinstance(event, SourceStatus)}
            if level == {"rss:127.0.0.1": 0, "cryptopanic": 2, "mempool.space": 2} and told == level.keys():
                return shown
            await asyncio.sleep(0.05)


def test_check_asks_each_once_shows_what_came_and_writes_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log.db"

    async def scenario(site: Sites) -> None:
        process = await _start(site, log, "check")
        out, err = await process.communicate()
        found = {row["source"]: row for row in json.loads(out)}
        assert process.returncode == 1, "one is down"
        assert {name: row["state"] for name, row in found.items()} == {
            "rss:127.0.0.1": "UP", "cryptopanic": "DOWN", "mempool.space": "DOWN",
        }  # fmt: skip
        assert found["rss:127.0.0.1"]["example"] == "Exchange reports record inflows"
        assert found["mempool.space"]["detail"] == f"{site.url('/fees')} answered 404"
        assert TOKEN.encode() not in out + err
        assert [site.asked(path) for path in ("/rss", "/posts", "/fees")] == [1, 1, 1]
        site.replies["/fees"] = Reply(b'{"fastestFee": 3, "halfHourFee": 1, "hourFee": 1}')
        site.replies["/posts"] = Reply(b'{"results": []}')
        process = await _start(site, log, "check")
        out, _ = await process.communicate()
        assert process.returncode == 0, "stale is not down"
        assert json.loads(out)[1]["detail"] == "no data: the answer holds nothing"

    _with_sites(scenario)
    assert not log.exists()
