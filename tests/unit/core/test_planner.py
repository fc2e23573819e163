"""The planner: one answer per decision bar, documents made absolute, and nothing planned on history."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from schemas.envelope import Event, Message
from schemas.events.account import PositionChanged
from schemas.events.common import OrderType, PlanOrigin, PositionSide, PriceSource, Quality, Regime, Side, TradingState
from schemas.events.control import ExecutePlan, GeneratePlan, Planner
from schemas.events.data import BarClosed, QualityChanged
from schemas.events.intelligence import FeaturesComputed, RegimeClassified, SignalScored
from schemas.events.market import Channel, FeedOrigin, FeedState, FeedStatus, MarkPrice, Quote, Trade
from schemas.events.plan import DeclineReason, PlanDeclined, PlanProposed
from schemas.events.risk import StateCause, StateCauseKind, TradingStateChanged
from schemas.values import SECOND, Micros, Price, Quantity, Rate
from streams.core.planner import STAGE
from streams.core.planner.prices import passive, tighter, to_decimal
from streams.core.planner.state import PlannerState
from tests.builders import MINUTE, T0, btc_swap, message, settings_changed
from tests.risk_desk import BTC, position
from tests.spec import Spec, given

D = Decimal
EXAMPLE = (Path(__file__).resolve().parents[3] / "examples" / "plan_trend.json").read_text()
FEATURES = {"close": 80000.0, "atr_14": 200.0, "bb_mid": 80500.0, "adx_14": 30.0}
BAR = 15 * MINUTE


def bar(close: str = "80000", *, ts: int = T0, backfill: bool = False) -> Message:
    price = Price(D(close))
    event = BarClosed(
        instrument_id=BTC,
        timeframe="15m",
        ts_open=Micros(ts - BAR),
        ts_close=Micros(ts),
        open_price=price,
        high_price=price,
        low_price=price,
        close_price=price,
        base_volume=Quantity(D(1)),
        tick_count=15,
        vwap=None,
        quality=Quality.GOOD,
        complete=True,
        backfill=backfill,
    )
    return message(event, ts=ts)


def features(
    *, warming: tuple[str, ...] = (), backfill: bool = False, timeframe: str = "15m", **values: float
) -> Message:
    event = FeaturesComputed(BTC, timeframe, T0, "b" * 32, {**FEATURES, **values}, warming, backfill)
    return message(event, event_id="f" * 32)


def signal(strategy: str, score: float, *, of: str = "f" * 32, backfill: bool = False) -> Message:
    event = SignalScored(BTC, "15m", strategy, score, 14400, "because", of, backfill)
    return message(event, event_id=f"{strategy:x<32}")


def regime(label: Regime, *, of: str = "f" * 32, timeframe: str = "15m", backfill: bool = False) -> Message:
    event = RegimeClassified(BTC, timeframe, label, label, (), Rate(D("0.4")), "RULES", 300, of, backfill)
    return message(event, event_id="e" * 32)


def planner(*past: Event | Message, **settings: object) -> Spec:
    return given(STAGE, settings_changed(**settings), btc_swap(), bar(), *past)


def decided(label: Regime, *signals: Message, past: tuple[Event | Message, ...] = (), **settings: object) -> Any:
    """Return the one answer to a decision bar."""
    spec = planner(*past, features(), *signals, **settings).when(regime(label))
    (answer,) = spec.emitted
    return answer


def test_trend_up_buys_a_pullback_with_a_stop_two_atr_away() -> None:
    plan = decided(Regime.TREND_UP, signal("trend", 0.8), signal("breakout", 0.9))
    assert isinstance(plan, PlanProposed)
    assert (plan.strategy, plan.position_side, plan.origin) == ("trend", PositionSide.LONG, PlanOrigin.RULES)
    assert (plan.entry.type, plan.entry.limit_price) == (OrderType.LIMIT, D(79950))
    assert plan.stop is not None
    assert plan.stop.trigger_price == D(79550)
    assert (plan.stop.break_even_at_r, plan.stop.trail_distance_pct, plan.stop.trail_from_r) == (1, D("0.62"), 1)
    assert [(t.limit_price, t.fraction) for t in plan.targets] == [(D(80550), D("0.5")), (D(81150), D("0.5"))]
    assert (plan.valid_for_s, plan.ts_valid_until) == (1740, T0 + 1740 * SECOND)
    assert (plan.max_holding_s, plan.confidence) == (14400, D("0.8"))
    assert plan.rationale.evidence == ("f" * 32, f"{'trend':x<32}", "e" * 32)
    assert plan.execute
    assert plan.command_id is None


def test_the_snapshot_is_what_the_rules_saw() -> None:
    plan = decided(Regime.TREND_UP, signal("trend", 0.8))
    seen = plan.snapshot
    assert (seen.last_price, seen.mark_price, seen.spread_bps) == (D(80000), None, None)
    assert (seen.regime, seen.uncertainty, seen.quality) == (Regime.TREND_UP, D("0.4"), Quality.GOOD)
    assert seen.features == FEATURES
    assert (seen.features_event_id, seen.regime_event_id) == ("f" * 32, "e" * 32)
    assert (plan.reference_price, plan.reference_source) == (D(80000), PriceSource.LAST)
    assert plan.missing_sources == ("mark", "quotes")


def test_trend_down_mirrors() -> None:
    plan = decided(Regime.TREND_DOWN, signal("trend", -0.8))
    assert (plan.position_side, plan.entry.limit_price, plan.stop.trigger_price) == (
        PositionSide.SHORT,
        D(80050),
        D(80450),
    )
    assert [t.limit_price for t in plan.targets] == [D(79450), D(78850)]


def test_range_reverts_to_the_middle() -> None:
    plan = decided(Regime.RANGE, signal("trend", 0.9), signal("mean_reversion", 0.8))
    assert (plan.strategy, plan.position_side) == ("mean_reversion", PositionSide.LONG)
    assert (plan.entry.limit_price, plan.stop.trigger_price) == (D(79980), D(79580))
    assert [(t.limit_price, t.fraction) for t in plan.targets] == [(D(80500), D(1))]


def test_volatile_follows_a_breakout_at_market() -> None:
    plan = decided(Regime.VOLATILE, signal("trend", 0.9), signal("breakout", -0.6))
    assert (plan.strategy, plan.position_side, plan.entry.type) == ("breakout", PositionSide.SHORT, OrderType.MARKET)
    assert plan.stop.trigger_price == D(80300)
    assert plan.valid_for_s == 840


@pytest.mark.parametrize(
    ("label", "signals"),
    [
        (Regime.TREND_UP, [signal("trend", -0.9), signal("breakout", -0.9)]),
        (Regime.TREND_DOWN, [signal("trend", 0.9)]),
        (Regime.TREND_UP, [signal("trend", 0.499999)]),
        (Regime.RANGE, [signal("mean_reversion", 0.74), signal("trend", 1.0), signal("breakout", 1.0)]),
        (Regime.VOLATILE, [signal("trend", 1.0), signal("mean_reversion", 1.0)]),
        (Regime.TREND_UP, []),
    ],
)
def test_no_set_up_is_declined(label: Regime, signals: list[Message]) -> None:
    answer = decided(label, *signals)
    assert isinstance(answer, PlanDeclined)
    assert answer.reason is DeclineReason.NO_SETUP
    assert answer.evidence == ("f" * 32, "e" * 32)


def test_a_set_up_is_at_its_score() -> None:
    assert isinstance(decided(Regime.TREND_UP, signal("trend", 0.5)), PlanProposed)
    assert isinstance(decided(Regime.RANGE, signal("mean_reversion", -0.75)), PlanProposed)


def test_a_strategy_switched_off_is_not_used() -> None:
    answer = decided(Regime.TREND_UP, signal("trend", 0.9), strategies="breakout")
    assert (answer.reason, "no strategy enabled" in answer.detail) == (DeclineReason.NO_SETUP, True)


def test_signals_of_an_older_bar_do_not_count() -> None:
    answer = decided(Regime.TREND_UP, signal("trend", 0.9, of="0" * 32))
    assert answer.reason is DeclineReason.NO_SETUP


def cause(scope: str) -> TradingStateChanged:
    held = StateCause(StateCauseKind.OPERATOR, TradingState.REDUCING, scope, Micros(T0), None, False, "operator")
    return TradingStateChanged("paper", TradingState.REDUCING, TradingState.ACTIVE, (held,), "")


@pytest.mark.parametrize(
    ("past", "reason"),
    [
        (cause("account"), DeclineReason.STATE_NOT_ACTIVE),
        (QualityChanged(BTC, Quality.BAD, Quality.GOOD, ()), DeclineReason.DATA_QUALITY_BAD),
        (position("1"), DeclineReason.POSITION_OPEN),
    ],
)
def test_what_holds_the_rules_back_is_said(past: Event, reason: DeclineReason) -> None:
    assert decided(Regime.TREND_UP, signal("trend", 0.9), past=(past,)).reason is reason


def test_a_scoped_cause_is_left_to_risk() -> None:
    answer = decided(Regime.TREND_UP, signal("trend", 0.9), past=(cause("strategy:trend"), cause("instrument:x")))
    assert isinstance(answer, PlanProposed)


def test_a_closed_position_frees_the_instrument() -> None:
    past: tuple[PositionChanged, ...] = (position("1"), position("0"))
    assert isinstance(decided(Regime.TREND_UP, signal("trend", 0.9), past=past), PlanProposed)


def test_an_unknown_regime_is_declined() -> None:
    assert decided(Regime.UNKNOWN, signal("trend", 0.9)).reason is DeclineReason.REGIME_UNKNOWN


def test_warming_up_is_said_at_once_and_once() -> None:
    spec = planner().when(features(warming=("adx_14", "rv_rank")))
    (answer,) = spec.of(PlanDeclined)
    assert (answer.reason, answer.detail) == (DeclineReason.WARMING_UP, "adx_14")
    spec.when(signal("breakout", 0.9)).then()
    spec.when(regime(Regime.UNKNOWN)).then()


def test_a_feature_only_the_regime_needs_holds_back_the_regime_alone() -> None:
    spec = planner(features(warming=("rv_rank",)), signal("trend", 0.9)).when(regime(Regime.UNKNOWN))
    assert spec.of(PlanDeclined)[0].reason is DeclineReason.REGIME_UNKNOWN


def test_history_is_neither_planned_nor_declined_on() -> None:
    spec = planner()
    for past in (
        features(backfill=True, warming=("adx_14",)),
        features(backfill=True),
        signal("trend", 0.9, backfill=True),
        regime(Regime.TREND_UP, backfill=True),
    ):
        spec.when(past).then()


def test_rules_switched_off_still_answer_when_asked() -> None:
    spec = planner(features(), signal("trend", 0.9), rules_enabled="false").when(regime(Regime.TREND_UP))
    spec.then()
    (plan,) = spec.when(message(GeneratePlan("paper", BTC, Planner.RULES), event_id="c" * 32)).emitted
    assert isinstance(plan, PlanProposed)
    assert (plan.execute, plan.command_id) == (False, "c" * 32)


def test_with_two_timeframes_the_last_signal_decides_under_the_newest_regime() -> None:
    spec = planner(regime(Regime.TREND_UP, timeframe="1h", of="h" * 32), regime_timeframe="1h")
    spec.when(features()).then()
    spec.when(signal("trend", 0.9)).then()
    spec.when(signal("mean_reversion", 0.0)).then()
    (plan,) = spec.when(signal("breakout", 0.0)).emitted
    assert (plan.strategy, plan.snapshot.regime) == ("trend", Regime.TREND_UP)
    spec.when(regime(Regime.TREND_DOWN, timeframe="1h", of="i" * 32)).then()


def test_another_timeframes_features_are_not_decided_on() -> None:
    planner().when(features(timeframe="1h", warming=("adx_14",))).then()


# -- commands ---------------------------------------------------------------------------------------------------------


def test_generate_answers_warming_up_without_features_and_for_a_stranger() -> None:
    for instrument_id in (BTC, "DOGE-USDT-SWAP"):
        (answer,) = planner().when(GeneratePlan("paper", instrument_id, Planner.RULES)).emitted
        assert (answer.reason, answer.origin) == (DeclineReason.WARMING_UP, PlanOrigin.RULES)
        assert answer.command_id


def execute(spec: Spec, *, ts: int = T0, **changes: Any) -> Any:
    document = json.dumps({**json.loads(EXAMPLE), **changes})
    (answer,) = spec.when(message(ExecutePlan("paper", document), ts=ts, event_id="c" * 32)).emitted
    return answer


def test_the_example_becomes_absolute_prices_from_the_mark() -> None:
    plan = execute(planner(message(MarkPrice(BTC, Price(D("80012.3"))))))
    assert isinstance(plan, PlanProposed)
    assert (plan.reference_price, plan.reference_source) == (D("80012.3"), PriceSource.MARK)
    # 79932.2877 down, 78972.1401 up, 80892.4353 and 81852.5829 up
    assert plan.entry.limit_price == D("79932.2")
    assert plan.stop is not None
    assert plan.stop.trigger_price == D("78972.2")
    assert [t.limit_price for t in plan.targets] == [D("80892.5"), D("81852.6")]
    assert (plan.origin, plan.execute, plan.command_id) == (PlanOrigin.OPERATOR, True, "c" * 32)
    assert plan.ts_valid_until == T0 + 900 * SECOND


def test_a_short_document_rounds_the_other_way() -> None:
    changes = {
        "position_side": "SHORT",
        "entry": {"type": "LIMIT", "limit_price": {"offset_pct": "0.10"}},
        "stop": {"trigger_price": {"offset_pct": "1.30"}},
        "targets": [{"limit_price": {"offset_pct": "-1.10"}, "fraction": "1"}],
    }
    plan = execute(planner(message(MarkPrice(BTC, Price(D("80012.3"))))), **changes)
    # 80092.3123 up, 81052.4599 down, 79132.1647 down
    assert (plan.entry.limit_price, plan.stop.trigger_price) == (D("80092.4"), D("81052.4"))
    assert plan.targets[0].limit_price == D("79132.1")


def test_a_stale_mark_gives_way_to_the_last_price() -> None:
    marked = message(MarkPrice(BTC, Price(D(70000))))
    fresh = execute(planner(marked), ts=T0 + 30 * SECOND)
    assert fresh.reference_source is PriceSource.MARK
    stale = execute(planner(marked), ts=T0 + 30 * SECOND + 1)
    assert (stale.reference_source, stale.reference_price) == (PriceSource.LAST, D(80000))
    hourly = FeedStatus(BTC, Channel.MARK, FeedState.OPEN, FeedOrigin.RECORDED, "test", 3600 * SECOND)
    declared = execute(planner(hourly, marked), ts=T0 + 3 * 3600 * SECOND)
    assert declared.reference_source is PriceSource.MARK


def test_a_trade_newer_than_the_bar_it_closed_stays_the_last_price() -> None:
    trade = message(Trade(BTC, "1", Side.BUY, Price(D(81000)), Quantity(D(1))), ts=T0 + SECOND)
    plan = execute(planner(trade, bar("80000", ts=T0)))
    assert plan.reference_price == D(81000)


def test_the_spread_is_in_the_snapshot() -> None:
    size = Quantity(D(1))
    plan = execute(planner(message(Quote(BTC, Price(D(79996)), size, Price(D(80004)), size))))
    assert plan.snapshot.spread_bps == 1
    assert plan.missing_sources == ("mark", "features", "regime")


def test_a_quote_whose_channel_ended_is_no_spread() -> None:
    size = Quantity(D(1))
    quote = message(Quote(BTC, Price(D(79996)), size, Price(D(80004)), size))
    ended = FeedStatus(BTC, Channel.QUOTES, FeedState.ENDED, FeedOrigin.RECORDED, "test")
    plan = execute(planner(quote, ended))
    assert (plan.snapshot.spread_bps, "quotes" in plan.missing_sources) == (None, True)


def test_relative_prices_without_a_market_are_declined() -> None:
    answer = execute(given(STAGE, settings_changed(), btc_swap()))
    assert (answer.reason, answer.command_id) == (DeclineReason.NO_SETUP, "c" * 32)
    assert "relative" in answer.detail


def test_absolute_prices_of_an_unknown_instrument_reach_risk() -> None:
    absolute = {
        "instrument_id": "DOGE-USDT-SWAP",
        "entry": {"type": "LIMIT", "limit_price": "0.12345"},
        "stop": {"trigger_price": "0.12"},
        "targets": [],
    }
    plan = execute(planner(), **absolute)
    assert isinstance(plan, PlanProposed)
    assert (plan.reference_price, plan.reference_source) == (D("0.12345"), PriceSource.LIMIT)
    assert plan.entry.limit_price == D("0.12345")


def test_a_plan_without_stop_reaches_risk() -> None:
    document = json.loads(EXAMPLE)
    del document["stop"]
    (plan,) = planner().when(ExecutePlan("paper", json.dumps(document))).of(PlanProposed)
    assert plan.stop is None


def test_a_stop_entry_rounds_like_an_order() -> None:
    plan = execute(planner(), entry={"type": "STOP", "trigger_price": "80500.57"})
    assert (plan.entry.type, plan.entry.trigger_price) == (OrderType.STOP, D("80500.5"))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema_version": 1, "quantity": "1"}'])
def test_a_broken_document_is_declined_never_raised(text: str) -> None:
    (answer,) = planner().when(ExecutePlan("paper", text)).emitted
    assert isinstance(answer, PlanDeclined)
    assert answer.detail.startswith("invalid plan document: $")


# -- prices and state -------------------------------------------------------------------------------------------------


def test_floats_cross_at_eight_decimals_half_to_even() -> None:
    assert to_decimal(0.1) == D("0.1")
    assert to_decimal(1.5 * 2**-27) == D("1e-8")
    assert to_decimal(-200.123456789) == D("-200.12345679")


def test_rounding_to_the_tick() -> None:
    tick = D("0.1")
    assert passive(D("1.26"), tick, buy=True) == D("1.2")
    assert passive(D("1.21"), tick, buy=False) == D("1.3")
    assert tighter(D("1.21"), tick, PositionSide.LONG) == D("1.3")
    assert tighter(D("1.26"), tick, PositionSide.SHORT) == D("1.2")


def test_prices_meet_the_tick_whatever_the_atr() -> None:
    for atr in (0.123, 1.0, 33.333333333, 777.77):
        spec = planner(features(atr_14=atr), signal("trend", 0.9)).when(regime(Regime.TREND_UP))
        plan = spec.emitted[0]
        assert isinstance(plan, PlanProposed)
        prices = [plan.entry.limit_price, plan.stop and plan.stop.trigger_price, *(t.limit_price for t in plan.targets)]
        assert all(price is not None and price % D("0.1") == 0 for price in prices)


def test_the_state_survives_a_checkpoint() -> None:
    spec = planner(features(), signal("trend", 0.9), regime(Regime.TREND_UP), cause("account"))
    adapter = TypeAdapter(PlannerState)
    assert adapter.validate_json(adapter.dump_json(spec.state)) == spec.state


def test_the_same_past_gives_the_same_plan() -> None:
    past = (features(), signal("trend", 0.9))
    first = planner(*past).when(regime(Regime.TREND_UP)).emitted
    again = planner(*past).when(replace(regime(Regime.TREND_UP))).emitted
    assert first == again
