"""Equity on bars, with the real execution and venue stages: what a step ends with is what is there, and nothing more.

A bar reaches the account before its own fills do. A peak must not remember a close the target was sold below, nor a
drawdown a low the stop cut off.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import decode
from schemas.envelope import Event
from schemas.events.account import EquityChanged, TradeClosed
from schemas.events.common import MarginMode, PositionSide, QuantityUnit, Side, TradingState
from schemas.events.market import VenueBar
from schemas.events.orders import FillBooked
from schemas.events.risk import TradingStateChanged
from schemas.values import SECOND
from streams.core import account, execution, venue
from streams.core.kernel import Kernel
from tests.account_events import SPOT, approved, bar, mark, trade
from tests.builders import MINUTE, T0, btc_spot, btc_swap, message, settings_changed

STAGES = (execution.STAGE, venue.STAGE, account.STAGE)


class Market(NamedTuple):
    """A plan's side and the bars that follow its approval."""

    side: PositionSide
    bars: list[tuple[int, int, int, int]]
    targets: int


moves = st.integers(-15, 15) | st.integers(-60, 60)
spans = st.integers(0, 20) | st.integers(0, 90)
markets = st.builds(
    Market,
    st.sampled_from(PositionSide),
    st.lists(st.tuples(moves, moves, spans, spans), min_size=2, max_size=12),
    st.integers(0, 3),
)


def rows(market: Market) -> list[str]:
    """Return bars as text: each opens near the last close, in steps of 10 USDT."""
    close, result = 80000, []
    for gap, body, up, down in market.bars:
        opened = close + 10 * gap
        close = opened + 10 * body
        result.append(f"{opened}/{max(opened, close) + 10 * up}/{min(opened, close) - 10 * down}/{close}")
    return result


class Run:
    """The three stages on a kernel, and an oracle that only adds up fills."""

    def __init__(self) -> None:
        self.kernel = Kernel(STAGES, code_version="test")
        self.cash = self.quantity = Decimal(0)
        self.told: list[EquityChanged] = []
        self.closed: list[TradeClosed] = []

    def take(self, event: Event, ts: int) -> None:
        incoming = message(event, ts=ts)
        for output in self.kernel.step_event(incoming.envelope, incoming.event):
            self._note(decode(output.value)[1])

    def _note(self, event: Event) -> None:
        if isinstance(event, FillBooked):
            signed = event.base_quantity if event.side is Side.BUY else -event.base_quantity
            self.cash -= signed * event.last_price + event.fee
            self.quantity += signed
        elif isinstance(event, EquityChanged):
            self.told.append(event)
        elif isinstance(event, TradeClosed):
            self.closed.append(event)


def play(market: Market) -> tuple[Run, list[Decimal]]:
    """Run a market; return it with the oracle's equity at the end of every bar."""
    run = Run()
    sign = 1 if market.side is PositionSide.LONG else -1
    for setup in (settings_changed(), btc_swap()):
        run.take(setup, T0 - MINUTE)
    run.cash = Decimal(10000)
    run.take(bar("80000/80000/80000/80000", closes=T0), T0)
    run.take(TradingStateChanged("paper", TradingState.ACTIVE, TradingState.HALTED, (), "test"), T0)
    targets = tuple(str(80000 + sign * 300 * (number + 1)) for number in range(market.targets))
    run.take(approved("10", side=market.side, stop=str(80000 - sign * 400), targets=targets), T0)
    ends = []
    for index, row in enumerate(rows(market), start=1):
        event: VenueBar = bar(row, closes=T0 + index * MINUTE)
        run.take(event, T0 + index * MINUTE)
        ends.append(run.cash + run.quantity * event.close_price)
    return run, ends


@settings(max_examples=150, deadline=None)
@given(markets)
def test_a_step_ends_with_the_equity_that_is_there(market: Market) -> None:
    run, ends = play(market)
    assert run.told[-1].equity == ends[-1]


