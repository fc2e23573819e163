"""Read models and the audit trail over a small story worked by hand: one plan that trades, one denied, one declined."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from psycopg.rows import dict_row

from projections.connect import connect
from projections.tables import SCHEMA
from projections.trail import causes, effects, find, payload
from projections.writer import Projector
from schemas.codec import encode
from schemas.envelope import NOT_SEQUENCED, Envelope, Event
from schemas.events.account import CashFlowed, ChargeBooked, EquityChanged, FlowKind, PositionChanged, TradeClosed
from schemas.events.common import EntryEnd, OrderPurpose, Quality, Side
from schemas.events.control import GeneratePlan
from schemas.events.data import (
    BarClosed,
    GapClosed,
    GapOpened,
    MessageQuarantined,
    QualityChanged,
    QualityReason,
    TickQuarantined,
)
from schemas.events.intelligence import FeaturesComputed, SignalScored
from schemas.events.market import Channel, FeedState, FeedStatus, LineQuarantined, Trade, VenueBar
from schemas.events.orders import (
    AmendIntended,
    CancelIntended,
    EntryEnded,
    FillBooked,
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderFilled,
    OrderIntended,
    OrderPartiallyFilled,
    OrderSubmitted,
)
from schemas.events.plan import PlanProposed
from schemas.events.risk import Check, CheckResult, DenialCode, PlanApproved, PlanDenied
from schemas.topics import TOPIC_OF, TOPICS
from schemas.values import Micros, Money, Price, Quantity
from services.projection import LogSource
from services.query.database import ReadDatabase
from services.query.reads import reads_router
from services.review.day import review_day, text
from streams.log.base import NewRecord
from streams.log.memory import MemoryLog
from tests.builders import MINUTE, T0
from tests.events import sample
from tests.live_server import serving

pytestmark = pytest.mark.postgres

BTC = "BTC-USDT-SWAP"
Rows = list[dict[str, Any]]


class Story:
    """A log written event by event; each record's cause is the id given."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.log.create_topics({topic.name: 1 for topic in TOPICS})
        self._seqs: dict[str, int] = {}
        self.step = 0

    def tell(self, event: Event, event_id: str, *, cause: str = "", ts: int = T0) -> str:
        topic = TOPIC_OF[type(event)]
        seq = NOT_SEQUENCED
        if topic.sequenced:
            seq = self._seqs.get(topic.name, 0)
            self._seqs[topic.name] = seq + 1
        self.step += 1
        envelope = Envelope(
            event_id, event_id, cause, "test", self.step, 0, seq, Micros(ts), Micros(ts), "test", "settings"
        )
        self.log.append([NewRecord(topic.name, 0, b"key", encode(envelope, event), ts)])
        return event_id

    def project(self, dsn: str) -> None:
        with Projector(LogSource(self.log), dsn) as projector:
            projector.run(until_caught_up=True)


def order(event: type[Any], order_id: str, **values: Any) -> Any:
    return replace(sample(event, 4), client_order_id=order_id, instrument_id=BTC, plan_id="p1", **values)


