"""Several real stages in the real kernel, fed events instead of bytes: what a golden case needs to run a trade."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from schemas.codec import decode
from schemas.envelope import Event, Message
from schemas.events.common import (
    MarginMode,
    OrderType,
    PlanOrigin,
    PositionSide,
    QuantityUnit,
    TriggerPriceType,
)
from schemas.events.market import IndexPrice, InstrumentDefined, InstrumentKind, MarkPrice, Quote, Trade, VenueBar
from schemas.events.market import Side as Aggressor
from schemas.events.orders import FillBooked, VenueFill
from schemas.events.plan import Entry, StopSpec, Target
from schemas.events.risk import PlanApproved, SizedBy, Sizing
from schemas.ids import derive_id
from schemas.values import Micros, Money, Percent, Price, Quantity, Ratio, money
from streams.core.execution import STAGE as EXECUTION
from streams.core.kernel import Kernel
from streams.core.stage import Stage
from streams.core.venue import STAGE as VENUE
from tests.builders import MINUTE, T0, btc_swap, message, settings_changed

E = TypeVar("E", bound=Event)


class Rig:
    """A kernel with some stages. ``inputs``, ``events``: all that went in and came out; ``step``: of the last input."""

    def __init__(
        self,
        *,
        stages: Sequence[Stage[Any]] = (EXECUTION, VENUE),
        instruments: Iterable[InstrumentDefined] | None = None,
        **settings: object,
    ) -> None:
        self.kernel = Kernel(stages, code_version="test")
        self.inputs: list[Message] = []
        self.events: list[Event] = []
        self.step: list[Event] = []
        self.ts = int(T0)
        self._count = 0
        self.feed(settings_changed(**settings))
        for instrument in (btc_swap(),) if instruments is None else instruments:
            self.feed(instrument)

    def feed(self, event: Event, *, ts: int | None = None) -> list[Event]:
        """Take one input through the stages; return what was emitted, in order."""
        self.ts = self.ts if ts is None else ts
        self._count += 1
        incoming = message(event, ts=self.ts, event_id=derive_id("input", self._count))
        self.inputs.append(incoming)
        outputs = self.kernel.step_event(incoming.envelope, event)
        self.step = [decode(output.value)[1] for output in outputs]
        self.events += self.step
        return self.step

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one type, of the whole run."""
        return [event for event in self.events if isinstance(event, kind)]

    def now(self, kind: type[E]) -> list[E]:
        """Return the events of one type that the last input caused."""
        return [event for event in self.step if isinstance(event, kind)]

    def state(self, name: str) -> Any:
        """Return a stage's state."""
        names = [stage.name for stage in self.kernel.stages]
        return self.kernel.states[names.index(name)]

    def bar(
        self,
        ohlc: str,
        *,
        instrument_id: str = "BTC-USDT-SWAP",
        volume: str = "100000",
        minutes: int = 1,
        backfill: bool = False,
        ts_open: int | None = None,
    ) -> list[Event]:
        """Feed the next bar, ``"open/high/low/close"``; it opens where the clock is."""
        opens = self.ts if ts_open is None else ts_open
        prices = [Price(Decimal(text)) for text in ohlc.split("/")]
        bar = VenueBar(instrument_id, f"{minutes}m", Micros(opens), *prices, Quantity(Decimal(volume)), backfill)
        return self.feed(bar, ts=opens + minutes * MINUTE)

    def mark(self, price: str, *, ts: int | None = None, instrument_id: str = "BTC-USDT-SWAP") -> list[Event]:
        """Feed a mark price."""
        return self.feed(MarkPrice(instrument_id, Price(Decimal(price))), ts=ts)

    def index(self, price: str, *, ts: int | None = None, index_id: str = "BTC-USDT") -> list[Event]:
        """Feed an index price, by default under the index's own id as OKX names it."""
        return self.feed(IndexPrice(index_id, Price(Decimal(price))), ts=ts)

    def trade(
        self,
        price: str,
        quantity: str = "1",
        *,
        side: Aggressor = Aggressor.UNKNOWN,
        after_us: int = 1000,
        instrument_id: str = "BTC-USDT-SWAP",
    ) -> list[Event]:
        """Feed a public trade a moment later."""
        trade = Trade(instrument_id, str(self._count), side, Price(Decimal(price)), Quantity(Decimal(quantity)))
        return self.feed(trade, ts=self.ts + after_us)

    def quote(
        self, bid: str, ask: str, *, size: str = "10", after_us: int = 1000, instrument_id: str = "BTC-USDT-SWAP"
    ) -> list[Event]:
        """Feed a best bid and ask a moment later."""
        quantity = Quantity(Decimal(size))
        quote = Quote(instrument_id, Price(Decimal(bid)), quantity, Price(Decimal(ask)), quantity)
        return self.feed(quote, ts=self.ts + after_us)

    def prices(self) -> list[str]:
        """Return ``purpose price liquidity`` of every booked fill."""
        return [f"{fill.purpose} {fill.last_price.normalize():f} {fill.liquidity}" for fill in self.of(FillBooked)]

    def held(self, instrument_id: str = "BTC-USDT-SWAP") -> Decimal:
        """Return the sum of signed fills of an instrument, as the venue reported them."""
        fills = {fill.venue_trade_id: fill for fill in self.of(VenueFill) if fill.instrument_id == instrument_id}
        return sum((fill.last_quantity * (1 if fill.side == "BUY" else -1) for fill in fills.values()), Decimal(0))


