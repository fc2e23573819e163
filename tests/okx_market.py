"""The market gateway's pure parts, put together as the gateway does, for tests that feed frames by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from schemas.envelope import Event
from schemas.timeframes import TIMEFRAMES
from services.feeds.instruments import shipped_instruments
from services.feeds.model import Parsed, Run
from services.gateways.okx.market.board import ChannelBoard
from services.gateways.okx.market.counters import MarketCounters
from services.gateways.okx.market.ledger import BarLedger, TradeLedger
from services.gateways.okx.market.subscriptions import Subscription, parse_channels, plan_subscriptions
from services.gateways.okx.market.translate import Action, Translator

BTC = "BTC-USDT-SWAP"
SPOT = "BTC-USDT"
T = 1_742_400_000_000
"""2025-03-19 16:00 UTC in milliseconds."""
NOW = T * 1000
MINUTE = TIMEFRAMES["1m"]
ALL = "trades,quotes,book,mark,index,funding,bars"


def frame(channel: str, *rows: Any, instrument_id: str = BTC, **more: Any) -> str:
    """Return a data message as the venue writes it."""
    return json.dumps({"arg": {"channel": channel, "instId": instrument_id}, **more, "data": list(rows)})


def book(bids: Sequence[tuple[str, str]], asks: Sequence[tuple[str, str]], *, prev: int, seq: int, ms: int = 0) -> Any:
    """Return one row of ``books``; ``ms``: milliseconds after T."""
    sides = {"bids": [[*row, "0", "1"] for row in bids], "asks": [[*row, "0", "1"] for row in asks]}
    return {**sides, "ts": str(T + ms), "checksum": 0, "prevSeqId": prev, "seqId": seq}


def candle(minute: int, *, close: str = "101", confirm: str = "1") -> list[str]:
    """Return one row of ``candle1m`` that opens ``minute`` minutes after T."""
    return [str(T + 60_000 * minute), "100", "102", "99", close, "700", "7", "700", confirm]


class Desk:
    """A translator with its board and ledgers, for the named channels of instruments of the shipped table."""

    def __init__(self, channels: str = ALL, instruments: Sequence[str] = (BTC,), *, warmup_minutes: int = 60) -> None:
        table = shipped_instruments()
        self.run = Run({name: table[name] for name in instruments}, "test")
        self.subscriptions = plan_subscriptions(self.run.instruments.values(), parse_channels(channels))
        self.board = ChannelBoard()
        self.bars = BarLedger(warmup_minutes * MINUTE)
        self.counters = MarketCounters()
        self.translator = Translator(
            self.run, self.subscriptions, indexed={SPOT: (BTC,)}, board=self.board, bars=self.bars,
            trades=TradeLedger(), counters=self.counters,
        )  # fmt: skip

    def subscription(self, channel: str, name: str = BTC) -> Subscription:
        """Return the subscription of a channel as the venue names it."""
        return next(each for each in self.subscriptions if each.key == (channel, name))

    def read(self, text: str) -> tuple[list[Parsed], list[Action]]:
        """Read one frame, received 4 ms after T."""
        return self.translator.read(text, NOW + 4_000, NOW + 4_000)

    def ticks(self, text: str) -> list[Event]:
        """Return the events of one frame."""
        return [parsed.event for parsed in self.read(text)[0]]

    def actions(self, text: str) -> list[Action]:
        """Return what one frame asks for."""
        return self.read(text)[1]
