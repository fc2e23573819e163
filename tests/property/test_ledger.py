"""Invariants 3 and 4 of the conventions for the ledger, and 1 as far as a restart: quantities, balance, nothing lost.

The oracle knows nothing of trades or costs: cash is what fills moved, equity is cash plus what is held at the mark.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from schemas.events.account import EquityChanged, PositionChanged, TradeClosed
from schemas.events.common import MarginMode, Side
from schemas.events.orders import FillBooked
from schemas.values import Money, Price, Quantity, money
from streams.core.account import STAGE
from streams.core.account.equity import check_books
from streams.core.account.ledger import book
from streams.core.account.state import AccountState, Position
from tests.account_events import BTC, SPOT, TAKER, buy, fill, funding, mark, snapshot, trade
from tests.builders import T0, btc_spot, btc_swap, message, settings_changed
from tests.spec import Spec, given

EXAMPLES = settings(max_examples=60, deadline=None)
CASH = Decimal(1000000)
CENT = Decimal("1e-8")

lots = st.integers(1, 3000).map(lambda n: Decimal(n) / 100)
ticks = st.integers(500_000, 1_000_000).map(lambda n: Decimal(n) / 10)
odd_prices = st.decimals("50000", "100000", places=12)
sides = st.sampled_from(["BUY", "SELL"])


def swap_fill(side: str, quantity: Decimal, price: Decimal) -> FillBooked:
    return fill(side, str(quantity), str(price), fee_rate=TAKER)


def swap_fills(prices: st.SearchStrategy[Decimal]) -> st.SearchStrategy[list[FillBooked]]:
    return st.lists(st.builds(swap_fill, sides, lots, prices), min_size=1, max_size=12)


def account() -> Spec:
    return given(STAGE, settings_changed(), btc_swap(), btc_spot(), snapshot(str(CASH)))


def signed(event: FillBooked) -> Decimal:
    return event.base_quantity if event.side is Side.BUY else -event.base_quantity


def play(spec: Spec, fills: list[FillBooked]) -> list[Any]:
    told: list[Any] = []
    for event in fills:
        told += spec.when(event).emitted
        check_books(spec.state)
    return told


def held(spec: Spec) -> Position | None:
    desk = spec.state.desks.get(BTC)
    position = None if desk is None else desk.position
    assert position is None or isinstance(position, Position)
    return position


@EXAMPLES
@forall(swap_fills(ticks), st.randoms(use_true_random=False), ticks)
def test_quantity_is_the_sum_of_signed_fills_in_any_order_with_duplicates(
    fills: list[FillBooked], chance: Any, price: Decimal
) -> None:
    expected = sum((signed(event) for event in fills), Decimal(0))
    played = fills + [chance.choice(fills) for _ in range(3)]
    chance.shuffle(played)
    spec = account()
    told = play(spec, played)
    position = held(spec)
    assert (Decimal(0) if position is None else position.base_quantity) == expected
    assert [event for event in told if isinstance(event, PositionChanged)][-1].base_quantity == expected


@EXAMPLES
@forall(swap_fills(ticks), ticks, st.lists(st.integers(-(10**9), 10**9), max_size=3))
def test_cash_positions_and_fees_balance(fills: list[FillBooked], price: Decimal, payments: list[int]) -> None:
    """On the tick grid every value is exact, so the oracle's equity is too."""
    spec = account()
    play(spec, fills)
    paid = Decimal(0)
    for index, payment in enumerate(payments):
        amount = payment * CENT
        spec.when(funding(str(amount), ts=T0 + index))
        paid += amount
    spec.when(mark(str(price)))
    proceeds = -sum((signed(event) * event.last_price for event in fills), Decimal(0))
    fees = sum((event.fee for event in fills), Decimal(0))
    quantity = sum((signed(event) for event in fills), Decimal(0))
    assert spec.state.equity == CASH + proceeds + quantity * price - fees + paid


@EXAMPLES
@forall(swap_fills(odd_prices))
def test_rounding_never_drifts_past_one_unit_a_posting(fills: list[FillBooked]) -> None:
    spec = account()
    play(spec, fills)
    position = held(spec)
    proceeds = -sum((signed(event) * event.last_price for event in fills), Decimal(0))
    fees = sum((event.fee for event in fills), Decimal(0))
    holding = Decimal(0) if position is None else position.sign * position.cost
    assert abs(spec.state.cash - (CASH + proceeds + holding - fees)) <= 2 * len(fills) * CENT


@EXAMPLES
@forall(swap_fills(odd_prices))
def test_nets_of_trades_sum_to_the_change_of_equity(fills: list[FillBooked]) -> None:
    spec = account()
    told = play(spec, fills)
    position = held(spec)
    if position is not None:
        closing = "SELL" if position.sign > 0 else "BUY"
        told += play(spec, [swap_fill(closing, abs(position.quantity), Decimal(80000))])
    nets = sum((event.net_pnl for event in told if isinstance(event, TradeClosed)), Decimal(0))
    assert held(spec) is None
    assert spec.state.equity - CASH == nets == spec.state.cash - CASH
    assert spec.state.desks[BTC].position is None


