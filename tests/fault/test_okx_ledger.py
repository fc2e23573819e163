"""What the gateway missed and what the venue's ledger has: each difference is told with age and repair, and ends.

Real trader stages, gateway, client and ccxt; the venue is the fake OKX. Every drill ends with a verified log.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from schemas.events.account import ChargeBooked, FundingPaid, TradeClosed
from schemas.events.common import EntryEnd, ExitReason, OrderPurpose, Repair
from schemas.events.control import TransferCash
from schemas.events.gateway import DifferenceFound, VenueCharged
from schemas.events.orders import EntryEnded, FillBooked, VenueAccepted, VenueCanceled
from schemas.events.risk import ReconciliationSettled
from schemas.values import SECOND, Money, plain
from services.gateways.okx.desk import OrderDesk
from services.gateways.okx.owner import Owner
from tests.builders import btc_swap
from tests.okx_drill import agreed, differed, different, entered, of_purpose, stops
from tests.okx_floor import BTC, REPORTS, Floor, on_the_floor

pytestmark = pytest.mark.slow
LIMIT = '{"type": "LIMIT", "limit_price": "79990.0"}'
INTEREST, STRATEGY = "7", "12"


def settled(floor: Floor, subject: str) -> bool:
    """Whether a difference was told to be gone."""
    return any(gone.subject == subject for gone in floor.of("verdicts", ReconciliationSettled))


async def away(floor: Floor, seconds: int) -> None:
    """Start a gateway again after a time without one."""
    floor.okx.clock.advance(seconds=seconds)
    floor.price("80000")
    await floor.start_gateway()


def test_fills_missed_for_long_are_differences_that_their_reports_repair() -> None:
    async def scenario(floor: Floor) -> None:
        floor.execute(entry=LIMIT)
        await floor.until(lambda: floor.of(REPORTS, VenueAccepted))
        await floor.kill_gateway()
        floor.okx.venue.print_trade(BTC, "79980", "4", "sell")
        floor.okx.venue.print_trade(BTC, "79980", "100", "sell")
        await away(floor, 90)
        await floor.until(lambda: stops(floor) == [of_purpose(floor, OrderPurpose.ENTRY)[0].quantity])
        await floor.settle()
        first, second = differed(floor, "fill ")
        assert (first.venue, first.log, first.repair) == ("BUY 4 at 79990", "none", Repair.GATEWAY)
        assert 90 * SECOND <= first.age_us < 100 * SECOND
        assert settled(floor, first.subject)
        assert settled(floor, second.subject)
        agreed(floor)

    on_the_floor(scenario)


def test_an_order_taken_away_while_nobody_looked_is_a_difference() -> None:
    async def scenario(floor: Floor) -> None:
        floor.execute(entry=LIMIT)
        await floor.until(lambda: floor.of(REPORTS, VenueAccepted))
        (order,) = floor.okx.venue.trading.open_orders(BTC)
        await floor.kill_gateway()
        floor.okx.venue.trading.end(order, "1")
        await away(floor, 90)
        await floor.until(lambda: floor.of("orders", EntryEnded))
        await floor.settle()
        (told,) = differed(floor, "order ")
        assert (told.subject, told.repair) == (f"order {order.asked('clOrdId')}", Repair.GATEWAY)
        assert (told.venue.split()[0], told.log.split()[0]) == ("CANCELED", "AT_VENUE")
        assert 90 * SECOND <= told.age_us < 100 * SECOND
        agreed(floor)

    on_the_floor(scenario)


def test_a_trade_followed_without_a_gap_has_no_difference() -> None:
    async def scenario(floor: Floor) -> None:
        await entered(floor)
        floor.okx.control.settle_funding(BTC)
        await floor.until(lambda: floor.of("accounts", FundingPaid))
        floor.price("79100")
        await floor.until(lambda: floor.of("accounts", TradeClosed))
        await floor.later(30)  # every line of the ledger is old enough to be judged
        await floor.settle()
        assert floor.of(REPORTS, DifferenceFound) == []
        agreed(floor)

    on_the_floor(scenario)


def test_funding_settled_while_no_gateway_lived_is_a_difference_that_its_report_repairs() -> None:
    async def scenario(floor: Floor) -> None:
        await entered(floor)
        await floor.kill_gateway()
        floor.okx.control.settle_funding(BTC)
        await away(floor, 180)
        await floor.until(lambda: floor.of("accounts", FundingPaid))
        await floor.settle()
        (told,) = differed(floor, "funding ")
        assert told.subject.startswith(f"funding {BTC} 20")
        assert told.repair is Repair.GATEWAY
        agreed(floor)

    on_the_floor(scenario)


def test_interest_is_booked_and_cash_agrees() -> None:
    async def scenario(floor: Floor) -> None:
        await entered(floor)
        floor.okx.control.charge("USDT", "-1.5", INTEREST)
        await floor.until(lambda: floor.of("accounts", ChargeBooked))
        await floor.settle()
        assert [charge.amount for charge in floor.of("accounts", ChargeBooked)] == [Decimal("-1.5")]
        assert len(floor.of(REPORTS, VenueCharged)) == 1
        agreed(floor)

    on_the_floor(scenario)


def test_a_line_of_an_unknown_kind_is_told_until_its_money_is_booked() -> None:
    async def scenario(floor: Floor) -> None:
        await entered(floor)
        floor.okx.control.charge("USDT", "-20", STRATEGY, "118")
        await floor.until(lambda: "cash" in different(floor))
        await floor.settle()
        (told,) = differed(floor, "bill ")
        assert (told.venue, told.log) == ("12/118 -20 USDT", "a kind of line it does not know")
        assert (told.repair, set(different(floor))) == (Repair.NONE, {told.subject, "cash"})
        await floor.kill_gateway()
        await floor.start_gateway()
        assert len(floor.of(REPORTS, DifferenceFound)) == 1, "a gateway started anew knows what was told"
        floor.put("commands", TransferCash("okx", Money(Decimal(-20))))
        await floor.settle()
        agreed(floor)

    on_the_floor(scenario)


def test_a_coin_we_do_not_count_is_told_and_holds_nothing() -> None:
    async def scenario(floor: Floor) -> None:
        floor.okx.control.transfer("SOL", "3")
        await floor.until(lambda: differed(floor, "bill "))
        await floor.settle()
        (told,) = differed(floor, "bill ")
        assert (told.venue, told.log) == ("1/11 3 SOL", "counts USDT only")
        agreed(floor)

    on_the_floor(scenario)


def test_a_traded_line_without_its_fill_is_told_once_the_fill_had_its_time() -> None:
    async def scenario(floor: Floor) -> None:
        order = {"instId": BTC, "instType": "SWAP", "tradeId": "990099"}
        floor.okx.venue.account.charge("USDT", "-7", "2", "3", order)
        await floor.settle()
        assert differed(floor, "bill ") == []
        await floor.later(12)
        await floor.until(lambda: differed(floor, "bill "))
        (told,) = differed(floor, "bill ")
        assert (told.venue, told.log) == (f"2/3 {BTC} -7 USDT", "no such fill")

    on_the_floor(scenario)


def test_a_fee_that_is_not_the_fills_is_told() -> None:
    async def scenario(floor: Floor) -> None:
        await entered(floor)
        line = next(row for row in floor.okx.venue.account.bills if row["type"] == "2")
        line["fee"] = "-99"
        await floor.until(lambda: differed(floor, "bill "))
        (told,) = differed(floor, "bill ")
        assert told.venue.endswith("fee 99")
        assert told.log.startswith("fee 4.3")

    on_the_floor(scenario)


def test_a_fill_that_closes_and_opens_has_two_lines_and_one_fee() -> None:
    async def scenario(floor: Floor) -> None:
        await entered(floor)
        bills = floor.okx.venue.account.bills
        line = next(row for row in bills if row["type"] == "2")
        half = plain(Decimal(str(line["fee"])) / 2)
        line["fee"] = half
        bills.append(line | {"billId": f"{line['billId']}0", "balChg": "0.0001", "posBalChg": "0"})
        await floor.later(30)
        await floor.settle()
        assert floor.of(REPORTS, DifferenceFound) == []

    on_the_floor(scenario)


@pytest.mark.parametrize("hours", [0, 2])
def test_a_hand_that_closed_a_part_while_nobody_looked(hours: int) -> None:
    async def scenario(floor: Floor) -> None:
        await entered(floor)
        await floor.kill_gateway()
        floor.okx.control.trade_by_hand(BTC, "sell", "4", "80000")
        await away(floor, hours * 3600 + 200)
        await floor.until(lambda: stops(floor) == [Decimal("6.86")])
        await floor.settle()
        assert floor.of("fills", FillBooked)[-1].exit_reason is ExitReason.RECONCILED
        agreed(floor)

    on_the_floor(scenario)


@pytest.mark.parametrize("seconds", [200, 2 * 3600])
def test_a_liquidation_while_nobody_looked(seconds: int) -> None:
    async def scenario(floor: Floor) -> None:
        await entered(floor)
        await floor.kill_gateway()
        floor.okx.control.liquidate(BTC, "78900")
        await away(floor, seconds)
        await floor.until(lambda: floor.of("accounts", TradeClosed) and stops(floor) == [])
        await floor.settle()
        (closed,) = floor.of("accounts", TradeClosed)
        assert closed.exit_reason is ExitReason.LIQUIDATION
        assert closed.liquidation_penalty > 0
        agreed(floor)

    on_the_floor(scenario)


def test_a_deleveraging_a_settlement_and_a_transfer_while_nobody_looked() -> None:
    async def scenario(floor: Floor) -> None:
        await entered(floor)
        await floor.kill_gateway()
        floor.okx.control.settle_funding(BTC)
        floor.okx.control.deleverage(BTC, "4", "80000")
        floor.okx.control.transfer("USDT", "500")
        await away(floor, 2 * 3600)
        await floor.until(lambda: stops(floor) == [Decimal("6.86")])
        await floor.settle()
        assert floor.of("fills", FillBooked)[-1].exit_reason is ExitReason.ADL
        assert {d.subject.split()[0] for d in floor.of(REPORTS, DifferenceFound)} == {"fill", "funding", "transfer"}
        agreed(floor)

    on_the_floor(scenario)


def test_a_gateway_that_claims_and_dies_loses_nothing() -> None:
    async def scenario(floor: Floor) -> None:
        await entered(floor)
        await floor.kill_gateway()
        floor.okx.control.trade_by_hand(BTC, "sell", "4", "80000")
        floor.okx.clock.advance(seconds=200)
        owner = Owner("okx", "dies", "test", "live 1")
        now = floor.clients[-1].clock.now
        OrderDesk(floor.log, 0, floor.clients[-1], owner, clock=now, instruments=lambda _: btc_swap()).open()
        await away(floor, 200)
        await floor.until(lambda: stops(floor) == [Decimal("6.86")])
        await floor.settle()
        agreed(floor)

    on_the_floor(scenario)


def test_a_fill_that_only_the_ledger_remembers_is_asked_for() -> None:
    """As when the log's last reconciliation saw the position and the venue's list of fills lagged by minutes."""

    async def scenario(floor: Floor) -> None:
        await entered(floor)
        order = floor.okx.control.trade_by_hand(BTC, "sell", "4", "80000")
        fills, order.fills[:] = list(order.fills), []
        await floor.settle()
        await floor.later(300)
        order.fills[:] = fills
        await floor.until(lambda: stops(floor) == [Decimal("6.86")])
        await floor.settle()
        agreed(floor)

    on_the_floor(scenario)


def test_an_order_that_comes_back_is_taken_away() -> None:
    async def scenario(floor: Floor) -> None:
        floor.execute(entry=LIMIT)
        await floor.until(lambda: floor.of(REPORTS, VenueAccepted))
        venue = floor.okx.venue
        (order,) = venue.trading.open_orders(BTC)
        floor.okx.control.forget(order.ord_id)
        await floor.settle()
        await floor.later(12)
        await floor.until(lambda: floor.of(REPORTS, VenueCanceled))
        venue.trading.orders[order.ord_id] = order
        await floor.settle()
        assert venue.trading.open_orders(BTC) == [order], "one look may be one at an old list"
        await floor.later(12)
        await floor.until(lambda: venue.trading.open_orders(BTC) == [])
        await floor.settle()
        vanished, back = differed(floor, "order ")
        assert (vanished.venue, back.venue.split()[0], back.log.split()[0]) == ("none", "RESTING", "OVER")
        assert [end.end for end in floor.of("orders", EntryEnded)] == [EntryEnd.CANCELED]
        agreed(floor)

    on_the_floor(scenario)


def test_funding_in_another_coin_is_told_and_not_booked() -> None:
    async def scenario(floor: Floor) -> None:
        order = {"instId": "BTC-USDC-SWAP", "instType": "SWAP", "tdMode": "cross"}
        floor.okx.venue.account.charge("USDC", "-12", "8", "173", order)
        await floor.until(lambda: differed(floor, "bill "))
        await floor.settle()
        assert floor.of("accounts", FundingPaid) == []
        agreed(floor)

    on_the_floor(scenario)


def test_a_forced_line_without_its_trade_belongs_to_the_forced_fill_beside_it() -> None:
    async def scenario(floor: Floor) -> None:
        await entered(floor)
        floor.okx.control.deleverage(BTC, "4", "80000")
        line = floor.okx.venue.account.bills[-1]
        assert line["type"] == "9"
        line["tradeId"] = ""
        await floor.until(lambda: stops(floor) == [Decimal("6.86")])
        await floor.later(30)
        await floor.settle()
        assert floor.of(REPORTS, DifferenceFound) == []
        agreed(floor)

    on_the_floor(scenario)


def test_clawback_is_booked() -> None:
    async def scenario(floor: Floor) -> None:
        floor.okx.control.charge("USDT", "-3", "10", "0")
        await floor.until(lambda: floor.of("accounts", ChargeBooked))
        await floor.settle()
        agreed(floor)

    on_the_floor(scenario)


def test_a_history_longer_than_an_answer_stops_no_reconciliation() -> None:
    async def scenario(floor: Floor) -> None:
        await entered(floor)
        floor.price("79100")
        await floor.until(lambda: floor.of("accounts", TradeClosed))
        rows = floor.okx.venue.account.closed_positions
        (row,) = rows
        old = int(str(row["uTime"])) - 3_600_000
        rows[:0] = [row | {"uTime": str(old - n), "cTime": str(old - n - 1)} for n in range(10_050)]
        asked = len(floor.okx.requests)
        await floor.later(30)
        await floor.settle()
        pages = [name for name, _ in floor.okx.requests[asked:] if name == "account/positions-history"]
        assert 1 <= len(pages) <= 3
        agreed(floor)

    on_the_floor(scenario)


def test_a_closed_position_whose_parts_are_not_its_whole_is_told() -> None:
    async def scenario(floor: Floor) -> None:
        await entered(floor)
        floor.price("79100")
        await floor.until(lambda: floor.of("accounts", TradeClosed))
        (row,) = floor.okx.venue.account.closed_positions
        row["realizedPnl"] = "-1"
        await floor.later(30)
        await floor.until(lambda: differed(floor, "closed "))
        (told,) = differed(floor, "closed ")
        assert (told.venue, told.repair) == (f"{BTC} realized -1", Repair.NONE)
        await floor.settle()
        assert different(floor) == [], "gone with the next snapshot whose cash agrees"
        for side, price in (("buy", "79000"), ("sell", "79100")):  # the next position of the instrument has the same id
            floor.okx.control.trade_by_hand(BTC, side, "3", price)
        first, second = floor.okx.venue.account.closed_positions
        assert first["posId"] == second["posId"]
        second["realizedPnl"] = "-2"
        await floor.later(30)
        await floor.until(lambda: len(differed(floor, "closed ")) == 2)
        await floor.settle()
        assert sorted(subject.split()[0] for subject in different(floor)) == ["cash", "closed"], (
            "open while cash differs"
        )

    on_the_floor(scenario)
