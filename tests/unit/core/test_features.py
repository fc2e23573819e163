"""The features stage: TA-Lib's numbers, each after its own warm-up, one answer per closed bar."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from decimal import Decimal
from math import sqrt
from pathlib import Path

import pytest
from hypothesis import given as for_all
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from schemas.envelope import Message
from schemas.events.common import Quality
from schemas.events.data import BarClosed
from schemas.events.intelligence import FeaturesComputed
from schemas.timeframes import TIMEFRAMES
from schemas.values import Micros, Price, Quantity
from streams.core.features import HOLE_BARS, STAGE
from streams.core.features.indicators import RANK_WINDOW, WARM_UP, FloatBar, Series, advance, features, warming_up
from tests.builders import T0, message, settings_changed
from tests.spec import given

BTC = "BTC-USDT-SWAP"


def run(bars: Sequence[FloatBar]) -> Series:
    series = Series()
    for bar in bars:
        series = advance(series, bar)
    return series


def closes(*values: float) -> list[FloatBar]:
    """Bars of no range at these closes, volume 1."""
    return [FloatBar(value, value, value, 1.0) for value in values]


def closed(index: int, close: str = "100", *, timeframe: str = "15m", complete: bool = True) -> BarClosed:
    """The ``index``-th bar after T0."""
    length = TIMEFRAMES[timeframe]
    price = Price(Decimal(close))
    return BarClosed(
        instrument_id=BTC,
        timeframe=timeframe,
        ts_open=Micros(T0 + index * length),
        ts_close=Micros(T0 + (index + 1) * length),
        open_price=price,
        high_price=price,
        low_price=price,
        close_price=price,
        base_volume=Quantity(Decimal(1)),
        tick_count=0,
        vwap=None,
        quality=Quality.GOOD,
        complete=complete,
        backfill=False,
    )


def past(count: int) -> list[Message]:
    return [message(settings_changed()), *(message(closed(index)) for index in range(count))]


def test_seeds_the_ema_with_the_simple_mean() -> None:
    assert features(run(closes(*range(1, 13))))["ema_12"] == pytest.approx(6.5, rel=1e-15)
    assert features(run(closes(*range(1, 14))))["ema_12"] == pytest.approx(7.5, rel=1e-15)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [([1.0] * 14, 100.0), ([-1.0] * 14, 0.0), ([0.0] * 14, 0.0), ([2.0, -1.0] * 7, 200 / 3)],
)
def test_rsi_weighs_mean_gain_against_mean_loss(steps: list[float], expected: float) -> None:
    values = [100.0]
    for step in steps:
        values.append(values[-1] + step)
    assert features(run(closes(*values)))["rsi_14"] == pytest.approx(expected, rel=1e-14)


def test_rsi_smooths_as_wilder_does() -> None:
    # 14 gains of 1, then a loss of 1: gain 13/14, loss 1/14.
    values = [*map(float, range(100, 115)), 113.0]
    assert features(run(closes(*values)))["rsi_14"] == pytest.approx(100 * 13 / 14, rel=1e-14)


def test_atr_is_the_mean_true_range_then_smoothed() -> None:
    quiet = [FloatBar(101.0, 99.0, 100.0, 1.0)] * 15
    assert features(run(quiet))["atr_14"] == 2.0
    # A gap up counts from the last close: max(120 - 115, 120 - 100) = 20; (13 * 2 + 20) / 14.
    assert features(run([*quiet, FloatBar(120.0, 115.0, 118.0, 1.0)]))["atr_14"] == pytest.approx(46 / 14, rel=1e-15)


def test_a_steady_climb_has_full_adx_and_only_plus_di() -> None:
    climb = [FloatBar(n + 1.0, n - 1.0, float(n), 1.0) for n in range(100, 128)]
    values = features(run(climb))
    assert (values["plus_di_14"], values["minus_di_14"], values["adx_14"]) == (50.0, 0.0, 100.0)
    assert "adx_14" not in features(run(climb[:-1]))


def test_bars_that_grow_on_both_sides_alike_have_no_direction() -> None:
    values = features(run([FloatBar(100.0 + n, 100.0 - n, 100.0, 1.0) for n in range(1, 29)]))
    assert (values["plus_di_14"], values["minus_di_14"], values["adx_14"]) == (0.0, 0.0, 0.0)


def test_bollinger_bands_are_two_population_deviations_wide() -> None:
    values = features(run(closes(*[1.0, 3.0] * 10)))
    assert (values["bb_lo"], values["bb_mid"], values["bb_up"]) == (0.0, 2.0, 4.0)


def test_donchian_is_known_with_and_without_the_bar_itself() -> None:
    values = features(run(closes(*map(float, range(1, 22)))))
    assert (values["donchian_high_20"], values["donchian_low_20"]) == (21.0, 2.0)
    assert (values["donchian_prior_high_20"], values["donchian_prior_low_20"]) == (20.0, 1.0)


def test_realised_volatility_is_the_root_mean_square_of_sixteen_returns() -> None:
    # 80 -> 100 is +25 %, 100 -> 80 is -20 %: mean square (0.0625 + 0.04) / 2.
    values = features(run(closes(*[80.0, 100.0] * 8, 80.0)))
    assert values["rv_16"] == pytest.approx(sqrt(0.05125), rel=1e-14)


def test_the_rank_counts_ties_half_and_forgets_after_its_window() -> None:
    flat = closes(*[100.0] * 185)
    assert "rv_rank" not in features(run(flat[:-1]))
    assert features(run(flat))["rv_rank"] == 0.5
    wild = run([*flat, *closes(150.0)])
    assert features(wild)["rv_rank"] == 1.0
    long_after = run([*closes(150.0), *closes(*[100.0] * (RANK_WINDOW + 40))])
    assert features(long_after)["rv_rank"] == 0.5
    assert len(long_after.rvs) == RANK_WINDOW + 1


def test_volume_z_measures_the_surprise() -> None:
    # 19 x 10 and 30: mean 11, variance (19 * 1 + 361) / 20 = 19.
    bars = [FloatBar(1.0, 1.0, 1.0, 10.0)] * 19 + [FloatBar(1.0, 1.0, 1.0, 30.0)]
    assert features(run(bars))["volume_z_20"] == pytest.approx(sqrt(19), rel=1e-14)
    assert features(run(closes(*[1.0] * 20)))["volume_z_20"] == 0.0


def test_every_feature_appears_exactly_when_its_warm_up_ends() -> None:
    series = Series()
    bar = FloatBar(101.0, 99.0, 100.0, 1.0)
    for count in range(1, max(WARM_UP.values()) + 1):
        series = advance(series, bar)
        expected = [name for name, needed in WARM_UP.items() if count >= needed]
        assert list(features(series)) == expected
        assert list(warming_up(series)) == [name for name in WARM_UP if name not in expected]


@pytest.mark.recorded
def test_equals_ta_lib_on_recorded_bars(shared_data: Path) -> None:
    path = shared_data / "vectors" / "indicators_talib_BTC-USDT-SWAP_5m_sample.csv.gz"
    with gzip.open(path, "rt") as lines:
        rows = list(csv.DictReader(lines))
    names = ("ema_12", "rsi_14", "atr_14", "adx_14", "bb_up", "bb_mid", "bb_lo")
    series, compared = Series(), 0
    for row in rows:
        bar = FloatBar(float(row["high"]), float(row["low"]), float(row["close"]), float(row["volume_base"]))
        series = advance(series, bar)
        values = features(series)
        for name in names:
            if row[name] in ("", "nan"):
                assert name not in values
            else:
                assert values[name] == pytest.approx(float(row[name]), rel=1e-9), (row["ts_ms"], name)
                compared += 1
    assert len(rows) == 1500
    assert compared == 1500 * 7 - 11 - 14 - 14 - 27 - 3 * 19


PRICES = st.lists(st.integers(min_value=1000, max_value=100_000), min_size=30, max_size=60)


@hypothesis_settings(max_examples=50, deadline=None)
@for_all(PRICES)
def test_features_without_a_unit_do_not_depend_on_the_price_scale(prices: list[int]) -> None:
    def bars(scale: float) -> list[FloatBar]:
        return [FloatBar(scale * (p + 7), scale * (p - 5), scale * p, 1.0 + p % 13) for p in prices]

    one, four = features(run(bars(1.0))), features(run(bars(4.0)))
    for name in ("rsi_14", "plus_di_14", "minus_di_14", "adx_14", "rv_16", "volume_z_20"):
        assert one[name] == four[name]
    for name in ("ema_12", "atr_14", "bb_up", "donchian_high_20"):
        assert 4.0 * one[name] == four[name]


@hypothesis_settings(max_examples=50, deadline=None)
@for_all(PRICES)
def test_features_stay_in_their_range(prices: list[int]) -> None:
    bars = [FloatBar(p + 7.0, p - 5.0, float(p), float(p % 13)) for p in prices]
    values = features(run(bars))
    assert all(-1e-9 <= values[name] <= 100 + 1e-9 for name in ("rsi_14", "plus_di_14", "minus_di_14", "adx_14"))
    assert values["donchian_low_20"] <= values["bb_mid"] <= values["donchian_high_20"]
    assert values["bb_lo"] <= values["bb_mid"] <= values["bb_up"]
    assert values["donchian_prior_low_20"] <= prices[-2] <= values["donchian_prior_high_20"]


def test_answers_every_bar_of_the_timeframes_in_force_also_while_warming_up() -> None:
    bar = message(closed(0), event_id="bar-0")
    spec = given(STAGE, message(settings_changed())).when(bar)
    warming = tuple(name for name, needed in WARM_UP.items() if needed > 1)
    spec.then(FeaturesComputed(BTC, "15m", closed(0).ts_close, "bar-0", {"close": 100.0}, warming, False))
    spec.when(closed(0, timeframe="5m")).then()
    assert len(spec.when(closed(0, timeframe="1h")).emitted) == 1


def test_new_settings_move_the_timeframes() -> None:
    moved = message(settings_changed(decision_timeframe="5m", regime_timeframe="4h"))
    spec = given(STAGE, *past(3), moved)
    spec.when(closed(3)).then()
    assert spec.when(closed(0, timeframe="5m")).of(FeaturesComputed)[0].timeframe == "5m"
    assert sorted(spec.state.tracks) == ["BTC-USDT-SWAP|5m"]


def test_a_series_begins_with_a_complete_bar_and_goes_on_through_an_incomplete_one() -> None:
    spec = given(STAGE, message(settings_changed())).when(closed(0, complete=False)).then()
    spec.when(closed(1))
    assert len(spec.when(closed(2, "101", complete=False)).emitted) == 1
    assert spec.state.tracks[f"{BTC}|15m"].series.count == 2


def test_a_short_hole_is_bridged_and_a_long_one_starts_afresh() -> None:
    spec = given(STAGE, *past(20)).when(closed(20 + HOLE_BARS))
    assert spec.emitted[0].features.keys() >= {"bb_mid"}  # type: ignore[attr-defined]
    spec = given(STAGE, *past(20)).when(closed(21 + HOLE_BARS))
    assert spec.emitted[0].features == {"close": 100.0}  # type: ignore[attr-defined]


def test_decide_leaves_the_state_alone() -> None:
    spec = given(STAGE, *past(30))
    before = repr(spec.state)
    assert STAGE.decide(spec.state, message(closed(30, "105")))
    assert repr(spec.state) == before
