"""The fake OKX keeps true books, so that what the gateway reconciles against is worth it.

The oracle knows neither averages nor margins: equity is the deposit, plus what every fill moved, plus what is held at
the mark; a position is the sum of its fills; a balance is the sum of its bills.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from tests.fakes.okx import Clock, Venue, VenueError
from tests.fakes.okx.account_rows import detail_row
from tests.fakes.okx.control import Control

BTC = "BTC-USDT-SWAP"
NOON = 1_742_385_600_000
CENT = Decimal("1e-8")

sizes = st.integers(1, 400).map(lambda n: str(Decimal(n) / 100))
prices = st.integers(470_000, 530_000).map(lambda n: str(Decimal(n) / 10))
sides = st.sampled_from(["buy", "sell"])
modes = st.sampled_from(["isolated", "cross"])
orders = st.tuples(st.just("order"), sides, sizes, st.none() | prices, modes, st.booleans())
steps = st.one_of(
    orders,
    st.tuples(st.just("price"), prices),
    st.tuples(st.just("print"), sides, sizes, prices),
    st.tuples(st.just("settle"), st.integers(-20, 20).map(lambda n: str(Decimal(n) / 10_000))),
    st.tuples(st.just("liquidate"), prices),
    st.tuples(st.just("deleverage"), prices),
    st.tuples(st.just("by_hand"), sides, sizes, prices),
    st.tuples(st.just("lever"), st.integers(1, 50)),
    st.tuples(st.just("cancel")),
)


class Drive:
    """Takes steps on a venue without a network; what the venue refuses changes nothing."""

    def __init__(self, *, hedged: bool) -> None:
        """Open an account in that position mode."""
        self.venue = Venue(Clock.frozen(NOON))
        self.control = Control(self.venue)
        self.funding = Decimal(0)
        if hedged:
            self.venue.account.position_mode = "long_short_mode"

    def take(self, step: tuple[Any, ...]) -> None:
        """Take one step."""
        try:
            getattr(self, step[0])(*step[1:])
        except VenueError:
            return

    def order(self, side: str, size: str, price: str | None, mode: str, closing: bool) -> None:
        """Place an order; closing: of the other position side, or reduce-only."""
        request = {"instId": BTC, "tdMode": mode, "side": side, "sz": size, "ordType": "market"}
        if price is not None:
            request |= {"ordType": "limit", "px": price}
        if self.venue.account.position_mode == "long_short_mode":
            request["posSide"] = "long" if (side == "buy") != closing else "short"
        elif closing:
            request["reduceOnly"] = "true"
        self.venue.trading.place(request)

    def price(self, price: str) -> None:
        """Move the market."""
        self.venue.set_price(BTC, price)

    def print(self, side: str, size: str, price: str) -> None:
        """Somebody trades."""
        self.venue.print_trade(BTC, price, size, side)

    def settle(self, rate: str) -> None:
        """Settle funding."""
        self.venue.market(BTC).set_funding(rate)
        self.funding += self.control.settle_funding(BTC)

    def liquidate(self, price: str) -> None:
        """Liquidate what is held first."""
        for held in self.venue.account.open_positions()[:1]:
            self.control.liquidate(BTC, price, margin_mode=held.margin_mode, side=held.side)

    def deleverage(self, price: str) -> None:
        """Deleverage half a lot of what is held first."""
        for held in self.venue.account.open_positions()[:1]:
            self.control.deleverage(BTC, "0.01", price, margin_mode=held.margin_mode, side=held.side)

    def by_hand(self, side: str, size: str, price: str) -> None:
        """Trade in the app."""
        side_of = "long" if side == "buy" else "short"
        hedged = self.venue.account.position_mode == "long_short_mode"
        self.control.trade_by_hand(BTC, side, size, price, position_side=side_of if hedged else "net")

    def lever(self, lever: int) -> None:
        """Put isolated positions on another leverage."""
        for side in ("net", "long", "short"):
            self.venue.account.leverage[BTC, "isolated", side] = Decimal(lever)
            self.venue.account.relever(BTC, "isolated", side, Decimal(lever))

    def cancel(self) -> None:
        """Cancel everything."""
        for order in self.venue.trading.open_orders():
            self.venue.trading.cancel({"instId": BTC, "ordId": order.ord_id})


@pytest.mark.parametrize("hedged", [False, True])
@forall(taken=st.lists(steps, max_size=25))
@settings(max_examples=60, deadline=None)
def test_the_venues_books_are_true(hedged: bool, taken: list[tuple[Any, ...]]) -> None:
    drive = Drive(hedged=hedged)
    for step in taken:
        drive.take(step)
    account, mark = drive.venue.account, drive.venue.market(BTC).mark
    moved, held, fees = Decimal(0), {}, Decimal(0)
    for order in drive.venue.trading.orders.values():
        for fill in order.fills:
            signed = fill.size if order.side == "buy" else -fill.size
            key = (BTC, order.asked("tdMode"), order.asked("posSide", "net"))
            held[key] = held.get(key, Decimal(0)) + signed
            moved -= signed * Decimal("0.01") * fill.price
            fees += fill.fee
    assert {key: size for key, size in held.items() if size} == {
        key: -position.size if key[2] == "short" else position.size for key, position in account.positions.items()
    }
    trades = [fill.trade_id for order in drive.venue.trading.orders.values() for fill in order.fills]
    assert len(trades) == len(set(trades))
    penalties = sum(
        (Decimal(bill["pnl"]) for bill in account.bills if bill["type"] == "5" and bill["fee"] == "0"), Decimal(0)
    )
    worth = sum(held.values(), Decimal(0)) * Decimal("0.01") * mark
    equity = Decimal(detail_row(drive.venue, "USDT")["eq"])
    assert abs(equity - (10_000 + moved + worth + fees + drive.funding + penalties)) < CENT
    assert account.cash["USDT"] == sum(Decimal(bill["balChg"]) for bill in account.bills)
    assert all(Decimal(bill["posBal"]) >= 0 for bill in account.bills)
