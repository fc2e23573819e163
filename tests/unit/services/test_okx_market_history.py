"""What was missed is fetched page by page: recent candles first, then history; settlements by what was paid."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from ccxt.base.errors import BadSymbol, ExchangeNotAvailable

from schemas.events.common import MarginMode
from schemas.events.market import FundingSettled, VenueBar
from schemas.values import Rate
from services.feeds.instruments import shipped_instruments
from services.gateways.okx.market.counters import MarketCounters
from services.gateways.okx.market.errors import VenueRefused, VenueUnreachable
from services.gateways.okx.market.history import missing_bars, missing_settlements
from services.gateways.okx.market.ledger import Hole
from services.gateways.okx.market.rest import PublicApi
from services.gateways.okx.pace import Pace
from tests.okx_market import BTC, MINUTE, NOW, SPOT, Desk, T, candle

Answer = Callable[[dict[str, str]], Any]
RECENT = 1_440


class Exchange:
    """Stands where ccxt's object does: 1m candles up to T, recent ones of a day, older ones by the hundred."""

    def __init__(self, *, first: int = -10_000, missing: range = range(0)) -> None:
        self.first = first
        self.missing = missing
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answers: dict[str, list[Any]] = {}

    def __getattr__(self, method: str) -> Callable[[dict[str, str]], Any]:
        if not method.startswith("public_get_"):
            raise AttributeError(method)

        async def call(parameters: dict[str, str]) -> Any:
            self.asked.append((method.removeprefix("public_get_"), parameters))
            planned = self.answers.get(method.removeprefix("public_get_"))
            if not planned:
                return {"code": "0", "data": self._candles(method, parameters)}
            answer = planned.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call

    def _candles(self, method: str, parameters: dict[str, str]) -> list[list[str]]:
        before = (int(parameters["after"]) - T) // 60_000
        size, oldest = (100, self.first) if "history" in method else (300, max(self.first, -RECENT))
        found = [minute for minute in range(before - 1, oldest - 1, -1) if minute not in self.missing]
        return [candle(minute) for minute in found[:size]]


def fetch(exchange: Exchange, first: int, end: int = 0) -> list[VenueBar]:
    """Fetch the bars that open in [first, end) minutes after T."""
    hole = Hole(BTC, NOW + first * MINUTE, NOW + end * MINUTE)
    found = asyncio.run(missing_bars(api(exchange), Desk().translator.parser, hole, NOW))
    return [parsed.event for parsed in found if isinstance(parsed.event, VenueBar)]


def api(exchange: Exchange) -> PublicApi:
    async def no_pause(_seconds: float) -> None:
        return None

    return PublicApi(exchange, MarketCounters(), pace=Pace({}), pause=no_pause, chance=lambda: 0.5)


