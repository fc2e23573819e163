"""Checks on the plan's own prices and on the size they give: STOP_MISSING to MESSAGE_RATE_EXCEEDS_LIMIT."""

from __future__ import annotations

from decimal import Decimal

from schemas.events.common import OrderType, TriggerPriceType
from schemas.events.risk import DenialCode as Code
from schemas.values import SECOND
from streams.core.risk.checks import Finding, Rule, finding
from streams.core.risk.context import Context, the
from streams.core.risk.sizing import stop_distance_pct

HUNDRED = Decimal(100)
ZERO = Decimal(0)
STOP_TICKS_MIN = 5
"""Source: domain definitions, section 11, STOP_TOO_CLOSE."""


def _stop_missing(context: Context) -> Finding:
    return finding(context.stop is not None, context.stop or "none", "a stop")


def _stop_wrong_side(context: Context) -> Finding:
    """A mark at the stop counts as past it: touched is triggered."""
    entry, stop, prices, sign = the(context.entry), the(context.stop), the(context.prices), context.sign
    watches_last = context.plan.stop is not None and context.plan.stop.trigger_price_type is TriggerPriceType.LAST
    beyond_mark = sign * (prices.mark - stop) > 0 and (not watches_last or sign * (prices.last - stop) > 0)
    ok = sign * (entry - stop) > 0 and beyond_mark
    source = prices.mark_source.value
    return finding(ok, stop, entry, side=context.plan.position_side.value, mark=prices.mark, mark_source=source)


def _distance(context: Context) -> Decimal:
    return stop_distance_pct(context.sign, the(context.entry), the(context.stop))


def _stop_too_close(context: Context) -> Finding:
    value, limit = _distance(context), the(context.settings).stop_distance_pct_min
    ticks = abs(the(context.entry) - the(context.stop)) / the(context.instrument).tick_size
    return finding(value >= limit and ticks >= STOP_TICKS_MIN, value, limit, ticks=ticks, ticks_min=STOP_TICKS_MIN)


def _stop_too_far(context: Context) -> Finding:
    value, limit = _distance(context), the(context.settings).stop_distance_pct_max
    return finding(value <= limit, value, limit)


def _target_wrong_side(context: Context) -> Finding:
    entry, targets = the(context.entry), [target.limit_price for target in context.plan.targets]
    wrong = [price for price in targets if context.sign * (price - entry) <= 0]
    side = context.plan.position_side.value
    return finding(not wrong, wrong[0] if wrong else None, entry, targets=len(targets), side=side)


def _exit_missing(context: Context) -> Finding:
    plan = context.plan
    trails = plan.stop is not None and plan.stop.trail_distance_pct is not None
    found = [
        name
        for name, there in (("target", plan.targets), ("trail", trails), ("max_holding_s", plan.max_holding_s))
        if there
    ]
    return finding(bool(found), ", ".join(found) or "none", "target, trail or max_holding_s")


def planned_r(context: Context) -> Decimal | None:
    """Return the fraction-weighted reward in multiples of the stop distance; None without targets or a stop distance.

    What no target covers counts as zero: nobody planned a reward for it.
    """
    entry, stop, targets = context.entry, context.stop, context.plan.targets
    if not targets or entry is None or stop is None or entry == stop:
        return None
    reward = sum((target.fraction * abs(target.limit_price - entry) for target in targets), ZERO)
    return reward / abs(entry - stop)


def _reward_risk(context: Context) -> Finding:
    value, limit = planned_r(context), the(context.settings).reward_risk_min
    if not context.plan.targets:
        return finding(None, None, limit)
    return finding(value is not None and value >= limit, value, limit)


def _collar(context: Context) -> Finding:
    entry, prices, limit = the(context.entry), the(context.prices), the(context.settings).collar_pct
    from_mark = abs(entry - prices.mark) / prices.mark * HUNDRED
    from_last = abs(entry - prices.last) / prices.last * HUNDRED
    value = max(from_mark, from_last)
    source = prices.mark_source.value
    return finding(value <= limit, value, limit, mark=prices.mark, last=prices.last, mark_source=source)


def _post_only(context: Context) -> Finding:
    """On a bar feed only a limit strictly through the last price surely takes (as the venue's first bar decides)."""
    plan, prices = context.plan, the(context.prices)
    if not plan.entry.post_only or plan.entry.type is not OrderType.LIMIT:
        return finding(None)
    touch = prices.last if prices.touch is None else prices.touch
    crossing = context.sign * (the(context.entry) - touch)
    ok = crossing <= 0 if prices.touch is None else crossing < 0
    return finding(ok, context.entry, touch, touch="LAST" if prices.touch is None else "QUOTE")


def _below_minimum(context: Context) -> Finding:
    size, limit = the(context.size), the(context.instrument).min_quantity
    ok = size.quantity >= limit and size.quantity > ZERO
    quality, regime, drawdown = the(context.scales)
    return finding(
        ok,
        size.quantity,
        limit,
        sized_by=size.sized_by.value,
        budget_pct=context.budget_pct,
        quality_scale=quality,
        regime_scale=regime,
        drawdown_scale=drawdown,
    )


def _above_maximum(context: Context) -> Finding:
    """The protective stop is a market order of the same quantity, so its maximum binds limit entries as well."""
    instrument, size = the(context.instrument), the(context.size)
    limit = instrument.market_maximum(the(context.entry))
    if context.plan.entry.type is OrderType.LIMIT:
        limit = min(limit, instrument.limit_quantity_max)
    return finding(size.quantity <= limit, size.quantity, limit)


