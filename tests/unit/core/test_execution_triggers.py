"""Which price watches a stop is said twice: at its intent, and on the fill it fired."""

from __future__ import annotations

from decimal import Decimal

import pytest

from schemas.events.common import Liquidity, OrderPurpose, TriggerPriceType
from schemas.events.market import Channel, FeedOrigin, FeedState, FeedStatus
from schemas.events.orders import FillBooked, OrderIntended, SubmitAttempted, VenueFill
from schemas.values import SECOND, Price, Quantity
from streams.core.execution import STAGE as EXECUTION
from tests.builders import MINUTE, btc_spot
from tests.rig import Rig, approved, stop_entry

MARK, LAST, INDEX = TriggerPriceType.MARK, TriggerPriceType.LAST, TriggerPriceType.INDEX


def stop_of(rig: Rig) -> tuple[TriggerPriceType | None, TriggerPriceType | None]:
    """Return what the newest stop asks for and what is watched for it."""
    stop = [order for order in rig.of(OrderIntended) if order.purpose is OrderPurpose.STOP][-1]
    return stop.trigger_price_type, stop.trigger_source


def entered(rig: Rig, asked: TriggerPriceType) -> Rig:
    """Enter on the second of two prints."""
    rig.feed(approved(stop="79000", stop_on=asked))
    rig.trade("80000")
    return rig


@pytest.mark.parametrize("asked", [MARK, INDEX])
def test_the_price_asked_for_is_watched_while_it_speaks(asked: TriggerPriceType) -> None:
    rig = Rig()
    rig.mark("80000", ts=rig.ts)
    rig.index("80000")
    assert stop_of(entered(rig, asked)) == (asked, asked)


@pytest.mark.parametrize("asked", [MARK, INDEX])
def test_last_is_said_to_stand_in_where_it_never_spoke(asked: TriggerPriceType) -> None:
    assert stop_of(entered(Rig(), asked)) == (asked, LAST)


@pytest.mark.parametrize(
    ("asked", "channel", "name"), [(MARK, Channel.MARK, "BTC-USDT-SWAP"), (INDEX, Channel.INDEX, "BTC-USDT")]
)
@pytest.mark.parametrize(("late", "source"), [(0, None), (1, LAST)], ids=["three cadences old", "older"])
def test_last_stands_in_from_three_cadences_on(
    asked: TriggerPriceType, channel: Channel, name: str, late: int, source: TriggerPriceType | None
) -> None:
    rig = Rig()
    rig.feed(FeedStatus(name, channel, FeedState.OPEN, FeedOrigin.RECORDED, "test", cadence_us=SECOND))
    rig.mark("80000", ts=rig.ts)
    rig.index("80000")
    rig.feed(approved(stop="79000", stop_on=asked))
    rig.trade("80000", after_us=3 * SECOND + late)
    assert stop_of(rig) == (asked, source or asked)


def test_a_mark_that_may_not_be_substituted_is_watched_though_it_is_silent() -> None:
    assert stop_of(entered(Rig(mark_substitute="false"), MARK)) == (MARK, MARK)
    assert stop_of(entered(Rig(mark_substitute="false"), INDEX)) == (INDEX, LAST)


@pytest.mark.parametrize("asked", [MARK, LAST, INDEX])
def test_okx_watches_what_it_is_asked_to_whatever_our_feed_shows(asked: TriggerPriceType) -> None:
    rig = Rig(stages=(EXECUTION,), venue="OKX")
    rig.feed(approved(stop="79000", stop_on=asked))
    (entry,) = rig.of(OrderIntended)
    rig.feed(SubmitAttempted(entry.client_order_id, "paper", "BTC-USDT-SWAP"))
    report = entry_fill(entry)
    rig.feed(report)
    assert stop_of(rig) == (asked, asked)


def entry_fill(entry: OrderIntended) -> VenueFill:
    """Return what OKX would report of an entry that filled whole."""
    return VenueFill(
        client_order_id=entry.client_order_id,
        account_id=entry.account_id,
        instrument_id=entry.instrument_id,
        venue_trade_id="1",
        side=entry.side,
        last_quantity=entry.quantity,
        last_price=Price(Decimal(80000)),
        liquidity=Liquidity.TAKER,
        fee=Quantity(Decimal(4)),
        fee_currency="USDT",
        arrival_price=None,
        trigger_source=None,
    )


def test_a_stop_on_last_watches_last_whatever_the_mark_does() -> None:
    rig = Rig()
    rig.mark("80000", ts=rig.ts)
    assert stop_of(entered(rig, LAST)) == (LAST, LAST)


def test_spot_has_no_mark_to_ask_for() -> None:
    rig = Rig(instruments=(btc_spot(),))
    rig.feed(approved(stop="79000", quantity="0.1", instrument=btc_spot()))
    rig.trade("80000", instrument_id="BTC-USDT")
    assert stop_of(rig) == (LAST, LAST)


@pytest.mark.parametrize(("marks", "source"), [(1, LAST), (2, MARK)], ids=["coarser", "finer"])
def test_on_bars_the_mark_must_be_finer_than_they_are(marks: int, source: TriggerPriceType) -> None:
    """Once a minute is once a bar; an hourly mark is coarser still, and fresh for three hours by its own cadence."""
    rig = Rig()
    rig.feed(FeedStatus("BTC-USDT-SWAP", Channel.MARK, FeedState.OPEN, FeedOrigin.RECORDED, "test", cadence_us=MINUTE))
    rig.feed(approved(stop="79000"))
    opens = rig.ts
    for number in range(marks):
        rig.mark("80000", ts=opens + number)
    rig.bar("80000/80100/79900/80000", ts_open=opens)
    assert stop_of(rig) == (MARK, source)


def test_a_longer_bar_says_nothing_about_how_fine_the_mark_is() -> None:
    rig = Rig()
    rig.feed(FeedStatus("BTC-USDT-SWAP", Channel.MARK, FeedState.OPEN, FeedOrigin.RECORDED, "test", cadence_us=MINUTE))
    opens = rig.ts
    rig.mark("80000", ts=opens)
    rig.mark("80000", ts=opens + 1)
    rig.bar("80000/80100/79900/80000", ts_open=opens)
    rig.bar("80000/80100/79900/80000", ts_open=opens - 14 * MINUTE, minutes=15)
    assert not rig.state("execution").prices["BTC-USDT-SWAP"].mark.is_coarse()


def test_the_fill_carries_the_price_that_fired_it() -> None:
    rig = entered(Rig(), MARK)
    rig.mark("79000", ts=rig.ts + 1)
    rig.trade("79010")
    entry, stop = rig.of(FillBooked)
    assert (entry.trigger_source, stop.trigger_source) == (None, MARK)
    assert stop_of(rig) == (MARK, LAST), "last stood in at the intent; the mark came in time"


def test_a_stop_entry_watches_last_and_says_so() -> None:
    rig = Rig()
    rig.mark("80000", ts=rig.ts)
    rig.feed(approved(entry=stop_entry("80500"), stop="79800"))
    (entry,) = rig.of(OrderIntended)
    assert (entry.trigger_price_type, entry.trigger_source) == (LAST, LAST)
    rig.trade("80500")
    rig.trade("80510")
    assert (rig.of(FillBooked)[0].trigger_source, rig.held()) == (LAST, Decimal(10))