def minutes(bars: list[VenueBar]) -> list[int]:
    return [(bar.ts_open - NOW) // MINUTE for bar in bars]


def test_a_short_hole_is_one_request_of_the_recent_ones() -> None:
    exchange = Exchange()
    assert minutes(fetch(exchange, -5)) == [-5, -4, -3, -2, -1]
    assert [name for name, _ in exchange.asked] == ["market_candles"]


def test_three_days_are_every_bar_once_oldest_first_marked_as_backfill() -> None:
    exchange = Exchange()
    bars = fetch(exchange, -4_320)
    assert minutes(bars) == list(range(-4_320, 0))
    assert all(bar.backfill for bar in bars)
    names = [name for name, _ in exchange.asked]
    assert names.count("market_candles") == 6  # 5 x 300 cover the day, the sixth finds nothing older
    assert names.count("market_history_candles") == 29  # (4320 - 1440) / 100


def test_a_venue_that_begins_later_gives_what_it_has() -> None:
    exchange = Exchange(first=-200)
    assert minutes(fetch(exchange, -4_320)) == list(range(-200, 0))
    assert len(exchange.asked) == 3  # one page, nothing older there, nothing older in history


def test_bars_the_venue_does_not_have_stay_missing() -> None:
    exchange = Exchange(missing=range(-8, -4))
    assert minutes(fetch(exchange, -10)) == [-10, -9, -4, -3, -2, -1]


def test_the_running_bar_is_not_taken_for_a_closed_one() -> None:
    exchange = Exchange()
    rows = [candle(-1, confirm="0"), candle(-2)]
    exchange.answers["market_candles"] = [{"code": "0", "data": rows}]
    assert minutes(fetch(exchange, -2)) == [-2]


@pytest.mark.parametrize("row", [["x"], [], {}, [str(T), "1", "2", "3", "4", "5", "6", "7", "1"]])
def test_a_candle_of_an_unknown_form_is_said(row: Any) -> None:
    exchange = Exchange()
    exchange.answers["market_candles"] = [{"code": "0", "data": [row]}]
    with pytest.raises(VenueUnreachable, match="a candle of BTC-USDT-SWAP in an unknown form"):
        fetch(exchange, -5)


def test_requests_are_tried_again_while_the_network_fails_and_no_further() -> None:
    exchange = Exchange()
    exchange.answers["market_candles"] = [ExchangeNotAvailable("503"), ExchangeNotAvailable("503")]
    assert len(fetch(exchange, -5)) == 5
    assert len(exchange.asked) == 3
    exchange.answers["market_candles"] = [ExchangeNotAvailable("503")] * 9
    with pytest.raises(VenueUnreachable, match="public_get_market_candles failed 5 times: ExchangeNotAvailable: 503"):
        fetch(exchange, -5)


def test_a_refusal_and_an_answer_that_is_none_are_said_at_once() -> None:
    exchange = Exchange()
    exchange.answers["market_candles"] = [BadSymbol("51001")]
    with pytest.raises(VenueRefused, match=r"OKX refuses public_get_market_candles .*BadSymbol: 51001"):
        fetch(exchange, -5)
    exchange.answers["market_candles"] = ["<html>"]
    with pytest.raises(VenueUnreachable, match="answered in an unknown form"):
        fetch(exchange, -5)


def test_settlements_after_a_moment_by_what_was_paid_oldest_first() -> None:
    exchange = Exchange()
    rows = [
        {"fundingTime": str(T + hour * 3_600_000), "fundingRate": "0.0009", "realizedRate": rate}
        for hour, rate in ((0, "0.0003"), (-8, "-4.1e-05"), (-16, "0.0001"))
    ]
    exchange.answers["public_funding_rate_history"] = [{"code": "0", "data": rows}]
    found = asyncio.run(missing_settlements(api(exchange), BTC, NOW - 16 * 60 * MINUTE, NOW))
    settled = [parsed.event for parsed in found if isinstance(parsed.event, FundingSettled)]
    assert [event.funding_rate for event in settled] == [Rate(Decimal("-0.000041")), Rate(Decimal("0.0003"))]
    assert [parsed.ts_event for parsed in found] == [NOW - 8 * 60 * MINUTE, NOW]


def test_tiers_are_asked_for_each_margin_mode_and_not_for_spot() -> None:
    row = {"tier": "1", "maxSz": "1000", "mmr": "0.004", "maxLever": "100"}
    exchange = Exchange()
    exchange.answers["public_position_tiers"] = [{"code": "0", "data": [row]}, {"code": "0", "data": [row]}]
    table = shipped_instruments()
    found = asyncio.run(api(exchange).with_tiers(table[BTC]))
    assert [(tier.margin_mode, tier.mmr) for tier in found.tiers] == [
        (MarginMode.CROSS, Decimal("0.004")), (MarginMode.ISOLATED, Decimal("0.004")),
    ]  # fmt: skip
    assert {parameters["tdMode"] for _, parameters in exchange.asked} == {"isolated", "cross"}
    assert asyncio.run(api(exchange).with_tiers(table[SPOT])) == table[SPOT]
    assert len(exchange.asked) == 2
