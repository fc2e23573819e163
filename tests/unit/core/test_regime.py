"""The regime stage: probabilities, uncertainty, and a label that does not flicker."""

from __future__ import annotations

from decimal import Decimal
from math import fsum

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from schemas.envelope import Message
from schemas.events.common import Regime
from schemas.events.intelligence import FeaturesComputed, RegimeClassified
from schemas.values import Micros
from streams.core.regime import STAGE, UNKNOWN_BARS, Label
from streams.core.regime.change import WINDOW, Watch, observe
from streams.core.regime.classify import LABELS, probabilities, quantise, uncertainty
from tests.builders import T0, message, settings_changed
from tests.spec import Spec, given

RANGING = {"close": 100.0, "adx_14": 10.0, "plus_di_14": 20.0, "minus_di_14": 20.0, "rv_rank": 0.5}
RISING = {"close": 100.0, "adx_14": 35.0, "plus_di_14": 30.0, "minus_di_14": 10.0, "rv_rank": 0.5}
FALLING = {"close": 100.0, "adx_14": 35.0, "plus_di_14": 10.0, "minus_di_14": 30.0, "rv_rank": 0.5}
WILD = {"close": 100.0, "adx_14": 35.0, "plus_di_14": 10.0, "minus_di_14": 30.0, "rv_rank": 1.0}


def bar(values: dict[str, float], *, timeframe: str = "15m", instrument_id: str = "BTC-USDT-SWAP") -> Message:
    event = FeaturesComputed(instrument_id, timeframe, Micros(T0), "bar", values, (), True)
    return message(event, event_id="features")


def warmed(values: dict[str, float], *, bars: int = UNKNOWN_BARS) -> Spec:
    return given(STAGE, message(settings_changed()), *(bar(values) for _ in range(bars)))


def label(spec: Spec) -> Regime:
    (only,) = spec.of(RegimeClassified)
    regime: Regime = only.regime
    return regime


def labels(spec: Spec, *values: dict[str, float]) -> list[Regime]:
    """Feed bars one after the other; return the label after each."""
    return [label(spec.when(bar(one))) for one in values]


def decimals(*texts: str) -> tuple[Decimal, ...]:
    return tuple(map(Decimal, texts))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (RISING, ("0.97", "0.01", "0.01", "0.01")),
        (FALLING, ("0.01", "0.97", "0.01", "0.01")),
        (RANGING, ("0.01", "0.01", "0.97", "0.01")),
        (WILD, ("0.01", "0.01", "0.01", "0.97")),
        # ADX half way, DI even: evidence 0.25, 0.25, 0.5, 0; 0.96 of it plus 0.01 each.
        ({**RANGING, "adx_14": 22.5}, ("0.25", "0.25", "0.49", "0.01")),
        # rank 0.94 is 0.6 of the way: evidence 0.4 * (1, 0, 0) and 0.6.
        ({**RISING, "rv_rank": 0.94}, ("0.394", "0.01", "0.01", "0.586")),
        ({**RISING, "plus_di_14": 0.0, "minus_di_14": 0.0}, ("0.49", "0.49", "0.01", "0.01")),
    ],
)
def test_weighs_the_evidence(values: dict[str, float], expected: tuple[str, ...]) -> None:
    assert probabilities(values) == decimals(*expected)


def test_uncertainty_is_the_normalised_entropy_of_the_domain_check() -> None:
    assert uncertainty(decimals("0.382607621", "0.617392379")) == Decimal("0.959862903")


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        (("1", "0", "0", "0"), "0"),
        (("0.25", "0.25", "0.25", "0.25"), "1"),
        (("0.5", "0.5", "0", "0"), "0.5"),
        # ln 4 = 1.386294361; -(0.97 ln 0.97 + 3 * 0.01 ln 0.01) = 0.029545431 + 0.138155106
        (("0.97", "0.01", "0.01", "0.01"), "0.120970366"),
    ],
)
def test_uncertainty_runs_from_certain_to_clueless(shares: tuple[str, ...], expected: str) -> None:
    assert uncertainty(decimals(*shares)) == pytest.approx(Decimal(expected), abs=Decimal("0.000000002"))
    assert uncertainty(decimals(*shares)).as_tuple().exponent == -9


def test_quantises_half_to_even_and_lets_the_largest_absorb_the_rest() -> None:
    assert quantise((1 / 3, 1 / 3, 1 / 3)) == decimals("0.333333334", "0.333333333", "0.333333333")
    # 2^-10 = 0.0009765625 and 3 * 2^-10 = 0.0029296875 lie exactly between two neighbours.
    assert quantise((2**-10, 3 * 2**-10, 1 - 2**-8)) == decimals("0.000976562", "0.002929688", "0.99609375")


@for_all(st.lists(st.floats(min_value=0, max_value=1), min_size=4, max_size=4).filter(lambda shares: sum(shares) > 0.1))
def test_probabilities_always_sum_to_exactly_one(raw: list[float]) -> None:
    shares = quantise([share / sum(raw) for share in raw])
    assert sum(shares) == 1
    assert all(0 <= share <= 1 and share.as_tuple().exponent >= -9 for share in shares)  # type: ignore[operator]
    assert 0 <= uncertainty(shares) <= 1


