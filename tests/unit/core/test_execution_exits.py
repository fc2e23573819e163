"""Exits that no order of the trade brings about: the market's label, the quality of its data, and a halt in between."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from schemas.events.common import (
    EntryEnd,
    ExitReason,
    OrderPurpose,
    PlanOrigin,
    PositionSide,
    Quality,
    Regime,
    TradingState,
)
from schemas.events.data import QualityChanged
from schemas.events.intelligence import RegimeClassified
from schemas.events.orders import EntryEnded, FillBooked, OrderIntended
from schemas.events.risk import TradingStateChanged
from schemas.values import SECOND, Micros, Rate
from tests.builders import settings_changed
from tests.rig import Rig, approved, limit

BTC = "BTC-USDT-SWAP"
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
QUIET = "80000/80100/79900/80000"


def label(
    now: Regime,
    before: Regime = Regime.RANGE,
    *,
    timeframe: str = "15m",
    backfill: bool = False,
    instrument_id: str = BTC,
) -> RegimeClassified:
    """The market's label after one more bar."""
    nothing = Rate(Decimal(0))
    return RegimeClassified(
        instrument_id, timeframe, now, before, (), nothing, "RULES", 300, "features", backfill=backfill
    )


def quality(now: Quality, before: Quality = Quality.GOOD, instrument_id: str = BTC) -> QualityChanged:
    return QualityChanged(instrument_id, now, before, ())


def exits(rig: Rig) -> list[ExitReason | None]:
    return [order.exit_reason for order in rig.of(OrderIntended) if order.purpose is OrderPurpose.EXIT]


def holding(
    side: PositionSide = LONG,
    origin: PlanOrigin = PlanOrigin.RULES,
    *,
    max_holding_s: int | None = None,
    **settings: object,
) -> Rig:
    """A trade of ten contracts entered at market on a quiet bar, its stop far away."""
    rig = Rig(**settings)
    stop = "70000" if side is LONG else "90000"
    plan = approved(side=side, stop=stop, targets=[("85000" if side is LONG else "75000", "1")])
    rig.feed(replace(plan, origin=origin, max_holding_s=max_holding_s))
    rig.bar(QUIET)
    return rig


@pytest.mark.parametrize("origin", [PlanOrigin.RULES, PlanOrigin.MODEL])
@pytest.mark.parametrize(("side", "against"), [(LONG, Regime.TREND_DOWN), (SHORT, Regime.TREND_UP)])
def test_a_label_that_turns_against_the_trade_closes_it_at_market(
    side: PositionSide, against: Regime, origin: PlanOrigin
) -> None:
    rig = holding(side, origin)
    rig.feed(label(against))
    assert exits(rig) == [ExitReason.REGIME]
    rig.bar(QUIET)
    fill = rig.of(FillBooked)[-1]
    assert (fill.exit_reason, fill.last_quantity, rig.held()) == (ExitReason.REGIME, 10, 0)
    assert rig.state("venue").books[BTC].orders == {}


@pytest.mark.parametrize("side", [LONG, SHORT])
@pytest.mark.parametrize("turned", [Regime.RANGE, Regime.VOLATILE, Regime.UNKNOWN])
def test_a_label_that_is_not_against_the_trade_leaves_it(side: PositionSide, turned: Regime) -> None:
    rig = holding(side)
    rig.feed(label(turned, Regime.TREND_UP))
    rig.feed(label(Regime.TREND_UP if side is LONG else Regime.TREND_DOWN, turned))
    assert exits(rig) == []


def test_an_operators_trade_is_the_operators() -> None:
    rig = holding(origin=PlanOrigin.OPERATOR)
    rig.feed(label(Regime.TREND_DOWN))
    rig.bar(QUIET)
    assert (exits(rig), rig.held()) == ([], 10)


@pytest.mark.parametrize(
    "news",
    [
        label(Regime.TREND_DOWN, Regime.TREND_DOWN),
        label(Regime.TREND_DOWN, timeframe="1h"),
        label(Regime.TREND_DOWN, backfill=True),
        label(Regime.TREND_DOWN, instrument_id="ETH-USDT-SWAP"),
    ],
    ids=["it was against it when the plan was made", "another timeframe", "history", "another instrument"],
)
def test_only_a_turn_of_its_own_market_counts(news: RegimeClassified) -> None:
    rig = holding()
    rig.feed(news)
    assert exits(rig) == []


def test_the_label_closes_nothing_where_the_setting_says_so() -> None:
    rig = holding(regime_exit_enabled="false")
    rig.feed(label(Regime.TREND_DOWN))
    assert exits(rig) == []


def test_a_label_that_turns_against_a_working_entry_takes_it_away() -> None:
    rig = Rig()
    rig.feed(approved(entry=limit("79000"), stop="78000"))
    rig.bar(QUIET)
    rig.feed(label(Regime.TREND_DOWN))
    (ended,) = rig.of(EntryEnded)
    assert (ended.end, ended.filled_quantity, exits(rig)) == (EntryEnd.CANCELED, 0, [])