@EXAMPLES
@forall(lots, odd_prices, odd_prices, st.lists(st.integers(1, 99), min_size=1, max_size=6))
def test_splitting_a_close_changes_nothing_but_rounding(
    quantity: Decimal, bought: Decimal, sold: Decimal, cuts: list[int]
) -> None:
    opened = book(None, swap_fill("BUY", quantity, bought), now=0, min_quantity=Decimal(0)).open
    whole = book(opened, swap_fill("SELL", quantity, sold), now=1, min_quantity=Decimal(0)).closed
    edges = sorted({quantity * cut / 100 for cut in cuts} | {Decimal(0), quantity})
    position, closed = opened, None
    for low, high in pairwise(edges):
        assert closed is None
        done = book(position, swap_fill("SELL", high - low, sold), now=1, min_quantity=Decimal(0))
        position, closed = done.open, done.closed
    assert whole is not None
    assert closed is not None
    assert position is None
    assert closed.cost == 0 == closed.quantity == closed.margin
    assert abs(closed.realized - whole.realized) <= len(edges) * CENT
    assert abs(closed.net - whole.net) <= 2 * len(edges) * CENT


@EXAMPLES
@forall(swap_fills(ticks))
def test_margin_is_a_tenth_of_the_cost_at_ten_times(fills: list[FillBooked]) -> None:
    """Margin neither leaks nor survives its position."""
    spec = account()
    play(spec, fills)
    position = held(spec)
    if position is not None:
        assert abs(position.margin - position.cost / 10) <= 2 * len(fills) * CENT
    assert spec.of(EquityChanged)[-1].margin == (Decimal(0) if position is None else position.margin)


def spot_buy(quantity: Decimal, price: Decimal) -> FillBooked:
    bought = buy(str(quantity), str(price), instrument_id=SPOT, fee_rate=None)
    fee_base = Quantity(quantity / 1000)
    return replace(bought, fee_base=fee_base, fee=money(fee_base * price), margin_mode=MarginMode.CASH)


@EXAMPLES
@forall(st.lists(st.tuples(lots, odd_prices, st.integers(0, 100), odd_prices), min_size=1, max_size=8), odd_prices)
def test_spot_balances_too(rounds: list[tuple[Decimal, Decimal, int, Decimal]], price: Decimal) -> None:
    """Buy, sell a part (or all but dust), again and again: cash is what changed hands, equity what is left besides."""
    spec = account()
    spent = held_base = Decimal(0)
    for quantity, bought, part, sold in rounds:
        entry = spot_buy(quantity, bought)
        spec.when(entry)
        spent += quantity * bought
        desk = spec.state.desks[SPOT]
        assert desk.position is not None
        amount = (desk.position.quantity * part / 100).quantize(Decimal("1e-8"), rounding="ROUND_DOWN")
        held_base += quantity - entry.fee_base
        if amount > 0:
            spec.when(fill("SELL", str(amount), str(sold), instrument_id=SPOT, fee_rate=None))
            spent -= amount * sold
            held_base -= amount
        check_books(spec.state)
    spec.when(trade(str(price), SPOT))
    drift = 8 * len(rounds) * CENT
    assert abs(spec.state.cash - (CASH - spent)) <= drift
    desk = spec.state.desks[SPOT]
    base = desk.dust + (desk.position.base_quantity if desk.position is not None else 0)
    assert base == held_base
    if desk.position is not None:
        assert abs(spec.state.equity - (CASH - spent + base * price)) <= drift


@EXAMPLES
@forall(swap_fills(ticks), st.lists(ticks, max_size=6), st.integers(0, 12))
def test_a_restart_anywhere_changes_nothing(fills: list[FillBooked], prices: list[Decimal], cut: int) -> None:
    """Invariant 1, the account's part: what a checkpoint keeps is all there is."""
    events = [event for pair in zip(fills, map(_mark, prices), strict=False) for event in pair]
    events += fills[len(prices) :]
    straight, broken = account(), account()
    adapter = TypeAdapter(AccountState)
    for index, event in enumerate(events):
        if index == cut:
            broken.state = adapter.validate_json(adapter.dump_json(broken.state))
        assert straight.when(event).emitted == broken.when(event).emitted
    assert straight.state == broken.state


def _mark(price: Decimal) -> Any:
    return mark(str(Price(Money(price))))


@EXAMPLES
@forall(swap_fills(ticks), st.lists(ticks, max_size=8))
def test_deciding_changes_nothing(fills: list[FillBooked], prices: list[Decimal]) -> None:
    adapter = TypeAdapter(AccountState)
    spec = account()
    ticked = [event for price in prices for event in (trade(str(price)), _mark(price))]
    for event in [*fills[:3], *ticked, *fills[3:], funding("-1")]:
        before = adapter.dump_json(spec.state)
        STAGE.decide(spec.state, message(event))
        assert adapter.dump_json(spec.state) == before
        spec.when(event)