def _notional(context: Context) -> Finding:
    value, limit = the(context.size).notional, the(context.settings).notional_max
    return finding(value <= limit, value, limit)


def leverage(context: Context) -> Decimal:
    """Return gross notional, this plan included, over equity; infinite without equity."""
    gross, equity = the(context.book).gross + the(context.size).notional, the(context.account).equity
    return gross / equity if equity > ZERO else Decimal("Infinity")


def _leverage(context: Context) -> Finding:
    value, limit = leverage(context), the(context.settings).leverage_max
    return finding(value <= limit, value, limit, open=the(context.book).gross, this=the(context.size).notional)


def _trade_loss(context: Context) -> Finding:
    cap = the(context.settings).trade_loss_pct_max
    limit, value = the(context.account).equity * cap / HUNDRED, context.worst_case_loss
    return finding(value <= limit, value, limit, funding_buffer=context.funding_buffer, limit_pct=cap)


def _heat(context: Context) -> Finding:
    cap, carried = the(context.settings).heat_pct_max, the(context.book).heat
    limit, value = the(context.account).equity * cap / HUNDRED, carried + context.worst_case_loss
    return finding(value <= limit, value, limit, open=carried, limit_pct=cap)


def _correlated(context: Context) -> Finding:
    equity, limit = the(context.account).equity, the(context.settings).correlated_leverage_max
    exposure = the(context.book).directed + the(context.size).notional
    value = exposure / equity if equity > ZERO else Decimal("Infinity")
    return finding(value <= limit, value, limit, exposure=exposure, side=context.plan.position_side.value)


def _tier(context: Context) -> Finding:
    if context.spot:
        return finding(None)
    facts, contracts = the(context.margin), the(context.book).contracts + the(context.size).quantity
    if facts.tier is None:
        tiers = [t.quantity_max for t in the(context.instrument).tiers if t.margin_mode.value == _mode(context)]
        return finding(False, contracts, max(tiers, default=ZERO), mode=_mode(context))
    cap = facts.tier.margin_leverage_max
    return finding(1 <= facts.cap <= cap, contracts, facts.tier.quantity_max, tier=facts.tier.tier, leverage_max=cap)


def _mode(context: Context) -> str:
    return the(context.settings).margin_mode


def _liquidation(context: Context) -> Finding:
    if context.spot:
        return finding(None)
    facts = the(context.margin)
    return finding(
        facts.leverage is not None,
        facts.stop_distance,
        facts.allowed_distance if facts.allowed_distance is not None else "no liquidation price",
        liquidation_price=facts.liquidation,
        margin_leverage=facts.leverage,
    )


def _margin(context: Context) -> Finding:
    if context.spot:
        return finding(None)
    facts, book = the(context.margin), the(context.book)
    value = the(context.account).cash - book.margins - book.reserved
    fee = context.entry_fee
    needed = facts.margin + fee
    return finding(value >= needed, value, needed, margin=facts.margin, entry_fee=fee, reserved=book.reserved)


def _message_rate(context: Context) -> Finding:
    limit = the(context.settings).messages_per_2s_max
    times = context.state.messages.get(f"{context.plan.instrument_id}|order", ())
    used = sum(context.now - ts < 2 * SECOND for ts in times)
    return finding(used + 1 <= limit, used + 1, limit, window_s=2)


_PRICED = ("settings", "instrument", "entry", "stop")
_SIZED = ("settings", "instrument", "account", "book", "size")

SIZE_RULES: tuple[Rule, ...] = (
    Rule(Code.STOP_MISSING, (), _stop_missing),
    Rule(Code.STOP_WRONG_SIDE, ("entry", "stop", "prices"), _stop_wrong_side),
    Rule(Code.STOP_TOO_CLOSE, _PRICED, _stop_too_close),
    Rule(Code.STOP_TOO_FAR, _PRICED, _stop_too_far),
    Rule(Code.TARGET_WRONG_SIDE, ("entry",), _target_wrong_side),
    Rule(Code.EXIT_MISSING, (), _exit_missing),
    Rule(Code.REWARD_RISK_BELOW_MINIMUM, ("settings", "entry", "stop"), _reward_risk),
    Rule(Code.PRICE_OUTSIDE_COLLAR, ("settings", "entry", "prices"), _collar),
    Rule(Code.POST_ONLY_WOULD_TAKE, ("entry", "prices"), _post_only),
    Rule(Code.QUANTITY_BELOW_MINIMUM, _SIZED, _below_minimum),
    Rule(Code.QUANTITY_EXCEEDS_LIMIT, _SIZED, _above_maximum),
    Rule(Code.NOTIONAL_EXCEEDS_LIMIT, _SIZED, _notional),
    Rule(Code.LEVERAGE_EXCEEDS_LIMIT, _SIZED, _leverage),
    Rule(Code.TRADE_LOSS_EXCEEDS_LIMIT, _SIZED, _trade_loss),
    Rule(Code.HEAT_EXCEEDS_LIMIT, _SIZED, _heat),
    Rule(Code.CORRELATED_EXPOSURE_EXCEEDS_LIMIT, _SIZED, _correlated),
    Rule(Code.TIER_EXCEEDS_LIMIT, ("settings", "instrument", "book", "margin_or_spot"), _tier),
    Rule(Code.LIQUIDATION_TOO_CLOSE, ("tier_or_spot",), _liquidation),
    Rule(Code.MARGIN_INSUFFICIENT, ("account", "book", "leverage_or_spot"), _margin),
    Rule(Code.MESSAGE_RATE_EXCEEDS_LIMIT, ("settings",), _message_rate),
)
