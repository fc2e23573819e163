"""The signals stage: each strategy's score, on both sides, with its reason."""

from __future__ import annotations

import pytest

from schemas.envelope import Message
from schemas.events.intelligence import FeaturesComputed, SignalScored
from schemas.values import Micros
from streams.core.signals import STAGE
from streams.core.signals.scores import STRATEGIES, breakout, mean_reversion, trend
from tests.builders import T0, message, settings_changed
from tests.spec import given

QUIET = {
    "close": 100.0,
    "ema_12": 100.0,
    "ema_26": 100.0,
    "ema_50": 100.0,
    "rsi_14": 50.0,
    "atr_14": 2.0,
    "adx_14": 10.0,
    "bb_up": 104.0,
    "bb_mid": 100.0,
    "bb_lo": 96.0,
    "donchian_prior_high_20": 105.0,
    "donchian_prior_low_20": 95.0,
    "volume_z_20": 0.0,
}


def computed(values: dict[str, float], *, timeframe: str = "15m", backfill: bool = False) -> Message:
    event = FeaturesComputed("BTC-USDT-SWAP", timeframe, Micros(T0), "bar", values, (), backfill)
    return message(event, event_id="features")


def test_scores_every_strategy_of_the_settings_in_their_order() -> None:
    spec = given(STAGE, message(settings_changed(strategies="breakout,trend"))).when(computed(QUIET, backfill=True))
    spec.then(
        SignalScored(
            "BTC-USDT-SWAP",
            "15m",
            "breakout",
            0.0,
            12 * 900,
            "-2.50 atr_14 beyond the prior 20 bars, volume_z_20=0.00",
            "features",
            True,
        ),
        SignalScored(
            "BTC-USDT-SWAP",
            "15m",
            "trend",
            0.0,
            16 * 900,
            "ema_12-ema_26=0.00 atr_14, adx_14=10.0, close-ema_50=0",
            "features",
            True,
        ),
    )


def test_scores_only_the_decision_timeframe_and_only_what_is_warm() -> None:
    spec = given(STAGE, message(settings_changed(decision_timeframe="5m")))
    spec.when(computed(QUIET)).then()
    cold = {name: value for name, value in QUIET.items() if name != "ema_50"}
    spec.when(computed(cold, timeframe="5m"))
    assert [signal.strategy for signal in spec.of(SignalScored)] == ["mean_reversion", "breakout"]


def test_says_nothing_before_the_settings() -> None:
    given(STAGE).when(computed(QUIET)).then()


@pytest.mark.parametrize(
    ("changes", "score"),
    [
        # spread 1.5 / 2 = 0.75 ATR; ADX 24 is 9/15 of the way: 0.75 * 0.6
        ({"ema_12": 101.5, "adx_14": 24.0, "ema_50": 99.0}, 0.45),
        ({"ema_12": 98.5, "adx_14": 24.0, "ema_50": 101.0}, -0.45),
        ({"ema_12": 103.0, "adx_14": 45.0, "ema_50": 99.0}, 1.0),
        ({"ema_12": 103.0, "adx_14": 45.0, "ema_50": 101.0}, 0.0),
        ({"ema_12": 103.0, "adx_14": 15.0, "ema_50": 99.0}, 0.0),
        ({"ema_12": 103.0, "adx_14": 45.0, "ema_50": 99.0, "atr_14": 0.0}, 0.0),
    ],
)
def test_trend_follows_the_spread_scaled_by_adx(changes: dict[str, float], score: float) -> None:
    assert trend({**QUIET, **changes})[0] == score


@pytest.mark.parametrize(
    ("changes", "score"),
    [
        # 3.25 / 2 = 1.625 deviations below: half way; RSI 35: half way. Up.
        ({"close": 96.75, "rsi_14": 35.0}, 0.5),
        ({"close": 103.25, "rsi_14": 65.0}, -0.5),
        ({"close": 95.0, "rsi_14": 20.0}, 1.0),
        ({"close": 95.0, "rsi_14": 55.0}, 0.0),
        ({"close": 99.0, "rsi_14": 48.0}, 0.0),
        ({"bb_up": 100.0, "rsi_14": 20.0}, 0.0),
    ],
)
def test_mean_reversion_leans_against_the_stretch(changes: dict[str, float], score: float) -> None:
    assert mean_reversion({**QUIET, **changes})[0] == score


@pytest.mark.parametrize(
    ("changes", "score"),
    [
        ({"close": 106.0}, 0.75),
        ({"close": 94.0}, -0.75),
        ({"close": 109.0}, 1.0),
        ({"close": 106.0, "volume_z_20": -0.1}, 0.375),
        ({"close": 105.0}, 0.0),
        ({"close": 95.0}, 0.0),
        ({"close": 106.0, "atr_14": 0.0}, 0.5),
    ],
)
def test_breakout_needs_a_close_beyond_the_prior_bars(changes: dict[str, float], score: float) -> None:
    assert breakout({**QUIET, **changes})[0] == score


def test_a_score_of_nothing_has_no_sign() -> None:
    assert str(trend({**QUIET, "ema_12": 97.0, "ema_50": 101.0})[0]) == "0.0"


def test_knows_every_strategy_of_the_default_settings() -> None:
    assert set(settings_changed().values["strategies"].split(",")) == set(STRATEGIES)
