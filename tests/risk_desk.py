"""A risk stage with a market, an account and a plan to judge: what the risk tests build on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from schemas.envelope import Event, Message
from schemas.events.account import EquityChanged, PositionChanged, TradeClosed
from schemas.events.common import (
    AccountMode,
    ExitReason,
    OrderType,
    PlanOrigin,
    PositionMode,
    PositionSide,
    PriceSource,
    Quality,
    Regime,
)
from schemas.events.intelligence import RegimeClassified
from schemas.events.market import Channel, FeedOrigin, FeedState, FeedStatus, InstrumentDefined, MarkPrice, VenueBar
from schemas.events.orders import AccountSnapshot, VenuePosition
from schemas.events.plan import Entry, MarketSnapshot, PlanProposed, Rationale, StopSpec, Target
from schemas.events.risk import Check, CheckResult, DenialCode
from schemas.values import Micros, Money, Percent, Price, Quantity, Rate, Ratio
from streams.core.risk import STAGE
from tests.builders import MINUTE, T0, btc_swap, message, settings_changed
from tests.spec import Spec, given

BTC = "BTC-USDT-SWAP"
SPOT = "BTC-USDT"
ETH = "ETH-USDT-SWAP"


def bar(close: str, *, instrument_id: str = BTC, ts: int = T0) -> Message:
    """A closed one-minute bar whose close is the last price."""
    price = Price(Decimal(close))
    volume = Quantity(Decimal(100))
    event = VenueBar(instrument_id, "1m", Micros(ts - MINUTE), price, price, price, price, volume)
    return message(event, ts=ts)


def mark(price: str, *, instrument_id: str = BTC, ts: int = T0) -> Message:
    """A mark price."""
    return message(MarkPrice(instrument_id, Price(Decimal(price))), ts=ts)


def feed(
    channel: Channel,
    cadence_us: int | None = None,
    *,
    state: FeedState = FeedState.OPEN,
    instrument_id: str = BTC,
    ts: int = T0,
) -> Message:
    """A feed's word on a channel: its state and its cadence."""
    return message(FeedStatus(instrument_id, channel, state, FeedOrigin.RECORDED, "test", cadence_us), ts=ts)


def equity(
    amount: str, *, ts: int = T0, peak: str | None = None, day_start: str | None = None, cash: str | None = None
) -> Message:
    """Equity after an event; peak and day start follow it where not given."""
    value, top, start = Decimal(amount), Decimal(peak or amount), Decimal(day_start or amount)
    event = EquityChanged(
        "paper",
        Money(value),
        Money(Decimal(cash or amount)),
        Money(Decimal(0)),
        Money(Decimal(0)),
        Money(Decimal(0)),
        Money(top),
        Percent((top - value) / top * 100),
        Money(start),
        Percent((start - value) / start * 100),
        PriceSource.MARK,
        Money(Decimal(0)),
    )
    return message(event, ts=ts)


def venue_says(
    *positions: VenuePosition,
    account_mode: AccountMode = AccountMode.FUTURES,
    position_mode: PositionMode = PositionMode.NET,
) -> AccountSnapshot:
    """The venue's view of the account: these positions, 10000 USDT, no open order."""
    return AccountSnapshot("paper", Money(Decimal(10000)), positions, (), account_mode, position_mode)


def snapshot(*, ts: int = T0) -> Message:
    """The venue's first word: nothing open."""
    return message(venue_says(), ts=ts)


def regime(uncertainty: str, *, label: Regime = Regime.RANGE, instrument_id: str = BTC, ts: int = T0) -> Message:
    """A classified regime."""
    event = RegimeClassified(
        instrument_id, "15m", label, label, (), Rate(Decimal(uncertainty)), "RULES", 300, "f" * 32, False
    )
    return message(event, ts=ts)


def position(
    quantity: str,
    *,
    plan_id: str = "held",
    instrument_id: str = BTC,
    price: str = "80000",
    margin: str = "0",
    unit: str = "0.01",
) -> PositionChanged:
    """A position of ``quantity`` contracts (signed) entered at ``price``."""
    base = abs(Decimal(quantity)) * Decimal(unit)
    return PositionChanged(
        "paper",
        instrument_id,
        plan_id,
        "trade",
        Quantity(Decimal(quantity)),
        Quantity(base),
        Money(base * Decimal(price)),
        Price(Decimal(price)),
        Money(Decimal(margin)),
        Money(Decimal(0)),
    )


