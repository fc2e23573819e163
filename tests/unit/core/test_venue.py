"""The paper venue's intake, its reports and the bar rules beside the golden cases."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from pydantic import TypeAdapter

from schemas.envelope import Event
from schemas.events.common import (
    AccountMode,
    MarginMode,
    OrderPurpose,
    OrderType,
    PositionMode,
    PositionSide,
    QuantityUnit,
    Side,
    TriggerPriceType,
)
from schemas.events.market import InstrumentState
from schemas.events.orders import (
    AccountSnapshot,
    AmendIntended,
    CancelIntended,
    FillBooked,
    NotSent,
    OrderIntended,
    OrderOperation,
    SubmitAttempted,
    VenueAccepted,
    VenueAmended,
    VenueCanceled,
    VenueFill,
    VenueRejected,
)
from schemas.values import Micros, Price, Quantity
from streams.core.venue import STAGE
from tests.builders import MINUTE, T0, btc_spot, btc_swap, settings_changed
from tests.rig import Rig, approved, limit


def order(
    name: str = "c1",
    *,
    purpose: OrderPurpose = OrderPurpose.ENTRY,
    side: Side = Side.BUY,
    kind: OrderType = OrderType.MARKET,
    quantity: str = "10",
    price: str | None = None,
    trigger: str | None = None,
    trigger_type: TriggerPriceType = TriggerPriceType.LAST,
    reduce_only: bool = False,
    instrument_id: str = "BTC-USDT-SWAP",
    valid_until: int | None = None,
) -> OrderIntended:
    return OrderIntended(
        client_order_id=name,
        plan_id="plan1",
        account_id="paper",
        instrument_id=instrument_id,
        purpose=purpose,
        target_index=None,
        side=side,
        position_side=PositionSide.LONG,
        type=kind,
        quantity=Quantity(Decimal(quantity)),
        quantity_unit=QuantityUnit.CONTRACT,
        limit_price=None if price is None else Price(Decimal(price)),
        trigger_price=None if trigger is None else Price(Decimal(trigger)),
        trigger_price_type=trigger_type,
        post_only=False,
        reduce_only=reduce_only,
        margin_mode=MarginMode.ISOLATED,
        margin_leverage=10,
        valid_until=None if valid_until is None else Micros(valid_until),
        exit_reason=None,
    )


def venue(**settings: object) -> Rig:
    return Rig(stages=(STAGE,), **settings)


def codes(events: list[Event]) -> list[str]:
    return [event.code for event in events if isinstance(event, VenueRejected)]


def test_the_first_settings_are_answered_with_a_snapshot_and_later_ones_are_not() -> None:
    rig = venue(initial_cash=25000)
    (snapshot,) = rig.of(AccountSnapshot)
    assert (snapshot.account_id, snapshot.cash, snapshot.positions) == ("paper", Decimal(25000), ())
    assert (snapshot.account_mode, snapshot.position_mode) == (AccountMode.FUTURES, PositionMode.NET)
    assert rig.feed(settings_changed(initial_cash=1)) == []
    assert rig.state("venue").cash == 25000


def test_an_order_is_attempted_then_accepted() -> None:
    rig = venue()
    assert [type(event) for event in rig.feed(order())] == [SubmitAttempted, VenueAccepted]


def test_an_order_past_its_validity_is_not_sent() -> None:
    rig = venue()
    assert rig.feed(order(valid_until=T0)) == [NotSent("c1", "paper", "BTC-USDT-SWAP", "EXPIRED")]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (order(instrument_id="X-USDT"), "INSTRUMENT_UNKNOWN"),
        (order(kind=OrderType.LIMIT), "LIMIT_PRICE_MISSING"),
        (order(kind=OrderType.STOP), "TRIGGER_PRICE_MISSING"),
        (order(quantity="0.001"), "QUANTITY_BELOW_MINIMUM"),
        (order(quantity="1.005"), "QUANTITY_NOT_A_LOT"),
        (order(quantity="12000.01"), "QUANTITY_EXCEEDS_MAXIMUM"),
    ],
)
def test_refuses_what_it_cannot_take(bad: OrderIntended, code: str) -> None:
    rig = venue()
    assert codes(rig.feed(bad)) == [code]
    assert all(not book.orders for book in rig.state("venue").books.values())


def test_an_id_is_never_taken_twice_and_the_first_order_stays() -> None:
    rig = venue()
    rig.feed(order(kind=OrderType.LIMIT, price="79000"))
    assert codes(rig.feed(order(kind=OrderType.LIMIT, price="70000"))) == ["DUPLICATE_ID"]
    assert rig.state("venue").books["BTC-USDT-SWAP"].orders["c1"].limit_price == 79000


def test_only_entries_are_held_to_the_instruments_state() -> None:
    rig = venue()
    rig.feed(order())
    rig.bar("80000/80100/79900/80000")
    rig.feed(replace(btc_swap(), state=InstrumentState.SUSPEND))
    assert codes(rig.feed(order("c2"))) == ["INSTRUMENT_NOT_LIVE"]
    closing = order("c3", purpose=OrderPurpose.EXIT, side=Side.SELL, reduce_only=True)
    assert codes(rig.feed(closing)) == []


def test_spot_cannot_be_sold_short() -> None:
    rig = Rig(stages=(STAGE,), instruments=(btc_spot(),))
    assert codes(rig.feed(order(side=Side.SELL, instrument_id="BTC-USDT"))) == ["SHORT_NOT_AVAILABLE"]


def test_a_reduce_only_order_without_a_position_is_taken_off_at_once() -> None:
    rig = venue()
    rig.feed(order(purpose=OrderPurpose.EXIT, side=Side.SELL, reduce_only=True))
    assert [event.code for event in rig.of(VenueCanceled)] == ["REDUCE_ONLY"]


def test_a_reduce_only_order_is_cut_to_what_is_held_and_never_flips() -> None:
    rig = venue()
    rig.feed(order(quantity="10"))
    rig.bar("80000/80100/79900/80000")
    rig.feed(order("c2", purpose=OrderPurpose.EXIT, side=Side.SELL, quantity="15", reduce_only=True))
    rig.bar("80000/80100/79900/80000")
    assert rig.now(VenueFill)[0].last_quantity == 10
    assert [event.code for event in rig.now(VenueCanceled)] == ["REDUCE_ONLY"]
    assert rig.state("venue").books["BTC-USDT-SWAP"].position.quantity == 0


def _resting() -> Rig:
    rig = venue()
    rig.feed(order(kind=OrderType.LIMIT, price="79000"))
    return rig


def test_amends_what_rests_and_refuses_what_is_gone() -> None:
    rig = _resting()
    amend = AmendIntended("c1", "plan1", "paper", "BTC-USDT-SWAP", Quantity(Decimal(4)), None, None)
    rig.feed(amend)
    assert rig.now(VenueAmended)[0].quantity == 4
    rig.feed(replace(amend, client_order_id="c9"))
    (refused,) = rig.now(VenueRejected)
    assert (refused.code, refused.operation) == ("ORDER_NOT_FOUND", OrderOperation.AMEND)


def test_an_amendment_below_what_has_filled_is_refused() -> None:
    rig = venue()
    rig.feed(order(kind=OrderType.LIMIT, price="79000", quantity="50"))
    rig.bar("80000/80100/78000/80000", volume="2")
    rig.feed(AmendIntended("c1", "plan1", "paper", "BTC-USDT-SWAP", Quantity(Decimal(20)), None, None))
    assert codes(rig.step) == ["QUANTITY_ALREADY_FILLED"]


def test_cancels_what_rests_and_refuses_what_is_gone() -> None:
    rig = _resting()
    cancel = CancelIntended("c1", "plan1", "paper", "BTC-USDT-SWAP", "WHY")
    rig.feed(cancel)
    assert [event.code for event in rig.now(VenueCanceled)] == ["CANCELED"]
    rig.feed(cancel)
    (refused,) = rig.now(VenueRejected)
    assert (refused.code, refused.operation) == ("ORDER_NOT_FOUND", OrderOperation.CANCEL)


def test_backfilled_bars_fill_nothing() -> None:
    rig = venue()
    rig.feed(order())
    rig.bar("80000/80100/79900/80000", backfill=True)
    assert rig.of(VenueFill) == []


def test_longer_bars_repeat_what_the_short_ones_said() -> None:
    rig = venue()
    rig.bar("80000/80100/79900/80000")
    opens = rig.ts
    rig.feed(order(kind=OrderType.LIMIT, price="79800"))
    for _ in range(5):
        rig.bar("80000/80100/79900/80000")
    rig.bar("80000/80100/79000/80000", minutes=5, ts_open=opens)
    assert rig.of(VenueFill) == []
    rig.bar("80000/80100/79000/80000")
    assert len(rig.of(VenueFill)) == 1


def test_a_stop_is_watched_on_longer_bars_once_the_short_ones_stay_away() -> None:
    rig = Rig()
    rig.feed(approved(stop="79200"))
    rig.bar("80000/80100/79900/80000")
    rig.bar("79300/79400/79000/79100", minutes=5, ts_open=rig.ts + 4 * MINUTE)
    assert rig.prices() == ["ENTRY 80040 TAKER", "STOP 79160.4 TAKER"]


def test_an_order_placed_inside_a_bar_meets_the_next_one() -> None:
    rig = venue()
    opens = rig.ts
    rig.feed(order(), ts=opens + 30_000_000)
    rig.bar("80000/80100/79900/80000", ts_open=opens)
    assert rig.of(VenueFill) == []
    rig.bar("80100/80100/79900/80000")
    assert rig.of(VenueFill)[0].arrival_price == 80100


def test_a_market_order_meets_the_open_of_a_bar_that_opened_before_it_expired() -> None:
    rig = venue()
    rig.bar("80000/80100/79900/80000")
    rig.feed(order(valid_until=rig.ts + MINUTE // 2))
    rig.bar("80000/80100/79900/80000")
    assert len(rig.of(VenueFill)) == 1


def test_a_target_that_met_its_entry_bar_gets_no_improvement_on_the_next_gap() -> None:
    rig = Rig(slippage_bps=0)
    rig.feed(approved(stop="79200", targets=[("81200", "1")]))
    rig.bar("80000/80300/79700/80200")
    rig.bar("81500/81600/81400/81500")
    assert rig.prices() == ["ENTRY 80000 TAKER", "TARGET 81200 MAKER"]


def test_a_stop_past_a_later_part_of_the_entry_gives_no_better_price_than_that_part() -> None:
    rig = Rig()
    rig.feed(approved(entry=limit("79800"), stop="79600", quantity="30", break_even_at_r="1"))
    rig.bar("80000/80010/79799/79900", volume="1")
    rig.bar("79900/80300/79890/80250")
    rig.bar("80000/80010/79790/79795")
    both = ["ENTRY 79800 MAKER", "STOP 79839.8 TAKER", "ENTRY 79800 MAKER", "STOP 79760.1 TAKER"]
    assert rig.prices() == both
    assert rig.held() == 0


def test_entries_share_the_volume_and_exits_fill_whole() -> None:
    rig = venue()
    rig.feed(order(quantity="50"))
    rig.bar("80000/80100/79900/80000", volume="2")
    assert rig.now(VenueFill)[0].last_quantity == 20
    rig.bar("80100/80200/79900/80000", volume="0.0001")
    assert rig.now(VenueFill) == []
    rig.feed(order("c2", purpose=OrderPurpose.EXIT, side=Side.SELL, quantity="20", reduce_only=True))
    rig.bar("80100/80200/79900/80000", volume="0.0001")
    assert rig.now(VenueFill)[0].last_quantity == 20


def _stop_with_marks(*marks: str) -> Rig:
    """A long with a stop on the mark at 79000, and marks inside the bar that follows."""
    rig = Rig()
    rig.feed(approved(stop="79000"))
    rig.bar("80000/80100/79900/80000")
    for number, mark in enumerate(marks):
        rig.mark(mark, ts=rig.ts + number)
    opens = rig.ts - len(marks) + 1 if marks else rig.ts
    rig.ts = opens
    return rig


def test_a_stop_on_the_mark_uses_the_mark_inside_the_bar_where_it_is_finer() -> None:
    rig = _stop_with_marks("79990", "79500", "79400")
    rig.bar("80000/80000/78000/79000", ts_open=rig.ts)
    assert rig.held() == 10
    rig = _stop_with_marks("79990", "78990", "79400")
    rig.bar("80000/80000/79500/79900", ts_open=rig.ts)
    (fill,) = rig.now(VenueFill)
    assert (fill.last_price, fill.trigger_source) == (Decimal("78960.5"), TriggerPriceType.MARK)


def test_a_stop_on_the_mark_uses_the_trade_bar_where_the_mark_is_coarser() -> None:
    rig = _stop_with_marks("79990")
    rig.bar("80000/80000/78000/79000", ts_open=rig.ts)
    (fill,) = rig.now(VenueFill)
    assert fill.trigger_source is TriggerPriceType.LAST


@pytest.mark.parametrize(
    ("indexes", "price", "source"),
    [
        (("79990", "78990", "79400"), "78960.5", TriggerPriceType.INDEX),
        (("79990",), "77961", TriggerPriceType.LAST),
    ],
    ids=["finer than the bars", "coarser: the trade bar"],
)
def test_a_stop_on_the_index_on_bars(indexes: tuple[str, ...], price: str, source: TriggerPriceType) -> None:
    rig = Rig()
    rig.feed(approved(stop="79000", stop_on=TriggerPriceType.INDEX))
    rig.bar("80000/80100/79900/80000")
    opens = rig.ts
    for number, index in enumerate(indexes):
        rig.index(index, ts=opens + number)
    rig.bar("78000/80000/77900/79900", ts_open=opens)
    (fill,) = rig.now(VenueFill)
    assert (fill.last_price, fill.trigger_source) == (Decimal(price), source)


def test_stop_and_target_in_one_bar_is_the_stop() -> None:
    rig = Rig()
    rig.feed(approved(stop="79000", targets=[("81000", "1")]))
    rig.bar("80000/80100/79900/80000")
    rig.bar("80000/82000/78900/81500")
    assert rig.prices()[-1] == "STOP 78960.5 TAKER"
    assert rig.held() == 0


def test_a_target_in_the_entry_bar_counts_for_a_market_entry_at_the_open() -> None:
    rig = Rig()
    rig.feed(approved(stop="79000", targets=[("81000", "1")]))
    rig.bar("80000/81000.1/79900/80500")
    assert rig.prices() == ["ENTRY 80040 TAKER", "TARGET 81000 MAKER"]


def test_a_target_in_the_entry_bar_does_not_count_for_a_limit_entry() -> None:
    rig = Rig()
    rig.feed(approved(entry=limit("79800"), stop="79000", targets=[("81000", "1")]))
    rig.bar("80000/81500/79700/81400")
    assert rig.prices() == ["ENTRY 79800 MAKER"]
    rig.bar("81400/81500/81300/81400")
    assert rig.prices()[-1] == "TARGET 81359.3 TAKER"


def test_a_market_exit_at_the_open_comes_before_the_stop() -> None:
    rig = Rig(slippage_bps=0)
    rig.feed(approved(stop="79000", max_holding_s=60))
    rig.bar("80000/80100/79900/80000")
    rig.bar("80000/80100/79900/80000")
    rig.bar("80000/80100/78000/78500")
    assert rig.prices()[-1] == "EXIT 80000 TAKER"
    assert rig.held() == 0


def test_venue_ids_follow_from_the_order() -> None:
    first, second = Rig(), Rig()
    for rig in (first, second):
        rig.feed(approved(entry=limit("79800"), quantity="50"))
        rig.bar("80000/80100/79790/80000", volume="2")
        rig.bar("80000/80100/79790/80000", volume="2")
    assert first.of(VenueFill) == second.of(VenueFill)
    assert len({fill.venue_trade_id for fill in first.of(VenueFill)}) == 2


def test_fees_follow_kind_and_liquidity() -> None:
    rig = Rig(slippage_bps=0)
    rig.feed(approved(targets=[("81000", "1")], quantity="1000"))
    rig.bar("80000/80100/79900/80000")
    rig.bar("80000/81100/79900/80000")
    assert [fill.fee for fill in rig.of(FillBooked)] == [Decimal(400), Decimal(162)]


def test_the_state_survives_a_checkpoint() -> None:
    rig = Rig()
    rig.feed(approved(entry=limit("79800"), targets=[("81000", "1")], quantity="50"))
    rig.mark("80000", ts=rig.ts)
    rig.quote("79999", "80001")
    rig.bar("80000/80100/79790/80000", volume="2")
    for stage, state in zip(rig.kernel.stages, rig.kernel.states, strict=True):
        adapter = TypeAdapter(stage.state_type)
        assert adapter.validate_json(adapter.dump_json(state)) == state


@pytest.mark.parametrize(("opens", "entered"), [("80999.9", True), ("81000", False)])
def test_a_short_market_entry_at_its_stop_is_canceled(opens: str, entered: bool) -> None:
    rig = Rig()
    rig.feed(approved(side=PositionSide.SHORT, stop="81000"))
    rig.bar(f"{opens}/81000/80000/80500")
    assert bool(rig.of(VenueFill)) is entered
    assert ("ENTRY_PAST_STOP" in [event.code for event in rig.of(VenueCanceled)]) is not entered
