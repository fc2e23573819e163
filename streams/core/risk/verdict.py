"""The verdict on a plan: all forty checks, and the size and margin an approval stands for."""

from __future__ import annotations

from decimal import Decimal

from schemas.events.common import MarginMode, QuantityUnit
from schemas.events.plan import PlanProposed
from schemas.events.risk import Check, CheckResult, PlanApproved, PlanDenied, Sizing
from schemas.values import Money, Price, money, percent, price, quantity, ratio
from streams.core.risk.breakers import Causes
from streams.core.risk.checks import run
from streams.core.risk.checks_size import SIZE_RULES, leverage, planned_r
from streams.core.risk.checks_state import STATE_RULES
from streams.core.risk.context import Context, build, margin_mode, the
from streams.core.risk.margin import shown_liquidation
from streams.core.risk.state import RiskState

RULES = STATE_RULES + SIZE_RULES
ZERO = Decimal(0)


def judge(state: RiskState, plan: PlanProposed, now: int, causes: Causes) -> PlanApproved | PlanDenied:
    """Return the verdict under these causes; SKIPPED never occurs without a failure before it."""
    context = build(state, plan, now, causes)
    checks = run(RULES, context)
    failed = next((check for check in checks if check.result is CheckResult.FAIL), None)
    if failed is not None:
        return _denied(context, checks, failed)
    assert plan.stop is not None
    return PlanApproved(
        plan_id=plan.plan_id,
        account_id=plan.account_id,
        instrument_id=plan.instrument_id,
        position_side=plan.position_side,
        strategy=plan.strategy,
        origin=plan.origin,
        entry=plan.entry,
        stop=plan.stop,
        targets=plan.targets,
        ts_valid_until=plan.ts_valid_until,
        max_holding_s=plan.max_holding_s,
        sizing=the(sizing_of(context)),
        checks=checks,
        command_id=plan.command_id,
    )


def _denied(context: Context, checks: tuple[Check, ...], failed: Check) -> PlanDenied:
    plan = context.plan
    parts = [f"{name}={value}" for name, value in failed.inputs.items()]
    detail = f"{failed.code.value}: " + ", ".join([f"value={failed.value}", f"limit={failed.limit}", *parts])
    return PlanDenied(
        plan_id=plan.plan_id,
        account_id=plan.account_id,
        instrument_id=plan.instrument_id,
        position_side=plan.position_side,
        strategy=plan.strategy,
        origin=plan.origin,
        code=failed.code,
        detail=detail,
        checks=checks,
        command_id=plan.command_id,
        sizing=sizing_of(context),
    )


def sizing_of(context: Context) -> Sizing | None:
    """Return the size as it goes on the log, each number rounded once; None without a size or without equity."""
    size, account, instrument, settings = context.size, context.account, context.instrument, context.settings
    if size is None or account is None or instrument is None or settings is None or account.equity <= ZERO:
        return None
    mode = margin_mode(settings, instrument)
    margin, margin_leverage = _margin(context)
    fee = context.entry_fee
    reward = planned_r(context)
    return Sizing(
        equity=money(account.equity),
        reference_price=price(the(context.entry)),
        stop_distance_pct=percent(size.stop_distance_pct),
        budget_pct=percent(the(context.budget_pct)),
        formula_notional=money(size.formula_notional),
        quantity=quantity(size.quantity),
        quantity_unit=QuantityUnit.BASE if context.spot else QuantityUnit.CONTRACT,
        base_quantity=quantity(size.base_quantity),
        notional=money(size.notional),
        unit_loss=price(size.unit_loss),
        worst_case_loss=money(context.worst_case_loss),
        sized_by=size.sized_by,
        margin_mode=mode,
        margin_leverage=margin_leverage,
        margin=money(margin),
        entry_fee=money(fee),
        liquidation_price=_liquidation(context),
        gap_loss_max=_gap_loss_max(context, mode, margin, fee),
        leverage=ratio(leverage(context)),
        planned_r=None if reward is None else ratio(reward),
    )


def _margin(context: Context) -> tuple[Decimal, int]:
    """Return the margin an entry ties up and its leverage: on spot the whole notional at 1, 0 where none was found."""
    if context.spot:
        return the(context.size).notional, 1
    if context.margin is None or context.margin.leverage is None:
        return ZERO, 0
    return context.margin.margin, context.margin.leverage


def _liquidation(context: Context) -> Price | None:
    facts = context.margin
    if facts is None or facts.liquidation is None:
        return None
    return price(shown_liquidation(facts.liquidation, context.sign, the(context.instrument).tick_size))


def _gap_loss_max(context: Context, mode: MarginMode, margin: Decimal, fee: Decimal) -> Money:
    """Return the most a gap past the stop can cost: margin and entry fee; in cross mode all the equity there is."""
    if mode is MarginMode.CROSS:
        return money(the(context.account).equity)
    return money(margin + fee)