def closed(
    net: str, *, ts: int, reason: ExitReason = ExitReason.TIME, strategy: str = "trend", plan_id: str = "closed"
) -> Message:
    """A closed trade with this net result."""
    zero = Money(Decimal(0))
    event = TradeClosed(
        trade_id="trade",
        plan_id=plan_id,
        account_id="paper",
        instrument_id=BTC,
        position_side=PositionSide.LONG,
        strategy=strategy,
        origin=PlanOrigin.RULES,
        ts_opened=Micros(ts - MINUTE),
        ts_closed=Micros(ts),
        entered_quantity=Quantity(Decimal(1)),
        avg_entry_price=Price(Decimal(80000)),
        avg_exit_price=Price(Decimal(80000)),
        first_stop_price=None,
        exit_reason=reason,
        gross_pnl=Money(Decimal(net)),
        fees=zero,
        funding=zero,
        liquidation_penalty=zero,
        net_pnl=Money(Decimal(net)),
        slippage=zero,
        initial_risk=None,
        r_multiple=None,
        budget_multiple=None,
        breach=None,
        excursion_last=None,
        excursion_mark=None,
        exit_efficiency=None,
        shortfall=None,
        holding_s=60,
    )
    return message(event, ts=ts)


def limit_entry(price: str, *, post_only: bool = False) -> Entry:
    """A limit entry."""
    return Entry(OrderType.LIMIT, limit_price=Price(Decimal(price)), post_only=post_only)


def plan(
    *,
    entry: Entry | None = None,
    stop: str | None = "79200",
    side: PositionSide = PositionSide.LONG,
    targets: Sequence[tuple[str, str]] = (),
    max_holding_s: int | None = 3600,
    instrument_id: str = BTC,
    ts: int = T0,
    **changes: Any,
) -> PlanProposed:
    """A plan an operator wants executed: LONG LIMIT 80000, stop 79200, one hour, valid for 15 minutes."""
    spec = None if stop is None else StopSpec(Price(Decimal(stop)))
    proposed = PlanProposed(
        plan_id="p1",
        account_id="paper",
        instrument_id=instrument_id,
        position_side=side,
        strategy="trend",
        origin=PlanOrigin.OPERATOR,
        execute=True,
        reference_price=Price(Decimal(80000)),
        reference_source=PriceSource.MARK,
        entry=entry or limit_entry("80000"),
        stop=spec,
        targets=tuple(Target(Price(Decimal(p)), Ratio(Decimal(f))) for p, f in targets),
        valid_for_s=900,
        ts_valid_until=Micros(ts + 900_000_000),
        max_holding_s=max_holding_s,
        rationale=Rationale("test"),
        confidence=None,
        snapshot=MarketSnapshot(None, None, None, Regime.UNKNOWN, None, Quality.GOOD, {}),
        missing_sources=(),
        command_id="command",
    )
    return replace(proposed, **changes)


def desk(
    *past: Event | Message, instrument: InstrumentDefined | None = None, price: str = "80000", **settings: object
) -> Spec:
    """A reconciled account with 10000 USDT and a fresh bar and mark at ``price``."""
    defined = instrument or btc_swap()
    name = defined.instrument_id
    prices = (bar(price, instrument_id=name), mark(price, instrument_id=name))
    return given(STAGE, settings_changed(**settings), snapshot(), defined, *prices, equity("10000"), *past)


def verdict(spec: Spec) -> Any:
    """Return the one verdict emitted last."""
    return spec.emitted[-1]


def check(spec: Spec, code: DenialCode) -> Check:
    """Return one check of the last verdict."""
    found: Check = next(item for item in verdict(spec).checks if item.code is code)
    return found


def failures(spec: Spec) -> list[DenialCode]:
    """Return the codes that failed, in order."""
    return [item.code for item in verdict(spec).checks if item.result is CheckResult.FAIL]
