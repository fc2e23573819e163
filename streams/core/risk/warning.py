"""The drawdown warning: from which drawdown on plans get a smaller budget, and the event that says so.

It holds nothing back by itself; the halt is a breaker. Source: domain definitions, section 4 (drawdown).
"""

from __future__ import annotations

from decimal import Decimal

from schemas.envelope import Message
from schemas.events.account import EquityChanged
from schemas.events.control import OverrideLimit, SettingsChanged
from schemas.events.risk import DrawdownWarningChanged, WarningState
from schemas.settings import TradingSettings
from schemas.values import Money, percent, ratio
from streams.core.risk.breakers import drawdown_pct, is_foreign
from streams.core.risk.limits import overridden
from streams.core.risk.state import Account, RiskState

_ONE = Decimal(1)


def is_warned(account: Account, settings: TradingSettings) -> bool:
    """Return whether drawdown is at the warning level."""
    return drawdown_pct(account) >= settings.drawdown_warn_pct


def drawdown_scale(account: Account, settings: TradingSettings) -> Decimal:
    """Return what drawdown leaves of a plan's budget: all of it, or ``drawdown_warn_scale``."""
    return settings.drawdown_warn_scale if is_warned(account, settings) else _ONE


def warning_changed(state: RiskState, message: Message) -> DrawdownWarningChanged | None:
    """Return the event for a warning that begins or ends with this message: by equity, or because the level moved."""
    event, account, settings = message.event, state.account, _settings_after(state, message)
    if isinstance(event, EquityChanged):
        account = Account.of(event, message.now)
    if account is None or settings is None or is_warned(account, settings) is state.warned:
        return None
    return DrawdownWarningChanged(
        account_id=settings.account_id,
        warning=WarningState.RELEASED if state.warned else WarningState.RAISED,
        drawdown_pct=percent(drawdown_pct(account)),
        drawdown_warn_pct=percent(settings.drawdown_warn_pct),
        drawdown_halt_pct=percent(settings.drawdown_halt_pct),
        drawdown_scale=ratio(drawdown_scale(account, settings)),
        equity=Money(account.equity),
        peak_equity=Money(account.peak),
    )


def _settings_after(state: RiskState, message: Message) -> TradingSettings | None:
    """Return the settings in force once this message counts."""
    event = message.event
    if isinstance(event, SettingsChanged):
        return TradingSettings.from_values(event.values)
    if isinstance(event, OverrideLimit) and not is_foreign(state, event):
        moved = overridden(state.settings, event.name, event.value)
        return moved if isinstance(moved, TradingSettings) else state.settings
    return state.settings