def test_what_a_canceled_entry_still_fills_is_closed_too() -> None:
    rig = Rig()
    rig.feed(approved(entry=limit("79000"), stop="78000"))
    rig.bar(QUIET)
    rig.state("execution").trades["plan1"].entry.cancel_requested = True  # asked, and not yet at the venue
    rig.feed(label(Regime.TREND_DOWN))
    rig.bar("79500/79600/78900/79400")
    assert rig.held() == 10
    rig.bar("79400/79500/79300/79400")
    assert exits(rig) == [ExitReason.REGIME]


def halt(state: TradingState, before: TradingState) -> TradingStateChanged:
    return TradingStateChanged("paper", state, before, (), "")


@pytest.mark.parametrize(("back", "closed"), [(False, [ExitReason.REGIME]), (True, [])], ids=["still against", "back"])
def test_a_halted_trade_waits_for_the_halt_to_end(back: bool, closed: list[ExitReason]) -> None:
    rig = holding()
    rig.feed(halt(TradingState.HALTED, TradingState.ACTIVE))
    rig.feed(label(Regime.TREND_DOWN))
    rig.bar(QUIET)
    assert exits(rig) == []
    if back:
        rig.feed(label(Regime.RANGE, Regime.TREND_DOWN))
    rig.feed(halt(TradingState.ACTIVE, TradingState.HALTED))
    assert exits(rig) == closed


def test_bad_data_closes_a_trade_after_an_hour_and_not_before() -> None:
    rig = holding(origin=PlanOrigin.OPERATOR)
    rig.feed(quality(Quality.BAD))
    bad_since = rig.ts
    rig.mark("80000", ts=bad_since + 3600 * SECOND - 1)
    assert exits(rig) == []
    rig.mark("80000", ts=bad_since + 3600 * SECOND)
    assert exits(rig) == [ExitReason.QUALITY]
    rig.bar(QUIET)
    assert (rig.of(FillBooked)[-1].exit_reason, rig.held()) == (ExitReason.QUALITY, 0)


def test_data_that_recovers_starts_the_hour_again() -> None:
    rig = holding()
    rig.feed(quality(Quality.BAD))
    start = rig.ts
    rig.feed(quality(Quality.DEGRADED, Quality.BAD), ts=start + 3000 * SECOND)
    rig.feed(quality(Quality.BAD, Quality.DEGRADED), ts=start + 3500 * SECOND)
    rig.mark("80000", ts=start + 7100 * SECOND - 1)
    assert exits(rig) == []
    rig.mark("80000", ts=start + 7100 * SECOND)
    assert exits(rig) == [ExitReason.QUALITY]


def test_bad_data_of_another_instrument_closes_nothing() -> None:
    rig = holding()
    rig.feed(quality(Quality.BAD, instrument_id="ETH-USDT-SWAP"))
    rig.mark("80000", ts=rig.ts + 7200 * SECOND)
    assert exits(rig) == []


@pytest.mark.parametrize(("seconds", "closed"), [(0, []), (60, [ExitReason.QUALITY])], ids=["never", "a minute"])
def test_how_long_bad_data_is_borne_is_a_setting(seconds: int, closed: list[ExitReason]) -> None:
    rig = holding(quality_exit_s=seconds)
    rig.feed(quality(Quality.BAD))
    rig.mark("80000", ts=rig.ts + 60 * SECOND)
    assert exits(rig) == closed


def test_a_setting_changed_while_a_trade_is_open_counts_for_it() -> None:
    rig = holding()
    rig.feed(quality(Quality.BAD))
    start = rig.ts
    rig.feed(settings_changed(quality_exit_s=60))
    rig.mark("80000", ts=start + 60 * SECOND)
    assert exits(rig) == [ExitReason.QUALITY]


def test_the_reason_is_the_one_that_came_first() -> None:
    """Held for two hours, while halted, data bad for one: time was over at 600 s, bad data at 3600 s."""
    rig = holding(max_holding_s=600)
    rig.feed(quality(Quality.BAD))
    rig.feed(halt(TradingState.HALTED, TradingState.ACTIVE))
    rig.mark("80000", ts=Micros(rig.ts + 7200 * SECOND))
    assert exits(rig) == []
    rig.feed(halt(TradingState.ACTIVE, TradingState.HALTED))
    assert exits(rig) == [ExitReason.TIME]


def test_an_exit_is_sent_once_and_the_stop_stays_until_flat() -> None:
    rig = holding()
    rig.feed(label(Regime.TREND_DOWN))
    rig.feed(label(Regime.RANGE, Regime.TREND_DOWN))
    rig.feed(label(Regime.TREND_DOWN))
    assert exits(rig) == [ExitReason.REGIME]
    assert [order.purpose for order in rig.state("venue").books[BTC].orders.values()] == ["STOP", "EXIT"]
