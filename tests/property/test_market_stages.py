"""Laws of the five market stages together, over random ticks: noise changes nothing, a checkpoint loses nothing."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import decode
from schemas.envelope import Envelope, Event
from schemas.events.common import Quality, Side
from schemas.events.control import TimerFired
from schemas.events.data import BarClosed, QualityChanged, TickQuarantined
from schemas.events.intelligence import FeaturesComputed, RegimeClassified, SignalScored
from schemas.events.market import (
    Channel,
    FeedOrigin,
    FeedState,
    FeedStatus,
    MarkPrice,
    Quote,
    Trade,
    VenueBar,
)
from schemas.timeframes import TIMEFRAMES
from schemas.values import SECOND, Micros, Price, Quantity
from streams.core import bars, features, quality, regime, signals
from streams.core.kernel import Kernel, Output
from tests.builders import T0, btc_swap, eth_swap, message, settings_changed
from tests.tapes import recorded_ticks

STAGES = (quality.STAGE, bars.STAGE, features.STAGE, signals.STAGE, regime.STAGE)
BTC = "BTC-USDT-SWAP"
Tick = tuple[int, Event]
"""When, and what."""


def fresh_kernel() -> Kernel:
    return Kernel(STAGES, code_version="test")


def envelope(number: int, ts: int) -> Envelope:
    return message(TimerFired("paper"), ts=ts, event_id=f"{number:032x}").envelope


def opening() -> list[Tick]:
    fast = settings_changed(decision_timeframe="1m", regime_timeframe="1m")
    return [(T0, fast), (T0, btc_swap()), (T0, eth_swap())]


def run(kernel: Kernel, ticks: list[Tick], *, first: int = 0) -> list[Output]:
    outputs: list[Output] = []
    for number, (ts, event) in enumerate(ticks, start=first):
        outputs += kernel.step_event(envelope(number, ts), event)
    return outputs


def events(outputs: list[Output], kind: type[Any]) -> list[Any]:
    decoded = (decode(output.value)[1] for output in outputs)
    return [event for event in decoded if type(event) is kind]


def price_of(step: int) -> Price:
    return Price(Decimal(80_000 + step))


@st.composite
def prints(draw: st.DrawFn) -> list[Tick]:
    """A clean tape of prints: time never goes back, prices move by at most 100."""
    ticks: list[Tick] = []
    ts, step = T0, 0
    for number in range(draw(st.integers(1, 60))):
        ts += draw(st.sampled_from([0, 1, SECOND, 20 * SECOND, 59 * SECOND, 180 * SECOND]))
        step += draw(st.integers(-100, 100))
        volume = Quantity(Decimal(draw(st.integers(1, 50))))
        ticks.append((ts, Trade(BTC, str(number), Side.BUY, price_of(step), volume)))
    return ticks


@st.composite
def any_ticks(draw: st.DrawFn) -> list[Tick]:
    """Anything a feed may send, sane or not."""
    ticks: list[Tick] = []
    ts = T0
    for number in range(draw(st.integers(1, 50))):
        ts += draw(st.sampled_from([-SECOND, 0, SECOND, 30 * SECOND, 60 * SECOND, 400 * SECOND]))
        instrument_id = draw(st.sampled_from([BTC, "ETH-USDT-SWAP", "XRP-USDT-SWAP"]))
        price = price_of(draw(st.sampled_from([-80_001, -9_000, 0, 1, 50, 9_000])))
        ticks.append((ts, draw(any_event(instrument_id, number, ts, price))))
    return ticks


def any_event(instrument_id: str, number: int, ts: int, price: Price) -> st.SearchStrategy[Event]:
    one = Quantity(Decimal(1))
    minute = Micros(ts - ts % (60 * SECOND) - 60 * SECOND)
    states = [
        FeedStatus(instrument_id, channel, state, FeedOrigin.RECORDED, "test")
        for channel in (Channel.TRADES, Channel.BARS)
        for state in FeedState
    ]
    return st.sampled_from(
        [
            Trade(instrument_id, str(number), Side.SELL, price, one),
            Trade(instrument_id, "7", Side.SELL, price, one),
            Quote(instrument_id, price, one, price, one),
            MarkPrice(instrument_id, price),
            VenueBar(instrument_id, "1m", minute, price, price, price, price, one),
            VenueBar(instrument_id, "1m", minute, price, price, price, price, one, True),
            TimerFired("paper"),
            *states,
        ]
    )


@settings(max_examples=60, deadline=None)
@given(any_ticks(), st.integers(0, 60))
def test_a_restored_checkpoint_goes_on_exactly(ticks: list[Tick], cut: int) -> None:
    whole = fresh_kernel()
    stream = opening() + ticks
    cut = min(cut, len(stream))
    run(whole, stream[:cut])
    saved = whole.state_json()
    other = fresh_kernel()
    other.restore(saved)
    assert other.states == whole.states
    assert run(other, stream[cut:], first=cut) == run(whole, stream[cut:], first=cut)
    assert other.state_json() == whole.state_json()


@settings(max_examples=60, deadline=None)
@given(any_ticks())
def test_decide_never_changes_a_state(ticks: list[Tick]) -> None:
    kernel = fresh_kernel()
    for number, (ts, event) in enumerate(opening() + ticks):
        incoming = message(event, ts=ts, event_id=f"{number:032x}")
        incoming = replace(incoming, now=Micros(max(ts, kernel.counters.clock)))
        for stage, state in zip(kernel.stages, kernel.states, strict=True):
            if type(event) in stage.takes:
                before = repr(state)
                stage.decide(state, incoming)
                assert repr(state) == before
        kernel.step_event(incoming.envelope, event)


@settings(max_examples=60, deadline=None)
@given(any_ticks())
def test_no_bar_is_emitted_twice_and_time_goes_forward(ticks: list[Tick]) -> None:
    newest: dict[tuple[str, str], int] = defaultdict(int)
    for bar in events(run(fresh_kernel(), opening() + ticks), BarClosed):
        key = (bar.instrument_id, bar.timeframe)
        assert bar.ts_open > newest[key]
        assert bar.ts_close - bar.ts_open == TIMEFRAMES[bar.timeframe]
        assert bar.ts_open % TIMEFRAMES[bar.timeframe] == 0
        assert bar.low_price <= min(bar.open_price, bar.close_price)
        assert bar.high_price >= max(bar.open_price, bar.close_price)
        assert bar.vwap is None or bar.low_price <= bar.vwap <= bar.high_price
        newest[key] = bar.ts_open


@settings(max_examples=60, deadline=None)
@given(any_ticks())
def test_each_change_of_quality_follows_from_the_one_before(ticks: list[Tick]) -> None:
    known: dict[str, tuple[Quality, Any]] = {}
    for change in events(run(fresh_kernel(), opening() + ticks), QualityChanged):
        before = known.get(change.instrument_id, (Quality.BAD, ()))
        assert change.previous is before[0]
        assert (change.quality, change.reasons) != before
        assert (change.quality is Quality.GOOD) <= (change.reasons == ())
        known[change.instrument_id] = (change.quality, change.reasons)


def noisy(clean: list[Tick], picks: list[int]) -> list[Tick]:
    """Put a repeat, an old print, an impossible and an absurd one behind prints of a clean tape."""
    ticks: list[Tick] = []
    for number, (ts, event) in enumerate(clean):
        assert isinstance(event, Trade)
        ticks.append((ts, event))
        pick = picks[number % len(picks)]
        if pick == 1:
            ticks.append((ts, event))
        elif pick == 2:
            ticks.append((ts - 1, replace(event, trade_id=f"old-{number}")))
        elif pick == 3:
            ticks.append((ts, replace(event, trade_id=f"bad-{number}", last_price=Price(Decimal(0)))))
        elif pick == 4:
            ticks.append((ts, replace(event, trade_id=f"far-{number}", last_price=Price(event.last_price * 2))))
    return ticks


@settings(max_examples=60, deadline=None)
@given(prints(), st.lists(st.integers(0, 4), min_size=1, max_size=7))
def test_noise_never_reaches_a_bar(clean: list[Tick], picks: list[int]) -> None:
    dirty = noisy(clean, picks)
    quiet, loud = run(fresh_kernel(), opening() + clean), run(fresh_kernel(), opening() + dirty)
    assert len(events(loud, TickQuarantined)) == len(dirty) - len(clean)
    same = [replace(bar, quality=Quality.GOOD) for bar in events(quiet, BarClosed)]
    assert [replace(bar, quality=Quality.GOOD) for bar in events(loud, BarClosed)] == same


@settings(max_examples=60, deadline=None)
@given(prints())
def test_bars_of_every_timeframe_hold_the_same_prints(clean: list[Tick]) -> None:
    end = (T0 + 5 * 3600 * SECOND, TimerFired("paper"))
    found = events(run(fresh_kernel(), [*opening(), *clean, end]), BarClosed)
    trades = [event for _, event in clean if isinstance(event, Trade)]
    for timeframe in TIMEFRAMES:
        own = [bar for bar in found if bar.timeframe == timeframe]
        assert sum(bar.base_volume for bar in own) == sum(trade.base_quantity for trade in trades)
        assert sum(bar.tick_count for bar in own) == len(trades)
        assert max(bar.high_price for bar in own) == max(trade.last_price for trade in trades)
        assert min(bar.low_price for bar in own) == min(trade.last_price for trade in trades)
        assert (own[0].open_price, own[-1].close_price) == (trades[0].last_price, trades[-1].last_price)


@pytest.mark.recorded
def test_the_recorded_market_is_labelled_and_scored_on_every_side() -> None:
    kernel = fresh_kernel()
    outputs = kernel.step_event(envelope(0, T0 - 10**12), settings_changed())
    for incoming, event in recorded_ticks(days=12):
        outputs += kernel.step_event(incoming, event)
    assert events(outputs, TickQuarantined) == []
    labels = [event.regime.value for event in events(outputs, RegimeClassified)]
    shares = {label: labels.count(label) / len(labels) for label in set(labels)}
    assert set(shares) == {"TREND_UP", "TREND_DOWN", "RANGE", "VOLATILE", "UNKNOWN"}
    assert all(0.03 < share < 0.6 for share in shares.values()), shares
    doubts = sorted(event.uncertainty for event in events(outputs, RegimeClassified) if event.bars_seen >= 200)
    assert doubts[len(doubts) // 2] < Decimal("0.6")
    scores: dict[str, list[float]] = defaultdict(list)
    for signal in events(outputs, SignalScored):
        scores[signal.strategy].append(signal.score)
    for strategy in ("trend", "mean_reversion", "breakout"):
        assert min(scores[strategy]) <= -0.5
        assert max(scores[strategy]) >= 0.5
    assert all(one.features for one in events(outputs, FeaturesComputed))