def contracts(text: str) -> Quantity:
    return Quantity(Decimal(text))


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.fixture
def reader(database: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    with psycopg.connect(database, autocommit=True, row_factory=dict_row) as connection:
        connection.execute("SET search_path TO tapeline")
        connection.execute("SET TIME ZONE 'UTC'")
        yield connection


def query(reader: psycopg.Connection[dict[str, Any]], statement: str) -> Rows:
    return reader.execute(statement.encode()).fetchall()


def test_an_order_is_shown_as_its_last_event_left_it(
    story: Story, database: str, reader: psycopg.Connection[dict[str, Any]]
) -> None:
    trigger = Price(Decimal("79200.0"))
    story.tell(order(OrderIntended, "o1", quantity=contracts("10"), trigger_price=trigger), "e1")
    story.tell(order(OrderSubmitted, "o1"), "e2")
    story.tell(order(OrderAccepted, "o1", venue_order_id="v1"), "e3")
    partly = order(OrderPartiallyFilled, "o1", filled_quantity=contracts("4"), leaves_quantity=contracts("6"))
    story.tell(partly, "e4")
    story.tell(order(AmendIntended, "o1", quantity=contracts("6")), "e5")
    story.tell(order(OrderAmended, "o1", quantity=contracts("6"), trigger_price=Price(Decimal("79500"))), "e6")
    story.tell(order(OrderIntended, "o2", quantity=contracts("3")), "e7")
    story.tell(order(CancelIntended, "o2"), "e8")
    story.tell(order(OrderIntended, "o3", quantity=contracts("3")), "e9")
    story.tell(order(OrderCanceled, "o3", filled_quantity=contracts("0"), reason="asked"), "e10")
    story.tell(order(OrderFilled, "o3", filled_quantity=contracts("3")), "e11")
    story.project(database)
    rows = query(reader, "SELECT * FROM orders ORDER BY client_order_id")
    assert [(row["client_order_id"], row["state"]) for row in rows] == [
        ("o1", "PARTIALLY_FILLED"),
        ("o2", "INTENDED"),
        ("o3", "FILLED"),  # filled after cancel: it happens
    ]
    first = rows[0]
    assert (first["quantity"], first["filled_quantity"], first["trigger_price"]) == (6, 4, Decimal("79500"))
    assert first["venue_order_id"] == "v1"


def plan(plan_id: str, **values: Any) -> PlanProposed:
    proposed: PlanProposed = sample(PlanProposed, 4)
    return replace(proposed, plan_id=plan_id, **values)


def test_a_plan_carries_what_became_of_it(
    story: Story, database: str, reader: psycopg.Connection[dict[str, Any]]
) -> None:
    for plan_id in ("pending", "denied", "approved", "unfilled", "open", "closed"):
        story.tell(plan(plan_id, execute=True), f"plan-{plan_id}")
    story.tell(plan("shown", execute=False), "plan-shown")
    story.tell(replace(sample(PlanDenied, 4), plan_id="denied", code=DenialCode.STOP_MISSING), "v1")
    for plan_id in ("approved", "unfilled", "open", "closed"):
        story.tell(replace(sample(PlanApproved, 4), plan_id=plan_id), f"verdict-{plan_id}")
    end = replace(sample(EntryEnded, 4), plan_id="unfilled", end=EntryEnd.EXPIRED, filled_quantity=contracts("0"))
    story.tell(end, "end-1")
    for plan_id in ("open", "closed"):
        story.tell(replace(sample(FillBooked, 4), plan_id=plan_id, purpose=OrderPurpose.ENTRY), f"fill-{plan_id}")
    story.tell(replace(sample(TradeClosed, 4), plan_id="closed", net_pnl=Money(Decimal("12.5"))), "trade-1")
    story.project(database)
    rows = {row["plan_id"]: row for row in query(reader, "SELECT * FROM plans")}
    assert {plan_id: row["status"] for plan_id, row in rows.items()} == {
        "pending": "PENDING",
        "shown": "PROPOSED",
        "denied": "DENIED",
        "approved": "APPROVED",
        "unfilled": "UNFILLED",
        "open": "OPEN",
        "closed": "CLOSED",
    }
    assert rows["denied"]["denial_code"] == "STOP_MISSING"
    assert rows["unfilled"]["entry_end"] == "EXPIRED"
    assert rows["closed"]["net_pnl"] == Decimal("12.5")


def test_every_check_of_a_verdict_is_a_row_in_order(
    story: Story, database: str, reader: psycopg.Connection[dict[str, Any]]
) -> None:
    checks = (
        Check(DenialCode.INPUT_STALE, CheckResult.PASS, "12", "180", {"bars_s": "12"}),
        Check(DenialCode.STOP_MISSING, CheckResult.FAIL, None, None, {}),
        Check(DenialCode.STOP_TOO_CLOSE, CheckResult.SKIPPED, None, "0.05", {}),
    )
    story.tell(replace(sample(PlanDenied, 4), plan_id="p", code=DenialCode.STOP_MISSING, checks=checks), "v1")
    story.project(database)
    rows = query(reader, "SELECT * FROM verdict_checks ORDER BY position")
    assert [(row["code"], row["result"], row["value"], row["limit_value"]) for row in rows] == [
        ("INPUT_STALE", "PASS", "12", "180"),
        ("STOP_MISSING", "FAIL", None, None),
        ("STOP_TOO_CLOSE", "SKIPPED", None, "0.05"),
    ]
    assert rows[0]["inputs"] == {"bars_s": "12"}
    assert query(reader, "SELECT approved, code FROM verdicts") == [{"approved": False, "code": "STOP_MISSING"}]


def test_open_positions_are_the_last_word_that_is_not_flat(
    story: Story, database: str, reader: psycopg.Connection[dict[str, Any]]
) -> None:
    changed = replace(sample(PositionChanged, 4), account_id="paper", instrument_id=BTC)
    eth = replace(changed, instrument_id="ETH-USDT-SWAP")
    story.tell(replace(changed, quantity=contracts("10")), "e1")
    story.tell(replace(eth, quantity=contracts("-3")), "e2")
    story.tell(replace(changed, quantity=contracts("0")), "e3")
    story.project(database)
    rows = query(reader, "SELECT instrument_id, quantity FROM open_positions")
    assert rows == [{"instrument_id": "ETH-USDT-SWAP", "quantity": -3}]


def test_the_positions_there_are_now_can_be_asked_for(story: Story, database: str) -> None:
    changed = replace(sample(PositionChanged, 4), account_id="paper", instrument_id=BTC)
    eth = replace(changed, instrument_id="ETH-USDT-SWAP")
    sol = replace(changed, instrument_id="SOL-USDT-SWAP")
    for number, event in enumerate(
        (
            replace(changed, quantity=contracts("10")), replace(eth, quantity=contracts("-3")),
            replace(changed, quantity=contracts("0")), replace(eth, quantity=contracts("-2")),
            replace(sol, quantity=contracts("5")),
        )
    ):  # fmt: skip
        story.tell(event, f"e{number}")
    story.project(database)
    reads, app = ReadDatabase(database), FastAPI()
    app.include_router(reads_router(reads))

    def told(query: str) -> list[tuple[str, str]]:
        answer = client.get(f"/positions?{query}")
        assert answer.status_code == 200, answer.text
        return [(row["instrument_id"], row["quantity"]) for row in answer.json()["items"]]

    with serving(app) as url, httpx.Client(base_url=url) as client:
        assert sorted(told("open=true")) == [("ETH-USDT-SWAP", "-2"), ("SOL-USDT-SWAP", "5")]
        assert told("open=true&instrument_id=ETH-USDT-SWAP") == [("ETH-USDT-SWAP", "-2")]
        assert told(f"open=true&instrument_id={BTC}") == [], "closed: no row"
        assert len(told("open=false")) == len(told("")) == 5
        first = client.get("/positions?open=true&limit=1").json()
        second = client.get(f"/positions?open=true&limit=1&cursor={first['next_cursor']}").json()
        assert {page["items"][0]["instrument_id"] for page in (first, second)} == {"ETH-USDT-SWAP", "SOL-USDT-SWAP"}
        assert second["next_cursor"] is None
        assert "open" in [each["name"] for each in app.openapi()["paths"]["/positions"]["get"]["parameters"]]
    reads.close()


def test_incidents_of_the_data_are_rows_with_their_end(
    story: Story, database: str, reader: psycopg.Connection[dict[str, Any]]
) -> None:
    story.tell(GapOpened(BTC, Channel.BARS, Micros(T0), "no bar"), "e1")
    story.tell(GapOpened(BTC, Channel.MARK, Micros(T0), "no mark"), "e2")
    story.tell(GapClosed(BTC, Channel.BARS, Micros(T0), Micros(T0 + 3 * MINUTE), 3), "e3")
    story.tell(QualityChanged(BTC, Quality.BAD, Quality.GOOD, (QualityReason.GAP, QualityReason.STALE)), "e4")
    story.tell(replace(sample(TickQuarantined, 4), instrument_id=BTC), "e5")
    story.tell(LineQuarantined(BTC, "a.csv", 7, "too short", "1,2"), "e6")
    story.tell(replace(sample(FeedStatus, 4), state=FeedState.LOST, source="ws", detail=""), "e7")
    story.tell(replace(sample(FeedStatus, 4), state=FeedState.OPEN), "e8")
    story.tell(MessageQuarantined("ticks", 9, "torn", b"\x00"), "e9")
    story.project(database)
    rows = {row["event_id"]: row for row in query(reader, "SELECT * FROM data_quality_incidents")}
    assert rows.keys() == {"e1", "e2", "e4", "e5", "e6", "e7", "e9"}
    assert (rows["e9"]["kind"], rows["e9"]["detail"]) == ("MESSAGE_UNREADABLE", "torn")
    assert (rows["e1"]["kind"], rows["e1"]["missing"], rows["e1"]["open"]) == ("GAP", 3, False)
    assert rows["e2"]["open"] is True
    assert (rows["e4"]["kind"], rows["e4"]["detail"]) == ("QUALITY_BAD", "GOOD to BAD: GAP, STALE")
    assert rows["e6"]["detail"] == "a.csv:7: too short"
    assert (rows["e7"]["kind"], rows["e7"]["detail"]) == ("FEED_LOST", "ws")


def bar(minute: int, prices: tuple[int, int, int, int], *, timeframe: str = "1m") -> BarClosed:
    o, h, low, c = (Price(Decimal(price)) for price in prices)
    close = Micros(T0 + minute * MINUTE)
    volume = contracts("2")
    opened = Micros(close - MINUTE)
    return BarClosed(BTC, timeframe, opened, close, o, h, low, c, volume, 5, None, Quality.GOOD, True, False)


def test_an_hour_of_bars_ends_with_the_bar_that_closes_on_the_hour(
    story: Story, database: str, reader: psycopg.Connection[dict[str, Any]]
) -> None:
    story.tell(bar(1, (10, 12, 9, 11)), "b1", ts=T0 + MINUTE)
    story.tell(bar(60, (11, 20, 11, 19)), "b2", ts=T0 + 60 * MINUTE)
    story.tell(bar(61, (19, 19, 5, 6)), "b3", ts=T0 + 61 * MINUTE)
    story.tell(bar(60, (1, 99, 1, 99), timeframe="1h"), "b4", ts=T0 + 60 * MINUTE)
    story.project(database)
    rows = query(reader, "SELECT * FROM bars_1h ORDER BY bucket")
    shown = [tuple(row[name] for name in ("open_price", "high_price", "low_price", "close_price")) for row in rows]
    assert shown == [(10, 20, 9, 19), (19, 19, 5, 6)]
    assert [row["bucket"].hour for row in rows] == [16, 17]
    assert (rows[0]["base_volume"], rows[0]["tick_count"], rows[0]["bars"]) == (4, 10, 2)


def test_trades_and_equity_are_bucketed_by_time_and_log_order(
    story: Story, database: str, reader: psycopg.Connection[dict[str, Any]]
) -> None:
    for number, last in enumerate((100, 103, 99, 101)):
        tick = Trade(BTC, str(number), Side.BUY, Price(Decimal(last)), contracts("1.5"))
        story.tell(tick, f"t{number}", ts=T0 + 1)
    for number, equity in enumerate((10_000, 9_000, 9_500)):
        point = replace(sample(EquityChanged, 4), account_id="paper", equity=Money(Decimal(equity)))
        story.tell(point, f"q{number}", ts=T0 + 1)
    story.project(database)
    (minute,) = query(reader, "SELECT * FROM trade_ticks_1m")
    assert [minute[name] for name in ("open_price", "high_price", "low_price", "close_price")] == [100, 103, 99, 101]
    assert (minute["base_volume"], minute["tick_count"]) == (6, 4)
    (hour,) = query(reader, "SELECT * FROM equity_1h")
    shown = [hour[name] for name in ("open_equity", "high_equity", "low_equity", "close_equity")]
    assert shown == [10_000, 10_000, 9_000, 9_500]


def test_a_fill_is_followed_up_to_its_tick_and_a_tick_down_to_its_effects(story: Story, database: str) -> None:
    history = [
        (sample(VenueBar, 4), "tick", ""),
        (bar(1, (10, 12, 9, 11)), "bar", "tick"),
        (sample(FeaturesComputed, 4), "features", "bar"),
        (sample(SignalScored, 4), "signal", "features"),
        (plan("p1", execute=True), "plan", "signal"),
        (sample(PlanApproved, 4), "verdict", "plan"),
        (order(OrderIntended, "o1"), "intent", "verdict"),
    ]
    for event, event_id, cause in history:
        story.tell(event, event_id, cause=cause, ts=T0 + MINUTE)
    story.tell(sample(VenueBar, 5), "next", ts=T0 + 2 * MINUTE)
    story.tell(replace(sample(FillBooked, 4), plan_id="p1"), "fill", cause="intent", ts=T0 + 2 * MINUTE)
    story.tell(sample(GeneratePlan, 4), "command", ts=T0 + 2 * MINUTE)
    story.project(database)
    with connect(database, SCHEMA) as connection:
        fill = find(connection, "fill")
        assert fill is not None
        assert (fill.log_topic, fill.log_partition, fill.log_offset) == ("fills", 0, 0)
        chain = causes(connection, fill)
        assert [event.event_id for event in chain] == [event_id for _, event_id, _ in reversed(history)]
        assert chain[-1].log_topic == "ticks"
        assert [event.event_id for event in effects(connection, chain[-1])] == ["bar"]
        assert [event.event_id for event in effects(connection, chain[0])] == ["fill"]
        assert payload(connection, chain[-2])["close_price"] == 11
        assert find(connection, "tick") == chain[-1]
        command = find(connection, "command")
        assert command is not None
        assert causes(connection, command) == []
        assert find(connection, "nobody") is None


def test_a_cause_that_is_not_in_the_database_ends_the_chain(story: Story, database: str) -> None:
    story.tell(sample(SignalScored, 4), "signal", cause="lost")
    story.project(database)
    with connect(database, SCHEMA) as connection:
        signal = find(connection, "signal")
        assert signal is not None
        assert causes(connection, signal) == []


def test_a_transfer_is_no_result_of_its_day_and_a_charge_is_named(story: Story, database: str) -> None:
    def equity(amount: int) -> EquityChanged:
        return replace(sample(EquityChanged, 1), account_id="paper", equity=Money(Decimal(amount)))

    def flow(kind: FlowKind, amount: int) -> CashFlowed:
        return CashFlowed("paper", kind, Money(Decimal(amount)))

    story.tell(flow(FlowKind.INITIAL, 10_000), "f0")
    story.tell(equity(10_000), "e0", ts=T0 + 1)
    story.tell(flow(FlowKind.DEPOSIT, 200), "f1", ts=T0 + 2)
    story.tell(flow(FlowKind.WITHDRAWAL, -50), "f2", ts=T0 + 3)
    story.tell(ChargeBooked("paper", "9", "7/9", Money(Decimal("-1.5"))), "c1", ts=T0 + 4)
    story.tell(equity(9_150), "e1", ts=T0 + 5)
    story.project(database)
    reads = ReadDatabase(database)
    try:
        review = review_day(reads, "paper", datetime.fromtimestamp(T0 / 1e6, UTC).date())
    finally:
        reads.close()
    assert review is not None
    assert (review.equity_start, review.equity_end, review.flows) == (10_000, 9_150, 150)
    assert "Equity 10000.00 -> 9150.00 USDT (-10.00 % without transfers of +150.00 USDT);" in text(review)
    assert review.charges == Decimal("-1.5")
    assert "Charged by the venue outside of trades: -1.50." in text(review)
