"""The rules planner: the regime chooses the strategy, the strategy the entry, the stop and the exits.

| regime | strategies, in this order |
|---|---|
| TREND_UP | trend, breakout: LONG only |
| TREND_DOWN | trend, breakout: SHORT only |
| RANGE | mean_reversion, both sides |
| VOLATILE | breakout, both sides |
| UNKNOWN | none: REGIME_UNKNOWN |

A score of at least the recipe's in an allowed direction is a set-up. A limit entry waits two bars less a minute, a
market entry one. What the account may afford, cool-downs, reward and distances are risk's business, and it says no on
the log. Distances are multiples of the 14-bar ATR. The constants are round numbers chosen by hand, not fitted to data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from schemas.events.common import OrderType, PositionSide, Quality, Regime
from schemas.events.plan import DeclineReason, Entry, Rationale, StopSpec, Target
from schemas.events.risk import StateCause
from schemas.timeframes import TIMEFRAMES
from schemas.values import SECOND, Percent, Ratio, plain
from streams.core.planner.prices import passive, sign_of, tighter, to_decimal
from streams.core.planner.state import Score

ACCOUNT = "account"
_HUNDRED = Decimal(100)
_CENT = Decimal("0.01")
_LONG, _SHORT = PositionSide.LONG, PositionSide.SHORT

CHOICES: dict[Regime, tuple[tuple[str, ...], tuple[PositionSide, ...]]] = {
    Regime.TREND_UP: (("trend", "breakout"), (_LONG,)),
    Regime.TREND_DOWN: (("trend", "breakout"), (_SHORT,)),
    Regime.RANGE: (("mean_reversion",), (_LONG, _SHORT)),
    Regime.VOLATILE: (("breakout",), (_LONG, _SHORT)),
}
"""Strategies and sides each regime allows."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One strategy's prices, in multiples of the ATR from the last price, and its exits.

    setup_score: smallest score that is a set-up; reversion asks for more, because costs eat its smaller moves.
    pullback: how far a limit entry waits against the move; None enters at market. targets: (ATR from the entry,
    fraction); empty: the Bollinger middle, whole. trail: distance in ATR once one R in favour.
    """

    setup_score: float
    pullback: Decimal | None
    stop: Decimal
    targets: tuple[tuple[Decimal, Ratio], ...] = ()
    break_even_at_r: Ratio | None = None
    trail: Decimal | None = None
    invalidation: str = ""


RECIPES: dict[str, Recipe] = {
    "trend": Recipe(
        setup_score=0.5,
        pullback=Decimal("0.25"),
        stop=Decimal(2),
        targets=((Decimal(3), Ratio(Decimal("0.5"))), (Decimal(6), Ratio(Decimal("0.5")))),
        break_even_at_r=Ratio(Decimal(1)),
        trail=Decimal("2.5"),
        invalidation="the EMA 12/26 spread turns or price closes on the other side of EMA 50",
    ),
    "breakout": Recipe(
        setup_score=0.5,
        pullback=None,
        stop=Decimal("1.5"),
        targets=((Decimal(3), Ratio(Decimal(1))),),
        invalidation="price closes back inside the 20-bar channel",
    ),
    "mean_reversion": Recipe(
        setup_score=0.75,
        pullback=Decimal("0.1"),
        stop=Decimal(2),
        invalidation="the regime turns from range to trend",
    ),
}


@dataclass(frozen=True, slots=True)
class View:
    """Everything the rules look at. ``scores``: of the features at hand only."""

    last_price: Decimal | None
    tick_size: Decimal | None
    quality: Quality
    held: bool
    features: Mapping[str, float]
    features_id: str
    warming_up: tuple[str, ...]
    scores: Mapping[str, Score]
    regime: Regime
    uncertainty: Decimal | None
    regime_id: str
    causes: tuple[StateCause, ...]
    strategies: tuple[str, ...]
    timeframe: str


@dataclass(frozen=True, slots=True)
class Decline:
    """No plan, and why."""

    reason: DeclineReason
    detail: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setup:
    """A plan before it is addressed: prices absolute and on the tick."""

    side: PositionSide
    strategy: str
    entry: Entry
    stop: StopSpec
    targets: tuple[Target, ...]
    valid_for_s: int
    max_holding_s: int
    rationale: Rationale
    confidence: Ratio


def propose(view: View) -> Setup | Decline:
    """Return the set-up the rules see, or the reason there is none."""
    why = held_back(view)
    if why is not None:
        return why
    evidence = _evidence(view)
    if view.regime is Regime.UNKNOWN or view.last_price is None:
        return Decline(DeclineReason.REGIME_UNKNOWN, "the market has no label yet", evidence)
    return _choose(view, view.last_price, evidence)


def _evidence(view: View) -> tuple[str, ...]:
    return tuple(item for item in (view.features_id, view.regime_id) if item)


def held_back(view: View) -> Decline | None:
    """Return why nobody needs to look for a set-up now, or None."""
    causes = [cause for cause in view.causes if cause.scope == ACCOUNT]
    evidence = _evidence(view)
    if causes:
        listed = ", ".join(f"{cause.kind.value} {cause.state.value}" for cause in causes)
        return Decline(DeclineReason.STATE_NOT_ACTIVE, listed, evidence)
    if view.quality is Quality.BAD:
        return Decline(DeclineReason.DATA_QUALITY_BAD, "instrument quality is BAD", evidence)
    if view.held:
        return Decline(DeclineReason.POSITION_OPEN, "the instrument has a position", evidence)
    if not view.features_id or view.warming_up or view.last_price is None:
        listed = ", ".join(view.warming_up) or "no features yet"
        return Decline(DeclineReason.WARMING_UP, listed, evidence)
    return None


def _choose(view: View, last: Decimal, evidence: tuple[str, ...]) -> Setup | Decline:
    wanted, sides = CHOICES[view.regime]
    seen = []
    for strategy in wanted:
        score = view.scores.get(strategy)
        if strategy not in view.strategies or score is None:
            continue
        seen.append(f"{strategy} {score.score:+.3f}")
        side = _LONG if score.score > 0 else _SHORT
        strong = abs(score.score) >= RECIPES[strategy].setup_score
        if strong and side in sides and view.features.get("atr_14", 0.0) > 0.0:
            return _setup(view, strategy, score, side, last)
    detail = f"{view.regime.value}: " + (", ".join(seen) or "no strategy enabled for it")
    return Decline(DeclineReason.NO_SETUP, detail, evidence)


def _setup(view: View, strategy: str, score: Score, side: PositionSide, last: Decimal) -> Setup:
    recipe, sign, tick = RECIPES[strategy], sign_of(side), view.tick_size
    atr = to_decimal(view.features["atr_14"])
    entry = Entry(OrderType.MARKET)
    price, bars = last, 1
    if recipe.pullback is not None:
        limit = passive(last - sign * recipe.pullback * atr, tick, buy=side is _LONG)
        price, bars, entry = limit, 2, Entry(OrderType.LIMIT, limit_price=limit)
    trail = None if recipe.trail is None else Percent((recipe.trail * atr / last * _HUNDRED).quantize(_CENT))
    stop = StopSpec(
        trigger_price=tighter(price - sign * recipe.stop * atr, tick, side),
        break_even_at_r=recipe.break_even_at_r,
        trail_distance_pct=trail,
        trail_from_r=None if trail is None else Ratio(Decimal(1)),
    )
    return Setup(
        side=side,
        strategy=strategy,
        entry=entry,
        stop=stop,
        targets=_targets(view, recipe, price, atr, side),
        valid_for_s=max(60, bars * TIMEFRAMES[view.timeframe] // SECOND - 60),
        max_holding_s=max(60, score.horizon_s),
        rationale=_rationale(view, strategy, score, recipe, atr),
        confidence=Ratio(abs(to_decimal(score.score)).quantize(_CENT)),
    )


def _targets(view: View, recipe: Recipe, price: Decimal, atr: Decimal, side: PositionSide) -> tuple[Target, ...]:
    sell, tick = side is _LONG, view.tick_size
    if not recipe.targets:
        middle = to_decimal(view.features["bb_mid"])
        return (Target(passive(middle, tick, buy=not sell), Ratio(Decimal(1))),)
    return tuple(
        Target(passive(price + sign_of(side) * distance * atr, tick, buy=not sell), fraction)
        for distance, fraction in recipe.targets
    )


def _rationale(view: View, strategy: str, score: Score, recipe: Recipe, atr: Decimal) -> Rationale:
    uncertainty = "unknown" if view.uncertainty is None else plain(view.uncertainty)
    summary = (
        f"{strategy} scores {score.score:+.3f} in {view.regime.value} (uncertainty {uncertainty}); "
        f"stop {plain(recipe.stop)} ATR of {plain(atr.quantize(_CENT))} away"
    )
    evidence = (view.features_id, score.event_id, view.regime_id)
    return Rationale(summary, recipe.invalidation, tuple(item for item in evidence if item))
