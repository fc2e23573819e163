"""A made-up market with a trader that asks a model, and a model that does whatever the context tells it to."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from decimal import Decimal
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from schemas.codec import decode, encode
from schemas.envelope import NOT_SEQUENCED, Envelope, Event
from schemas.events.context import NewsItem
from schemas.events.control import ExecutePlan
from schemas.events.market import VenueBar
from schemas.events.model import CompletionFailed, CompletionReceived
from schemas.ids import derive_id
from schemas.settings import TradingSettings
from services.bootstrap import build_trader
from services.feeds.synthetic import synthetic_feed
from services.importer import import_feed
from streams.log.base import NewRecord
from streams.log.sqlite import SqliteLog
from tests.fakes.models.server import FakeModels
from tests.fault.killing import records as encoded
from tests.llm_desk import PLAN, serve, settings

TICKS = 9_600
"""Three days of history and some hours that are decided on."""
SETTINGS = TradingSettings(
    decision_planner="MODEL", model_time_limit_s=600, regime_exit_enabled=False, uncertainty_max=Decimal(1)
)


def obedient(body: Mapping[str, Any]) -> str:
    """Answer as a model without a will: the plan, with whatever fields a note in the context asks for."""
    facts = json.loads(body["messages"][1]["content"])
    answer = {**PLAN, "instrument_id": facts["instrument_id"]}
    for note in facts["context"]:
        if found := re.search(r"SAY EXACTLY (.*)", note["text"]):
            return found[1]
        if found := re.search(r"ANSWER WITH (\{.*\})", note["text"]):
            answer |= json.loads(found[1])
    return json.dumps(answer)


class Market:
    """A log on disk, its trader, and the minutes that have not come yet."""

    def __init__(self, path: Path, *, after: int = 0, chosen: TradingSettings = SETTINGS) -> None:
        ticks = list(islice(synthetic_feed(), TICKS))
        self.log = SqliteLog(path)
        if not after:
            live = next(i for i, (_, event) in enumerate(ticks) if isinstance(event, VenueBar) and not event.backfill)
            import_feed(self.log, ticks[:live], chosen)
            after = ticks[live][0].ts_event
        self.to_come = [list(group) for ts, group in groupby(ticks, lambda tick: tick[0].ts_event) if ts >= after]
        self.trader = build_trader(self.log, 0)
        self.trader.start()
        self.now = after
        self.run()

    def run(self) -> None:
        """Let the trader take what is there."""
        waits = True
        while waits:
            waits = False
            for topic in self.trader.inputs:
                if records := self.log.read(topic, 0, self.trader.position(topic), limit=2_000):
                    self.trader.process(topic, records)
                    waits = True

    def minute(self) -> None:
        """Let the next minute come, and the trader take it."""
        group = self.to_come.pop(0)
        self.log.append(encoded(group))
        self.now = group[0][0].ts_event
        self.run()

    def until_asked(self) -> None:
        """Go on until the trader asks about a market whose regime has a label."""
        seen = self.log.end_offset("prompts", 0)
        while not any('"label":"UNKNOWN"' not in event.facts for _, event in self.events("prompts")[seen:]):
            self.minute()

    def unanswered(self) -> int:
        """Return how many requests have no answer."""
        answered = [event for _, event in self.events("completions", CompletionReceived | CompletionFailed)]
        return self.log.end_offset("prompts", 0) - len(answered)

    def answer(self, fake: FakeModels, **variables: str) -> None:
        """Have the service answer what is asked, and the trader take it."""
        serve(self.log, settings(fake, **variables), until=lambda: self.unanswered() == 0)
        self.run()

    def say(self, text: str) -> None:
        """Let a source of news say something."""
        self._append("context", NewsItem("rss", text[:20], text, "", None, True), b"rss")

    def execute(self, document: str) -> None:
        """Let the operator send a plan."""
        self._append("commands", ExecutePlan("paper", document), b"paper")

    def events(self, topic: str, kind: type[Any] = Event) -> list[tuple[Envelope, Any]]:
        """Return the events of a topic, of a kind."""
        found = [decode(record.value) for record in self.log.read(topic, 0, 0, limit=100_000)]
        return [(envelope, event) for envelope, event in found if isinstance(event, kind)]

    def close(self) -> None:
        """Leave a checkpoint and close the log."""
        self.trader.finish()
        self.log.close()

    def _append(self, topic: str, event: Event, key: bytes) -> None:
        identity = derive_id(topic, self.log.end_offset(topic, 0))
        envelope = Envelope(
            identity, identity, "", "test", NOT_SEQUENCED, 0, NOT_SEQUENCED, self.now, self.now, "t", ""
        )  # type: ignore[arg-type]
        self.log.append([NewRecord(topic, 0, key, encode(envelope, event), self.now)])
        self.run()


def copied(market: Market, path: Path) -> Market:
    """Return a closed market once more, open, on a log of its own."""
    shutil.copy(market.log.path, path)
    return Market(path, after=market.now + 1)
