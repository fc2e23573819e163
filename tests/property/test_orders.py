"""Whatever the market and the account do, these hold at the end of every step (conventions, invariants 3 and 6).

Position = sum of signed fills, duplicates counted once; a terminal order moves only on a late fill; the stop covers
exactly the open quantity; exposure never flips; ``decide`` changes nothing; the state survives a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from schemas.envelope import Event, Message
from schemas.events.account import PositionChanged
from schemas.events.common import ExitReason, Liquidity, OrderPurpose, PositionSide, Quality, Regime, Side, TradingState
from schemas.events.control import TransferCash
from schemas.events.data import QualityChanged
from schemas.events.intelligence import RegimeClassified
from schemas.events.market import FundingSettled
from schemas.events.orders import (
    FillBooked,
    ProtectionMissing,
    SubmitAttempted,
    VenueAccepted,
    VenueCanceled,
    VenueFill,
)
from schemas.events.risk import ReductionApproved, TradingStateChanged
from schemas.ids import derive_id
from schemas.values import Micros, Money, Price, Quantity, Rate
from streams.core.account import STAGE as ACCOUNT
from streams.core.execution import STAGE as EXECUTION
from streams.core.execution.orders import LIVE
from streams.core.stage import Stage
from streams.core.venue import STAGE as VENUE
from tests.builders import message
from tests.rig import Rig, approved, limit, stop_entry

BTC = "BTC-USDT-SWAP"
ADAPTERS = {stage.name: TypeAdapter(stage.state_type) for stage in (EXECUTION, VENUE, ACCOUNT)}


def pure(stage: Stage[Any]) -> Stage[Any]:
    """Return the stage with a ``decide`` that fails if it changed the state."""
    adapter = ADAPTERS[stage.name]

    def decide(state: Any, incoming: Message) -> Sequence[Event]:
        before = adapter.dump_json(state)
        events = stage.decide(state, incoming)
        assert adapter.dump_json(state) == before, f"{stage.name}.decide changed its state on {incoming.event}"
        return events

    return replace(stage, decide=decide)


class Market:
    """A rig, a price that walks, and the invariants."""

    def __init__(self, **settings: object) -> None:
        self.rig = Rig(
            stages=(pure(EXECUTION), pure(VENUE), ACCOUNT),
            participation_pct=10,
            quality_exit_s=60,
            **settings,
        )
        self.price = 80000
        self.held = Decimal(0)
        self.plans = 0
        self.reported: list[VenueFill] = []
        self.ended: dict[str, tuple[str, Decimal]] = {}

    def check(self) -> None:
        """Assert the invariants after a step."""
        for fill in self.rig.now(VenueFill):
            self.reported.append(fill)
            self.held += fill.last_quantity * (1 if fill.side is Side.BUY else -1)
        venue, execution = self.rig.state("venue").books[BTC], self.rig.state("execution")
        trades = execution.trades.values()
        signed = sum((trade.open_quantity * trade.sign for trade in trades), Decimal(0))
        assert signed == venue.position.quantity == self.held
        assert all(trade.open_quantity >= 0 for trade in trades), "a trade flipped"
        self._check_money(venue)
        self._check_stops(venue, execution)
        self._check_terminal(execution)

    def check_checkpoint(self) -> None:
        """Assert that what a checkpoint writes reads back equal."""
        for stage, state in zip(self.rig.kernel.stages, self.rig.kernel.states, strict=True):
            adapter = ADAPTERS[stage.name]
            assert adapter.validate_json(adapter.dump_json(state)) == state

    def _check_money(self, venue: Any) -> None:
        """Venue and account keep their books apart and must agree on every cent."""
        assert self.rig.state("venue").cash == self.rig.state("account").cash
        for position in self.rig.now(PositionChanged)[-1:]:
            held = venue.position
            assert (position.quantity, position.cost, position.margin) == (held.quantity, held.cost, held.margin)

    def _check_stops(self, venue: Any, execution: Any) -> None:
        assert not self.rig.now(ProtectionMissing)
        if venue.requests or not all(order.arrived for order in venue.orders.values()):
            return  # Something is under way: the two agree once it has arrived.
        stops = [order for order in venue.orders.values() if order.purpose is OrderPurpose.STOP]
        assert sum((order.leaves for order in stops), Decimal(0)) == abs(venue.position.quantity)
        targets = [order for order in venue.orders.values() if order.purpose is OrderPurpose.TARGET]
        assert sum((order.leaves for order in targets), Decimal(0)) <= abs(venue.position.quantity)
        if not venue.position.quantity:
            assert not [order for order in venue.orders.values() if order.reduce_only]
        assert sorted(venue.orders) == sorted(
            order.client_order_id
            for trade in execution.trades.values()
            for order in trade.orders.values()
            if order.live
        )

    def _check_terminal(self, execution: Any) -> None:
        filled_now = {fill.client_order_id for fill in self.rig.now(FillBooked)}
        for trade in execution.trades.values():
            for order in trade.orders.values():
                if order.state in LIVE:
                    continue
                now = (order.state.value, order.filled)
                if order.client_order_id not in filled_now:
                    assert self.ended.get(order.client_order_id, now) == now
                self.ended[order.client_order_id] = now

    # -- what may happen ------------------------------------------------------------------------------------------

    def plan(self, kind: int, short: bool, stop: int, target: int, quantity: int, follow: int) -> None:
        if self.rig.state("execution").active:
            return
        self.plans += 1
        sign = -1 if short else 1
        entry = (None, limit(str(self.price - sign * 50)), stop_entry(str(self.price + sign * 50)))[kind]
        self.rig.feed(
            approved(
                f"plan{self.plans}",
                side=PositionSide.SHORT if short else PositionSide.LONG,
                entry=entry,
                stop=str(self.price - sign * (60 + stop)),
                targets=[(str(self.price + sign * (60 + target)), "0.3"), (str(self.price + sign * 400), "0.7")],
                quantity=str(quantity),
                valid_until=self.rig.ts + 300_000_000,
                max_holding_s=600,
                margin_leverage=100,
                break_even_at_r="1" if follow == 1 else None,
                trail_distance_pct="0.3" if follow == 2 else None,
            )
        )

    def bar(self, move: int, up: int, down: int, volume: int) -> None:
        opens, self.price = self.price, self.price + move
        high, low = max(opens, self.price) + up, min(opens, self.price) - down
        self.rig.bar(f"{opens}/{high}/{low}/{self.price}", volume=str(Decimal(volume) / 10))

    def wait(self) -> None:
        """Let everything that is under way arrive, whatever it causes in turn; then nothing may be."""
        for _ in range(20):
            self.rig.step = []
            self.rig.mark(str(self.price), ts=self.rig.ts + 1_000_000)
            self.check()
        venue = self.rig.state("venue").books[BTC]
        assert not venue.requests
        assert all(order.arrived for order in venue.orders.values())

    def gap(self, move: int) -> None:
        self.price += move * 10

    def transfer(self, amount: int) -> None:
        self.rig.feed(TransferCash("paper", Money(Decimal(amount))))

    def settle_funding(self, rate: int) -> None:
        self.rig.feed(FundingSettled(BTC, Rate(Decimal(rate) / 100000), Micros(self.rig.ts)))

    def trade(self, move: int, size: int, seconds: int) -> None:
        self.price += move
        self.rig.trade(str(self.price), str(size), after_us=seconds * 100_000)

    def quote(self, move: int) -> None:
        self.price += move
        self.rig.quote(str(self.price - 1), str(self.price + 1))

    def mark(self, move: int) -> None:
        self.rig.mark(str(self.price + move), ts=self.rig.ts + 1)

    def reduce(self) -> None:
        self.rig.feed(ReductionApproved("paper", BTC, ExitReason.OPERATOR))

    def restrict(self, state: TradingState) -> None:
        self.rig.feed(TradingStateChanged("paper", state, TradingState.ACTIVE, (), ""))

    def turn(self, regime: Regime) -> None:
        self.rig.feed(
            RegimeClassified(BTC, "15m", regime, Regime.RANGE, (), Rate(Decimal(0)), "RULES", 300, "f", False)
        )

    def judge_data(self, quality: Quality) -> None:
        self.rig.feed(QualityChanged(BTC, quality, Quality.GOOD, ()))

    def repeat(self, which: int) -> None:
        """The venue reports an old execution again, as after a reconnect."""
        if self.reported:
            again = self.reported[which % len(self.reported)]
            assert list(EXECUTION.decide(self.rig.state("execution"), message(again, ts=self.rig.ts))) == []


_small = st.integers(-120, 120)
ACTIONS: st.SearchStrategy[tuple[Callable[..., None], tuple[Any, ...]]] = st.one_of(
    st.tuples(
        st.just(Market.plan),
        st.tuples(
            st.integers(0, 2),
            st.booleans(),
            st.integers(0, 200),
            st.integers(0, 200),
            st.integers(1, 60),
            st.integers(0, 2),
        ),
    ),
    st.tuples(st.just(Market.bar), st.tuples(_small, st.integers(0, 150), st.integers(0, 150), st.integers(0, 20))),
    st.tuples(st.just(Market.bar), st.tuples(_small, st.integers(0, 150), st.integers(0, 150), st.integers(0, 20))),
    st.tuples(st.just(Market.trade), st.tuples(_small, st.integers(1, 5), st.integers(1, 20))),
    st.tuples(st.just(Market.quote), st.tuples(_small)),
    st.tuples(st.just(Market.mark), st.tuples(_small)),
    st.tuples(st.just(Market.wait), st.just(())),
    st.tuples(st.just(Market.gap), st.tuples(_small)),
    st.tuples(st.just(Market.transfer), st.tuples(_small)),
    st.tuples(st.just(Market.settle_funding), st.tuples(_small)),
    st.tuples(st.just(Market.repeat), st.tuples(st.integers(0, 50))),
    st.tuples(st.just(Market.reduce), st.just(())),
    st.tuples(st.just(Market.turn), st.tuples(st.sampled_from(list(Regime)))),
    st.tuples(st.just(Market.judge_data), st.tuples(st.sampled_from(list(Quality)))),
    st.tuples(st.just(Market.restrict), st.tuples(st.sampled_from(list(TradingState)))),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(
    st.lists(ACTIONS, min_size=5, max_size=40),
    st.sampled_from(((0, 0), (300_000, 0), (20_000, 900_000))),
    st.sampled_from((0, 40)),
    st.integers(0, 1000),
)
def test_orders_and_position_stay_consistent(
    actions: list[tuple[Callable[..., None], tuple[Any, ...]]], latency: tuple[int, int], partial: int, seed: int
) -> None:
    market = Market(latency_us=latency[0], latency_jitter_us=latency[1], fault_partial_pct=partial, seed=seed)
    for action, arguments in actions:
        market.rig.step = []
        action(market, *arguments)
        market.check()
    market.check_checkpoint()
    market.wait()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.data())
def test_position_is_the_sum_of_fills_in_any_order_with_duplicates(quantities: list[int], data: st.DataObject) -> None:
    rig = Rig(stages=(EXECUTION,))
    rig.feed(approved(quantity=str(sum(quantities))))
    (order,) = rig.state("execution").trades["plan1"].orders
    _accept(rig, order)
    reports = [_fill(order, number, quantity) for number, quantity in enumerate(quantities)]
    repeats = data.draw(st.lists(st.sampled_from(reports), max_size=6))
    for report in data.draw(st.permutations(reports + repeats)):
        rig.feed(report)
    trade = rig.state("execution").trades["plan1"]
    assert trade.open_quantity == sum(quantities)
    assert sum(fill.last_quantity for fill in rig.of(FillBooked)) == sum(quantities)
    assert trade.orders[order].state == "FILLED"


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(1, 29), st.integers(1, 30))
def test_a_fill_after_the_cancel_is_booked_and_protected(first: int, late: int) -> None:
    rig = Rig(stages=(EXECUTION,))
    rig.feed(approved(quantity="60", targets=[("81000", "1")]))
    (order,) = rig.state("execution").trades["plan1"].orders
    _accept(rig, order)
    rig.feed(_fill(order, 0, first))
    rig.feed(_canceled(order))
    rig.feed(_fill(order, 1, late))
    trade = rig.state("execution").trades["plan1"]
    assert trade.open_quantity == first + late
    assert trade.orders[order].state == "CANCELED"
    assert trade.orders[trade.stop_id].wanted_quantity == first + late


def _accept(rig: Rig, order: str) -> None:
    rig.feed(SubmitAttempted(order, "paper", BTC))
    rig.feed(VenueAccepted(order, "paper", BTC, "v1"))


def _canceled(order: str) -> Event:
    return VenueCanceled(order, "paper", BTC, "CANCELED")


def _fill(order: str, number: int, quantity: int) -> VenueFill:
    return VenueFill(
        client_order_id=order,
        account_id="paper",
        instrument_id=BTC,
        venue_trade_id=derive_id("fill", number),
        side=Side.BUY,
        last_quantity=Quantity(Decimal(quantity)),
        last_price=Price(Decimal(80000)),
        liquidity=Liquidity.TAKER,
        fee=Quantity(Decimal(1)),
        fee_currency="USDT",
        arrival_price=None,
        trigger_source=None,
    )