@settings(max_examples=150, deadline=None)
@given(markets)
def test_peak_and_trough_are_those_of_closes_never_of_what_was_sold_or_stopped(market: Market) -> None:
    run, ends = play(market)
    seen = [Decimal(10000), *ends]
    assert run.told[-1].peak_equity == max(seen)
    assert min(event.equity for event in run.told) == min(seen)


@settings(max_examples=100, deadline=None)
@given(markets)
def test_excursions_stay_inside_the_bars_and_cover_the_result(market: Market) -> None:
    run, _ = play(market)
    for record in run.closed:
        seen, sign = record.excursion_last, 1 if record.position_side is PositionSide.LONG else -1
        assert seen is not None
        gained = sign * (record.avg_exit_price - record.avg_entry_price)
        slack = record.avg_exit_price / 1000
        assert -seen.mae - slack <= gained <= seen.mfe + slack
        assert seen.mae <= 12 * 2400
        assert record.shortfall is not None
        assert record.shortfall.opportunity == 0


@settings(max_examples=60, deadline=None)
@given(markets, st.integers(100_001, 12_493_753))
def test_spot_trades_close_but_for_dust(market: Market, satoshis: int) -> None:
    """The fee of a buy is bitcoin: what is left to sell is odd, and what cannot be sold stays in the equity."""
    run = Run()
    for setup in (settings_changed(), btc_spot()):
        run.take(setup, T0 - MINUTE)
    run.cash = Decimal(10000)
    run.take(bar("80000/80000/80000/80000", closes=T0, instrument_id=SPOT), T0)
    run.take(TradingStateChanged("paper", TradingState.ACTIVE, TradingState.HALTED, (), "test"), T0)
    quantity = str(Decimal(satoshis) / 10**8)
    targets = tuple(str(80000 + 300 * (number + 1)) for number in range(market.targets))
    plan = approved(quantity, stop="79600", targets=targets, instrument_id=SPOT)
    sizing = replace(plan.sizing, margin_mode=MarginMode.CASH, margin_leverage=1, quantity_unit=QuantityUnit.BASE)
    run.take(replace(plan, sizing=sizing), T0)
    for index, row in enumerate(rows(market), start=1):
        run.take(bar(row, closes=T0 + index * MINUTE, instrument_id=SPOT), T0 + index * MINUTE)
    desk = run.kernel.states[-1].desks[SPOT]
    assert 0 <= desk.dust < Decimal("0.00001")
    for record in run.closed:
        assert desk.position is None
        assert record.net_pnl == run.told[-1].cash + desk.dust_cost - 10000


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(PositionSide), st.lists(st.integers(-12, 12), min_size=3, max_size=40), st.booleans())
def test_on_ticks_every_print_is_counted_as_it_comes(side: PositionSide, steps: list[int], marks: bool) -> None:
    """Valued at last, or at the mark where one comes with every print; each told equity is what there was then.

    A print is the market at that moment, so it counts for what is held when it comes, also if it fills a target.
    """
    run = Run()
    sign = 1 if side is PositionSide.LONG else -1
    for setup in (settings_changed(), btc_swap(), trade("80000")):
        run.take(setup, T0)
    run.cash = Decimal(10000)
    run.take(TradingStateChanged("paper", TradingState.ACTIVE, TradingState.HALTED, (), "test"), T0)
    goal = str(80000 + sign * 500)
    run.take(approved("10", side=side, stop=str(80000 - sign * 400), targets=(goal,)), T0)
    price, seen = 80000, [Decimal(10000)]
    for index, step in enumerate(steps, start=1):
        price += 20 * step
        seen.append(run.cash + run.quantity * price)
        run.take(trade(str(price)), T0 + index * SECOND)
        seen.append(run.cash + run.quantity * price)
        if marks:
            run.take(mark(str(price + 3)), T0 + index * SECOND)
            seen.append(run.cash + run.quantity * (price + 3))
    assert run.told[-1].equity == seen[-1]
    assert run.told[-1].peak_equity == max(event.equity for event in run.told)
    if not marks:
        assert {event.equity for event in run.told} <= set(seen)
