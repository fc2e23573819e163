"""Every denial code: one plan it denies, and one at its boundary that it lets pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from schemas.envelope import Event, Message
from schemas.events.common import (
    EntryEnd,
    ExitReason,
    MarginMode,
    OrderPurpose,
    OrderType,
    PlanOrigin,
    PositionSide,
    Quality,
    QuantityUnit,
    Side,
    TradingState,
)
from schemas.events.control import PauseTrading, ResumeTrading, SettingsChanged
from schemas.events.data import QualityChanged
from schemas.events.market import InstrumentState, MarginTier, Quote
from schemas.events.orders import EntryEnded, OrderIntended
from schemas.events.plan import Entry, StopSpec
from schemas.events.risk import CheckResult, DenialCode, PlanApproved, PlanDenied
from schemas.values import SECOND, Micros, Percent, Price, Quantity, Rate, Ratio
from streams.core.risk import STAGE
from tests.builders import T0, btc_spot, btc_swap, settings_changed
from tests.risk_desk import (
    BTC,
    ETH,
    SPOT,
    bar,
    check,
    closed,
    desk,
    equity,
    failures,
    limit_entry,
    mark,
    plan,
    position,
    regime,
    snapshot,
    verdict,
)
from tests.spec import Spec, as_message, given

D = Decimal
LATER = T0 + 3600 * SECOND
SHORT = PositionSide.SHORT


def judged(spec: Spec, *, ts: int = T0, **changes: Any) -> Spec:
    """Put a plan before the desk at ``ts``, with fresh prices."""
    if ts != T0:
        for fresh in (bar("80000", ts=ts), mark("80000", ts=ts)):
            spec.when(fresh)
    return spec.when(as_message(plan(ts=ts, **changes), ts))


def swap(**changes: Any) -> Any:
    return replace(btc_swap(), **changes)


def on(*past: Event | Message, plan_changes: dict[str, Any] | None = None, **settings: object) -> Spec:
    return judged(desk(*past, **settings), **(plan_changes or {}))


def without_setting(*names: str) -> Spec:
    full = settings_changed()
    values = {name: value for name, value in full.values.items() if name not in names}
    event = SettingsChanged(full.scope, values, full.digest, full.reason)
    return judged(given(STAGE, event, snapshot(), btc_swap(), bar("80000"), mark("80000"), equity("10000")))


def without_equity() -> Spec:
    return judged(given(STAGE, settings_changed(), snapshot(), btc_swap(), bar("80000"), mark("80000")))


def without_snapshot() -> Spec:
    return judged(given(STAGE, settings_changed(), btc_swap(), bar("80000"), mark("80000"), equity("10000")))


def aged(seconds: int, microseconds: int = 0) -> Spec:
    ts = T0 + seconds * SECOND + microseconds
    return desk().when(as_message(plan(ts=ts), ts))


def entered_and_ended(**settings: object) -> Spec:
    """A desk whose first entry was approved at T0 and expired without a fill."""
    spec = judged(desk(**settings))
    assert isinstance(verdict(spec), PlanApproved)
    return spec.when(EntryEnded("p1", "paper", BTC, "c1", EntryEnd.EXPIRED, Quantity(D(0))))


def losses(reason: ExitReason, ts: int) -> Spec:
    spec = desk(losing_streak_max=3, stop_guard_n=3)
    for _ in range(3):
        spec.when(closed("-1", ts=T0, reason=reason))
    return judged(spec, ts=ts)


def paused(*events: Event) -> Spec:
    return judged(desk(*events))


def uncertain(u: str) -> Spec:
    return on(regime(u), plan_changes={"origin": PlanOrigin.RULES})


def valid_until(ts: int) -> Spec:
    return on(plan_changes={"ts_valid_until": Micros(ts)})


def stopped_at(stop: str | None, **changes: Any) -> Spec:
    return on(plan_changes={"stop": stop, **changes})


def marked(price: str) -> Spec:
    return judged(desk(mark(price)))


def targeted(price: str) -> Spec:
    return on(plan_changes={"targets": [(price, "1")]})


def no_exit() -> Spec:
    return on(plan_changes={"max_holding_s": None})


def trailing() -> Spec:
    spec = StopSpec(Price(D(79200)), trail_distance_pct=Percent(D(1)))
    return desk().when(replace(plan(max_holding_s=None), stop=spec))


def limit(price: str, stop: str = "77000") -> Spec:
    return stopped_at(stop, entry=limit_entry(price))


def post_only(price: str, *, ask: str | None = None) -> Spec:
    size = Quantity(D(1))
    quote = [] if ask is None else [Quote(BTC, Price(D(ask) - D("0.1")), size, Price(D(ask)), size)]
    return on(*quote, plan_changes={"entry": limit_entry(price, post_only=True)})


def minimum(quantity: str) -> Spec:
    return judged(desk(instrument=swap(min_quantity=Quantity(D(quantity)))))


def maximum(quantity: str) -> Spec:
    return judged(desk(instrument=swap(market_quantity_max=Quantity(D(quantity)))))


def last_tier(quantity: str) -> Spec:
    tier = MarginTier(MarginMode.ISOLATED, 1, Quantity(D(quantity)), Rate(D("0.004")), Ratio(D(100)))
    return judged(desk(instrument=swap(tiers=(tier,))))


def cash(amount: str) -> Spec:
    return on(equity("10000", cash=amount), margin_leverage_max=50)


def guarded(buffer_pct: int) -> Spec:
    return on(plan_changes={"stop": "80800", "side": SHORT}, liquidation_buffer_pct=buffer_pct)


def ordered(ts: int) -> Spec:
    order = OrderIntended(
        client_order_id="c0",
        plan_id="other",
        account_id="paper",
        instrument_id=BTC,
        purpose=OrderPurpose.TARGET,
        target_index=0,
        side=Side.SELL,
        position_side=PositionSide.LONG,
        type=OrderType.LIMIT,
        quantity=Quantity(D(1)),
        quantity_unit=QuantityUnit.CONTRACT,
        limit_price=Price(D(90000)),
        trigger_price=None,
        trigger_price_type=None,
        post_only=False,
        reduce_only=True,
        margin_mode=MarginMode.ISOLATED,
        margin_leverage=10,
        valid_until=None,
        exit_reason=None,
    )
    return judged(desk(order, messages_per_2s_max=1), ts=ts)


Case = Callable[[], Spec]
C = DenialCode
CASES: dict[DenialCode, tuple[Case, Case]] = {
    C.LIMIT_NOT_CONFIGURED: (lambda: without_setting("heat_pct_max"), lambda: without_setting("seed")),
    C.INPUT_MISSING: (without_equity, on),
    C.INPUT_STALE: (lambda: aged(180, 1), lambda: aged(180)),
    C.NOT_RECONCILED: (without_snapshot, on),
    C.DRAWDOWN_EXCEEDS_LIMIT: (
        lambda: on(equity("6000", peak="10000", day_start="6000")),
        lambda: on(equity("6000.00000001", peak="10000", day_start="6000")),
    ),
    C.DAILY_LOSS_EXCEEDS_LIMIT: (
        lambda: on(equity("8500", day_start="10000")),
        lambda: on(equity("8500.00000001", day_start="10000")),
    ),
    C.LOSING_STREAK_COOLDOWN: (lambda: losses(ExitReason.TIME, LATER - 1), lambda: losses(ExitReason.TIME, LATER)),
    C.STOP_GUARD_ACTIVE: (
        lambda: losses(ExitReason.STOP, T0 + 14400 * SECOND - 1),
        lambda: losses(ExitReason.STOP, T0 + 14400 * SECOND),
    ),
    C.EXECUTION_THROTTLED: (
        lambda: judged(entered_and_ended(entries_per_hour_max=1), ts=LATER - 1),
        lambda: judged(entered_and_ended(entries_per_hour_max=1), ts=LATER),
    ),
    C.TRADING_HALTED: (
        lambda: paused(PauseTrading("paper", TradingState.HALTED)),
        lambda: paused(PauseTrading("paper", TradingState.REDUCING)),
    ),
    C.TRADING_REDUCING: (
        lambda: paused(PauseTrading("paper", TradingState.REDUCING)),
        lambda: paused(PauseTrading("paper", TradingState.REDUCING), ResumeTrading("paper")),
    ),
    C.INSTRUMENT_NOT_ALLOWED: (lambda: on(instruments_allowed=ETH), lambda: on(instruments_allowed=BTC)),
    C.INSTRUMENT_NOT_TRADABLE: (lambda: judged(desk(instrument=swap(state=InstrumentState.SUSPEND))), on),
    C.SHORT_NOT_AVAILABLE: (
        lambda: judged(desk(instrument=btc_spot()), instrument_id=SPOT, side=SHORT, stop="80800"),
        lambda: judged(desk(instrument=btc_spot()), instrument_id=SPOT),
    ),
    C.DATA_QUALITY_BAD: (
        lambda: on(QualityChanged(BTC, Quality.BAD, Quality.GOOD, ())),
        lambda: on(QualityChanged(BTC, Quality.DEGRADED, Quality.GOOD, ())),
    ),
    C.REGIME_UNCERTAINTY_EXCEEDS_LIMIT: (lambda: uncertain("0.95"), lambda: uncertain("0.949999999")),
    C.PLAN_EXPIRED: (lambda: valid_until(T0), lambda: valid_until(T0 + 1)),
    C.PLAN_DUPLICATE: (
        lambda: judged(entered_and_ended(), ts=T0 + 60 * SECOND - 1),
        lambda: judged(entered_and_ended(), ts=T0 + 60 * SECOND),
    ),
    C.POSITION_OPEN: (lambda: on(position("1")), lambda: on(position("1"), position("0"))),
    C.POSITION_COUNT_EXCEEDS_LIMIT: (
        lambda: on(position("1", instrument_id=ETH), positions_max=1),
        lambda: on(position("1", instrument_id=ETH), positions_max=2),
    ),
    C.STOP_MISSING: (lambda: stopped_at(None), on),
    C.STOP_WRONG_SIDE: (lambda: marked("79200"), lambda: marked("79200.1")),
    C.STOP_TOO_CLOSE: (lambda: stopped_at("79960.1"), lambda: stopped_at("79960")),
    C.STOP_TOO_FAR: (lambda: stopped_at("63999.9"), lambda: stopped_at("64000")),
    C.TARGET_WRONG_SIDE: (lambda: targeted("80000"), lambda: targeted("80000.1")),
    C.EXIT_MISSING: (no_exit, trailing),
    C.REWARD_RISK_BELOW_MINIMUM: (lambda: targeted("80799.9"), lambda: targeted("80800")),
    C.PRICE_OUTSIDE_COLLAR: (lambda: limit("78399.9"), lambda: limit("78400")),
    C.POST_ONLY_WOULD_TAKE: (
        lambda: post_only("80000", ask="80000"),
        lambda: post_only("79999.9", ask="80000"),
    ),
    C.QUANTITY_BELOW_MINIMUM: (lambda: minimum("10.87"), lambda: minimum("10.86")),
    C.QUANTITY_EXCEEDS_LIMIT: (lambda: maximum("10.85"), lambda: maximum("10.86")),
    C.NOTIONAL_EXCEEDS_LIMIT: (lambda: on(notional_max="8687.99"), lambda: on(notional_max="8688")),
    C.LEVERAGE_EXCEEDS_LIMIT: (lambda: on(leverage_max="0.86879999"), lambda: on(leverage_max="0.8688")),
    C.TRADE_LOSS_EXCEEDS_LIMIT: (
        lambda: on(trade_loss_pct_max="0.9982296971"),
        lambda: on(trade_loss_pct_max="0.9982296972"),
    ),
    C.HEAT_EXCEEDS_LIMIT: (lambda: on(heat_pct_max="0.9982296971"), lambda: on(heat_pct_max="0.9982296972")),
    C.CORRELATED_EXPOSURE_EXCEEDS_LIMIT: (
        lambda: on(correlated_leverage_max="0.86879999"),
        lambda: on(correlated_leverage_max="0.8688"),
    ),
    C.TIER_EXCEEDS_LIMIT: (lambda: last_tier("10.85"), lambda: last_tier("10.86")),
    C.LIQUIDATION_TOO_CLOSE: (lambda: guarded(99), lambda: guarded(20)),
    C.MARGIN_INSUFFICIENT: (lambda: cash("178.10399999"), lambda: cash("178.104")),
    C.MESSAGE_RATE_EXCEEDS_LIMIT: (lambda: ordered(T0 + 2 * SECOND - 1), lambda: ordered(T0 + 2 * SECOND)),
}


def test_every_code_has_its_case() -> None:
    assert list(CASES) == list(DenialCode)


@pytest.mark.parametrize("code", list(DenialCode))
def test_a_plan_past_the_limit_is_denied_with_the_code(code: DenialCode) -> None:
    answer = verdict(CASES[code][0]())
    assert isinstance(answer, PlanDenied)
    assert answer.code is code, answer.detail
    assert answer.detail.startswith(f"{code.value}: value=")
    assert [item.code for item in answer.checks] == list(DenialCode)


@pytest.mark.parametrize("code", list(DenialCode))
def test_a_plan_at_the_boundary_passes_the_check(code: DenialCode) -> None:
    spec = CASES[code][1]()
    result = check(spec, code).result
    assert result is CheckResult.PASS, check(spec, code)
    assert code not in failures(spec)


def test_an_approval_lists_every_check_and_skips_none() -> None:
    answer = verdict(on())
    assert isinstance(answer, PlanApproved)
    assert [item.code for item in answer.checks] == list(DenialCode)
    results = {item.result for item in answer.checks}
    assert results == {CheckResult.PASS, CheckResult.NOT_APPLICABLE}
    not_applicable = [item.code for item in answer.checks if item.result is CheckResult.NOT_APPLICABLE]
    expected = [C.REGIME_UNCERTAINTY_EXCEEDS_LIMIT, C.REWARD_RISK_BELOW_MINIMUM, C.POST_ONLY_WOULD_TAKE]
    assert not_applicable == expected


def test_margin_checks_do_not_apply_to_spot() -> None:
    spec = judged(desk(instrument=btc_spot()), instrument_id=SPOT)
    assert isinstance(verdict(spec), PlanApproved)
    for code in (C.TIER_EXCEEDS_LIMIT, C.LIQUIDATION_TOO_CLOSE, C.MARGIN_INSUFFICIENT):
        assert check(spec, code).result is CheckResult.NOT_APPLICABLE


def test_without_settings_nothing_is_in_force() -> None:
    spec = judged(given(STAGE, btc_swap(), bar("80000"), equity("10000")))
    assert verdict(spec).code is C.LIMIT_NOT_CONFIGURED
    assert check(spec, C.LEVERAGE_EXCEEDS_LIMIT).result is CheckResult.SKIPPED
    assert check(spec, C.PLAN_EXPIRED).result is CheckResult.PASS


def test_a_missing_stop_skips_only_what_needs_one() -> None:
    spec = stopped_at(None)
    assert check(spec, C.STOP_TOO_CLOSE).result is CheckResult.SKIPPED
    assert check(spec, C.QUANTITY_BELOW_MINIMUM).result is CheckResult.SKIPPED
    assert check(spec, C.PRICE_OUTSIDE_COLLAR).result is CheckResult.PASS


def test_live_mode_denies_a_stale_mark_instead_of_substituting_it() -> None:
    ts = T0 + 30 * SECOND
    fresh = desk(mark_substitute="false").when(as_message(plan(ts=ts), ts))
    assert isinstance(verdict(fresh), PlanApproved)
    stale = desk(mark_substitute="false").when(as_message(plan(ts=ts + 1), ts + 1))
    assert (verdict(stale).code, check(stale, C.INPUT_STALE).value) == (C.INPUT_STALE, "mark")
    substituted = desk().when(as_message(plan(ts=ts + 1), ts + 1))
    assert check(substituted, C.PRICE_OUTSIDE_COLLAR).inputs["mark_source"] == "LAST"


def test_a_required_funding_rate_that_is_missing_denies() -> None:
    spec = on(funding_required="true")
    assert (verdict(spec).code, check(spec, C.INPUT_MISSING).value) == (C.INPUT_MISSING, "funding_rate")


def test_a_stop_under_five_ticks_is_too_close() -> None:
    spec = judged(desk(instrument=swap(tick_size=Price(D(200)))))
    assert check(spec, C.STOP_TOO_CLOSE).result is CheckResult.FAIL
    assert check(spec, C.STOP_TOO_CLOSE).inputs["ticks"] == "4"
    five = judged(desk(instrument=swap(tick_size=Price(D(160)))))
    assert check(five, C.STOP_TOO_CLOSE).result is CheckResult.PASS


def test_on_a_bar_feed_post_only_at_the_last_price_may_rest() -> None:
    assert check(post_only("80000"), C.POST_ONLY_WOULD_TAKE).result is CheckResult.PASS
    assert check(post_only("80000.1"), C.POST_ONLY_WOULD_TAKE).result is CheckResult.FAIL


def test_an_operator_passes_the_uncertainty_gate_with_the_value_shown() -> None:
    found = check(on(regime("0.99")), C.REGIME_UNCERTAINTY_EXCEEDS_LIMIT)
    assert (found.result, found.value) == (CheckResult.NOT_APPLICABLE, "0.99")


def test_an_unknown_regime_counts_as_uncertainty_one() -> None:
    found = check(on(plan_changes={"origin": PlanOrigin.RULES}), C.REGIME_UNCERTAINTY_EXCEEDS_LIMIT)
    assert (found.result, found.value) == (CheckResult.FAIL, "1")


def test_a_working_entry_holds_its_instrument_until_it_ends() -> None:
    spec = judged(desk())
    again = judged(spec, ts=T0 + 120 * SECOND)
    assert verdict(again).code is C.POSITION_OPEN
    spec.when(EntryEnded("p1", "paper", BTC, "c1", EntryEnd.EXPIRED, Quantity(D(0))))
    assert isinstance(verdict(judged(spec, ts=T0 + 180 * SECOND)), PlanApproved)


def test_a_market_entry_is_measured_from_the_quote_it_takes() -> None:
    size = Quantity(D(1))
    quote = Quote(BTC, Price(D("79999.9")), size, Price(D("80000.3")), size)
    spec = on(quote, plan_changes={"entry": Entry(OrderType.MARKET)})
    assert verdict(spec).sizing.reference_price == D("80000.3")
    on_bars = on(plan_changes={"entry": Entry(OrderType.MARKET)})
    assert verdict(on_bars).sizing.reference_price == D(80000)
