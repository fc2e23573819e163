"""Whatever venue, hands and kills do to an account, in any order: in the end the log has all of it, once.

Real trader stages, gateway, client and ccxt at the fake OKX. Every fill and every line of the venue's ledger must be on
the log; then foreign positions are closed by hand and their cost is booked by the operator, and nothing may differ, no
order may be there twice, nothing may be naked.
"""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal

import pytest

from schemas.events.control import TransferCash
from schemas.events.gateway import VenueCharged, VenueTransferred
from schemas.events.orders import VenueFill, VenueFunding
from schemas.values import Money, plain
from tests.fakes.okx.errors import VenueError
from tests.okx_drill import booked, differed, different, held, once_each, stops
from tests.okx_floor import BTC, REPORTS, Floor, on_the_floor

pytestmark = pytest.mark.slow
STEPS = 8
OPENED = {"1": 10_000}
"""What the account holds before the log begins: its first line."""
AWAY_S = (5, 90, 400, 4_000, 8_000)


class Chaos:
    """A floor and what may happen to it."""

    def __init__(self, floor: Floor, seed: int) -> None:
        self.floor, self.chance = floor, random.Random(seed)
        self.control = floor.okx.control
        self.last = Decimal(80_000)

    async def act(self) -> None:
        """Do one thing while everything lives, or some while no gateway does."""
        if self.chance.random() < 0.4:
            await self.floor.kill_gateway()
            for _ in range(self.chance.randrange(4)):
                self.venue_acts()
            self.floor.okx.clock.advance(seconds=self.chance.choice(AWAY_S))
            self.floor.price(plain(self.last))
            await self.floor.start_gateway()
        elif self.chance.random() < 0.3:
            self.floor.execute()
        elif self.chance.random() < 0.2:
            self.floor.okx.hub.drop()
        else:
            self.venue_acts()
        if self.chance.random() < 0.5:
            await self.floor.settle()

    def venue_acts(self) -> None:
        """Let the venue, or a hand at it, do something."""
        choice = self.chance.choice(
            [self.hand, self.hand, self.force, self.fund, self.move_money, self.move_price, self.move_price]
        )
        try:
            choice()
        except VenueError:
            return  # nothing to act on, or not enough money: the venue refused

    def hand(self) -> None:
        side, size = self.chance.choice(("buy", "sell")), plain(Decimal(self.chance.randrange(1, 900)) / 100)
        self.control.trade_by_hand(BTC, side, size, plain(self.last))

    def force(self) -> None:
        if self.chance.random() < 0.5:
            self.control.deleverage(BTC, "1", plain(self.last))
        else:
            self.control.liquidate(BTC, plain(self.last - 200))

    def fund(self) -> None:
        self.floor.okx.clock.advance(seconds=1)  # no two settlements at one moment
        self.control.settle_funding(BTC)

    def move_money(self) -> None:
        amount = str(self.chance.randrange(-300, 300))
        if self.chance.random() < 0.5:
            self.control.transfer("USDT", amount)
        else:
            self.control.charge("USDT", plain(Decimal(amount) / 100))

    def move_price(self) -> None:
        self.last = Decimal(self.chance.choice((79_000, 79_900, 80_000, 80_100, 80_700)))
        self.floor.price(plain(self.last))


def lacks(floor: Floor) -> list[str]:
    """Return what the venue has and the log has not, or has another time."""
    orders, account = floor.okx.venue.trading.orders.values(), floor.okx.venue.account
    theirs = Counter(fill.trade_id for order in orders for fill in order.fills)
    ours = Counter(fill.venue_trade_id for fill in floor.of(REPORTS, VenueFill))
    found = [f"fill {name}: {theirs[name]} and {ours[name]}" for name in theirs | ours if theirs[name] != ours[name]]
    for kind, event in (("8", VenueFunding), ("1", VenueTransferred), ("7", VenueCharged)):
        moved = sum((round(Decimal(str(row["balChg"])), 8) for row in account.bills if row["type"] == kind), Decimal(0))
        told = [e.payment if isinstance(e, VenueFunding) else e.amount for e in floor.of(REPORTS, event)]
        if moved - OPENED.get(kind, 0) != sum(told):
            found.append(f"{event.__name__}: {moved} and {sum(told)}")
    return found


async def put_right(floor: Floor) -> None:
    """Close by hand what no plan opened, and book what it cost."""
    for _ in range(3):
        await floor.settle()
        foreign = held(floor) - booked(floor)
        if not foreign:
            break
        side = "sell" if foreign > 0 else "buy"
        floor.okx.control.trade_by_hand(BTC, side, plain(abs(foreign)), "80000")
    await floor.until(lambda: held(floor) == booked(floor) and sum(stops(floor)) == max(held(floor), Decimal(0)))
    await floor.settle()
    if "cash" in different(floor):
        told = differed(floor, "cash")[-1]
        floor.put("commands", TransferCash("okx", Money(Decimal(told.venue) - Decimal(told.log))))
        await floor.settle()


@pytest.mark.parametrize("seed", range(12))
def test_log_and_venue_agree_in_the_end(seed: int) -> None:
    async def scenario(floor: Floor) -> None:
        chaos = Chaos(floor, seed)
        floor.execute()
        await floor.until(lambda: stops(floor))
        for _ in range(STEPS):
            await chaos.act()
        await floor.settle()
        await floor.settle()
        assert lacks(floor) == []
        await put_right(floor)
        assert different(floor) == []
        assert once_each(floor)

    on_the_floor(scenario)