def test_is_unknown_and_clueless_until_two_hundred_bars() -> None:
    spec = warmed(RISING, bars=UNKNOWN_BARS - 2).when(bar(RISING))
    (event,) = spec.of(RegimeClassified)
    assert (event.regime, event.uncertainty, event.bars_seen) == (Regime.UNKNOWN, 1, UNKNOWN_BARS - 1)
    assert {one.probability for one in event.probabilities} == {Decimal("0.25")}
    (event,) = spec.when(bar(RISING)).of(RegimeClassified)
    assert (event.regime, event.previous, event.bars_seen) == (Regime.TREND_UP, Regime.UNKNOWN, UNKNOWN_BARS)
    assert event.uncertainty == uncertainty(decimals("0.97", "0.01", "0.01", "0.01"))
    assert [one.regime for one in event.probabilities] == list(LABELS)
    assert (event.model, event.features_event_id, event.backfill) == ("RULES", "features", True)


def test_switches_on_the_third_bar_running_that_a_challenger_leads() -> None:
    up, down = Regime.TREND_UP, Regime.TREND_DOWN
    assert labels(warmed(RISING), FALLING, FALLING, FALLING) == [up, up, down]
    assert labels(warmed(RISING), FALLING, FALLING, RISING, FALLING, FALLING, FALLING) == [up] * 5 + [down]


def test_a_change_of_challenger_starts_the_count_again() -> None:
    up = Regime.TREND_UP
    assert labels(warmed(RISING), FALLING, FALLING, WILD, WILD, WILD) == [up] * 4 + [Regime.VOLATILE]


@pytest.mark.parametrize(("adx", "after"), [(23.6, Regime.RANGE), (23.7, Regime.TREND_UP)])
def test_a_challenger_must_lead_by_fifteen_hundredths(adx: float, after: Regime) -> None:
    # The trend has (adx - 15) / 15 of the evidence, the range the rest: a lead of 0.96 * 0.14667 = 0.1408, and of
    # 0.96 * 0.16 = 0.1536.
    assert labels(warmed(RANGING), *[{**RISING, "adx_14": adx}] * 3)[-1] is after


def test_labels_each_instrument_on_its_own_and_only_its_timeframe() -> None:
    spec = warmed(RISING).when(bar(RISING, instrument_id="ETH-USDT-SWAP"))
    assert label(spec) is Regime.UNKNOWN
    spec.when(bar(RISING, timeframe="1h")).then()


def test_features_that_warm_up_again_make_it_unknown_again() -> None:
    spec = warmed(RISING).when(bar({"close": 1.0}))
    (event,) = spec.of(RegimeClassified)
    assert (event.regime, event.previous, event.uncertainty) == (Regime.UNKNOWN, Regime.TREND_UP, 1)
    assert spec.state.labels["BTC-USDT-SWAP"] == Label()
    assert label(spec.when(bar(RISING))) is Regime.UNKNOWN


def test_another_regime_timeframe_starts_afresh_and_the_same_one_does_not() -> None:
    spec = warmed(RISING).when(settings_changed())
    assert label(spec.when(bar(RISING))) is Regime.TREND_UP
    spec.when(settings_changed(regime_timeframe="1h"))
    assert label(spec.when(bar(RISING, timeframe="1h"))) is Regime.UNKNOWN


def at_close(close: float) -> dict[str, float]:
    return {**RISING, "close": close}


def steady(bars: int) -> list[Message]:
    """Closes that go up 1 % and back: squared returns all but equal, so their deviation counts as their mean."""
    return [bar(at_close(100.0 if index % 2 else 101.0)) for index in range(bars)]


def test_a_jump_in_volatility_is_unknown_on_its_bar_and_the_eight_after_it() -> None:
    spec = given(STAGE, message(settings_changed()), *steady(UNKNOWN_BARS))
    # 4 % is 16 times the usual square: z = 15, the sum 14.5 > 8. The last close was 100.
    after = labels(spec, *[at_close(104.0)] * 10)
    assert after == [Regime.UNKNOWN] * 9 + [Regime.TREND_UP]
    (event,) = spec.of(RegimeClassified)
    assert (event.previous, event.bars_seen) == (Regime.UNKNOWN, UNKNOWN_BARS + 10)


def test_a_smaller_jump_needs_another_one_to_be_a_change_point() -> None:
    spec = given(STAGE, message(settings_changed()), *steady(UNKNOWN_BARS))
    # 3 % is 9.1 times the usual square: z = 8.1, the sum 7.6; 2 % adds more than 0.4 to it.
    assert labels(spec, at_close(103.0), at_close(103.0 * 1.02)) == [Regime.TREND_UP, Regime.UNKNOWN]


def test_a_market_that_falls_silent_is_a_change_point_too() -> None:
    # z = -1 on every bar without a move, so the lower sum gains 0.5 a bar and is above 8 on the 17th.
    watch = Watch()
    for index in range(UNKNOWN_BARS):
        watch = observe(watch, 100.0 if index % 2 else 101.0)
    since = []
    for _ in range(18):
        watch = observe(watch, watch.close)
        since.append(watch.since)
    assert since.index(0) == 16


def test_the_running_sums_are_those_of_the_window() -> None:
    watch = Watch()
    for index in range(WINDOW + 300):
        watch = observe(watch, 100.0 + (index * index) % 17)
    assert len(watch.squares) == WINDOW
    assert watch.total == pytest.approx(fsum(watch.squares), rel=1e-12)
    assert watch.total_squares == pytest.approx(fsum(square * square for square in watch.squares), rel=1e-12)


def test_a_flat_market_has_no_change_point() -> None:
    assert set(labels(warmed(RISING), *[RISING] * 20)) == {Regime.TREND_UP}


def test_decide_leaves_the_state_alone() -> None:
    spec = warmed(RISING)
    before = repr(spec.state)
    assert STAGE.decide(spec.state, bar(WILD))
    assert repr(spec.state) == before
