"""The rule classifier: label probabilities of one bar's features, their uncertainty, and the label after hysteresis.

Evidence, each a straight ramp from 0 to 1:

- volatile: rank of the realised volatility within its last week, 0.85 to 1.00;
- trend: ADX, 15 to 30;
- up: share of the directional movement that is up, ``plus_di / (plus_di + minus_di)``, 0.35 to 0.65.

VOLATILE gets ``volatile``; of the rest the trend's part goes to TREND_UP and TREND_DOWN by ``up``, the other to RANGE.
Then DOUBT is taken from each in proportion and shared out equally: rules this plain are never certain.
The constants are round numbers chosen by hand, not fitted to any data.

Floats end here: probabilities are quantised to 9 decimals before they enter state, event or comparison, and the
uncertainty is computed from those in Decimal, whose ``ln`` is correctly rounded and so the same on every CPU.
Source: domain definitions, section 9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, FloatOperation

from schemas.events.common import Regime

LABELS = (Regime.TREND_UP, Regime.TREND_DOWN, Regime.RANGE, Regime.VOLATILE)
NEEDS = ("adx_14", "plus_di_14", "minus_di_14", "rv_rank")

DOUBT = 0.04

_NINE = Decimal("0.000000001")
_ONE = Decimal(1)
_CONTEXT = Context(prec=20, rounding=ROUND_HALF_EVEN, traps=[FloatOperation])


def probabilities(features: Mapping[str, float]) -> tuple[Decimal, ...]:
    """Return the probability of each of LABELS, to 9 decimals, summing to exactly 1."""
    volatile = _ramp(features["rv_rank"], 0.85, 1.0)
    trending = (1.0 - volatile) * _ramp(features["adx_14"], 15.0, 30.0)
    moved = features["plus_di_14"] + features["minus_di_14"]
    up = _ramp(features["plus_di_14"] / moved, 0.35, 0.65) if moved > 0.0 else 0.5
    evidence = (trending * up, trending * (1.0 - up), 1.0 - volatile - trending, volatile)
    return quantise([(1.0 - DOUBT) * share + DOUBT / len(LABELS) for share in evidence])


def quantise(shares: Sequence[float]) -> tuple[Decimal, ...]:
    """Return each share to 9 decimals, half to even; the largest (the first of equals) absorbs the difference to 1."""
    rounded = [Decimal.from_float(max(0.0, share)).quantize(_NINE, rounding=ROUND_HALF_EVEN) for share in shares]
    largest = rounded.index(max(rounded))
    rounded[largest] += _ONE - sum(rounded, Decimal(0))
    return tuple(rounded)


def uncertainty(shares: Sequence[Decimal]) -> Decimal:
    """Return ``-sum p ln p / ln K`` of K shares, to 9 decimals: 0 certain, 1 clueless."""
    terms = (_CONTEXT.multiply(share, _CONTEXT.ln(share)) for share in shares if share > 0)
    entropy = -sum(terms, Decimal(0))
    return _CONTEXT.divide(entropy, _CONTEXT.ln(Decimal(len(shares)))).quantize(_NINE, rounding=ROUND_HALF_EVEN)


def _ramp(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))
