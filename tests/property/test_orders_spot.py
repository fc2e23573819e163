"""Spot: fees are taken in base, so what is held is never a round number; nothing may sell more than the trade holds."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events.common import ExitReason, OrderPurpose
from schemas.events.risk import ReductionApproved
from streams.core.account import STAGE as ACCOUNT
from streams.core.execution import STAGE as EXECUTION
from streams.core.venue import STAGE as VENUE
from tests.builders import btc_spot
from tests.rig import Rig, approved, limit, stop_entry

SPOT = "BTC-USDT"
_move, _wick = st.integers(-120, 120), st.integers(0, 150)
PLANS = st.tuples(st.just("plan"), st.integers(0, 2), st.integers(60, 260), st.integers(100_000, 30_000_000))
BARS = st.tuples(st.just("bar"), _move, st.tuples(_wick, _wick), st.integers(0, 20))
TRADES = st.tuples(st.just("trade"), _move, st.just(0), st.integers(1, 5))
CLOSES = st.tuples(st.just("close"), st.just(0), st.just(0), st.just(0))


class SpotMarket:
    """A rig with one spot instrument and a price that walks."""

    def __init__(self) -> None:
        self.rig = Rig(stages=(EXECUTION, VENUE, ACCOUNT), instruments=(btc_spot(),), initial_cash=1_000_000)
        self.price, self.plans = 80000, 0

    def act(self, kind: str, first: int, second: object, third: int) -> None:
        if kind == "plan" and not self.rig.state("execution").active:
            assert isinstance(second, int)
            self._plan(first, second, third)
        elif kind == "bar":
            assert isinstance(second, tuple)
            opens, self.price = self.price, self.price + first
            high, low = max(opens, self.price) + second[0], min(opens, self.price) - second[1]
            volume = str(Decimal(third) / 10)
            self.rig.bar(f"{opens}/{high}/{low}/{self.price}", instrument_id=SPOT, volume=volume)
        elif kind == "trade":
            self.price += first
            self.rig.trade(str(self.price), str(third), instrument_id=SPOT)
        elif kind == "close":
            self.rig.feed(ReductionApproved("paper", SPOT, ExitReason.OPERATOR))

    def _plan(self, kind: int, stop: int, quantity: int) -> None:
        self.plans += 1
        self.rig.feed(
            approved(
                f"plan{self.plans}",
                entry=(None, limit(str(self.price - 50)), stop_entry(str(self.price + 50)))[kind],
                stop=str(self.price - stop),
                targets=[(str(self.price + 100), "0.3"), (str(self.price + 300), "0.7")],
                quantity=str(Decimal(quantity) / 10**8),
                max_holding_s=600,
                valid_until=self.rig.ts + 600_000_000,
                instrument=btc_spot(),
            )
        )

    def check(self) -> None:
        venue, execution, account = (self.rig.state(name) for name in ("venue", "execution", "account"))
        book, desk = venue.books[SPOT], account.desks[SPOT]
        assert venue.cash == account.cash
        assert book.position.quantity == (desk.position.base_quantity if desk.position else 0)
        for trade in execution.trades.values():
            assert trade.open_quantity >= 0
            stops = [order for order in book.orders.values() if order.plan_id == trade.plan_id]
            covered = sum((order.leaves for order in stops if order.purpose is OrderPurpose.STOP), Decimal(0))
            assert covered == execution.tradable(trade)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.one_of(PLANS, BARS, BARS, BARS, TRADES, CLOSES), min_size=5, max_size=50))
def test_spot_sells_what_the_trade_holds_and_no_more(
    actions: list[tuple[str, int, object, int]],
) -> None:
    market = SpotMarket()
    for action in actions:
        market.act(*action)
        market.check()