def approved(
    plan_id: str = "plan1",
    *,
    side: PositionSide = PositionSide.LONG,
    entry: Entry | None = None,
    stop: str = "79000",
    stop_on: TriggerPriceType = TriggerPriceType.MARK,
    targets: Sequence[tuple[str, str]] = (),
    quantity: str = "10",
    valid_until: int = T0 + 1000 * MINUTE,
    max_holding_s: int | None = None,
    margin_leverage: int = 10,
    margin_mode: MarginMode = MarginMode.ISOLATED,
    instrument: InstrumentDefined | None = None,
    strategy: str = "trend",
    **follow: str | None,
) -> PlanApproved:
    """Return an approved plan; the sizing is only what execution and venue read of it.

    ``follow``: ``break_even_at_r``, ``trail_distance_pct``, ``trail_from_r``.
    """
    instrument = instrument or btc_swap()
    spot = instrument.kind is InstrumentKind.SPOT
    return PlanApproved(
        plan_id=plan_id,
        account_id="paper",
        instrument_id=instrument.instrument_id,
        position_side=side,
        strategy=strategy,
        origin=PlanOrigin.RULES,
        entry=entry or Entry(OrderType.MARKET),
        stop=_stop_spec(stop, stop_on, **follow),
        targets=tuple(Target(Price(Decimal(price)), Ratio(Decimal(fraction))) for price, fraction in targets),
        ts_valid_until=Micros(valid_until),
        max_holding_s=max_holding_s,
        sizing=_sizing(Decimal(quantity), instrument, MarginMode.CASH if spot else margin_mode, margin_leverage),
        checks=(),
    )


def limit(price: str, *, post_only: bool = False) -> Entry:
    """Return a limit entry."""
    return Entry(OrderType.LIMIT, limit_price=Price(Decimal(price)), post_only=post_only)


def stop_entry(price: str) -> Entry:
    """Return a stop entry."""
    return Entry(OrderType.STOP, trigger_price=Price(Decimal(price)))


def _stop_spec(
    price: str,
    watched: TriggerPriceType,
    *,
    break_even_at_r: str | None = None,
    trail_distance_pct: str | None = None,
    trail_from_r: str | None = None,
) -> StopSpec:
    return StopSpec(
        Price(Decimal(price)), watched, _ratio(break_even_at_r), _percent(trail_distance_pct), _ratio(trail_from_r)
    )


def _ratio(text: str | None) -> Ratio | None:
    return None if text is None else Ratio(Decimal(text))


def _percent(text: str | None) -> Percent | None:
    return None if text is None else Percent(Decimal(text))


def _sizing(quantity: Decimal, instrument: InstrumentDefined, mode: MarginMode, leverage: int) -> Sizing:
    base = quantity * instrument.contract_value * instrument.contract_multiplier
    nothing = Money(Decimal(0))
    return Sizing(
        equity=Money(Decimal(10000)),
        reference_price=Price(Decimal(80000)),
        stop_distance_pct=Percent(Decimal(1)),
        budget_pct=Percent(Decimal(1)),
        formula_notional=nothing,
        quantity=Quantity(quantity),
        quantity_unit=QuantityUnit.BASE if mode is MarginMode.CASH else QuantityUnit.CONTRACT,
        base_quantity=Quantity(base),
        notional=money(base * 80000),
        unit_loss=Price(Decimal(0)),
        worst_case_loss=nothing,
        sized_by=SizedBy.BUDGET,
        margin_mode=mode,
        margin_leverage=leverage,
        margin=nothing,
        entry_fee=nothing,
        liquidation_price=None,
        gap_loss_max=nothing,
        leverage=Ratio(Decimal(0)),
        planned_r=None,
    )
