"""Metrics: a closed, documented list; events fold into what an operator reads off it."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from schemas.envelope import Event
from schemas.events.account import EquityChanged, PositionChanged, TradeClosed
from schemas.events.common import ExitReason, Quality, Repair, TradingState
from schemas.events.data import GapClosed, GapOpened, QualityChanged, TickQuarantined
from schemas.events.market import Channel, FeedState, FeedStatus, Trade
from schemas.events.orders import (
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderIntended,
    OrderPartiallyFilled,
    OrderUnknown,
    ProtectionMissing,
    ProtectionRestored,
)
from schemas.events.plan import PlanDeclined
from schemas.events.risk import (
    DenialCode,
    PlanDenied,
    ReconciliationDiffered,
    ReconciliationSettled,
    StateCauseKind,
    TradingStateChanged,
)
from schemas.topics import TOPIC_OF
from services.disk import free_ratio, log_folder
from services.gateways.okx.market.counters import MarketCounters
from services.metrics.catalog import CATALOG, Kind, Metrics, Service
from services.metrics.generate import PAGE, TITLES, page
from services.metrics.market import market_registry
from services.metrics.meter import Meter
from services.settings import load_settings
from tests.builders import T0
from tests.events import envelope, sample
from tests.tools import check_metrics


class Desk:
    """A meter with a clock that the test moves; ``take`` shows it an event that reached us at T0."""

    def __init__(self) -> None:
        self.now = T0 / 1e6
        self.metrics = Metrics(Service.PROJECTOR)
        self.meter = Meter(self.metrics, clock=lambda: self.now)

    def take(self, event_type: type[Any], **fields: Any) -> None:
        event: Event = replace(sample(event_type, 1), **fields)
        self.meter.take(TOPIC_OF[event_type].name, envelope("metrics", 0, ts_event=T0), event)

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_service_without_a_title_is_no_page_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(TITLES, Service.LLM)
    with pytest.raises(LookupError, match="no place on the page: llm"):
        page()


def test_the_page_of_metrics_is_what_the_catalog_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()
    assert len({metric.name for metric in CATALOG}) == len(CATALOG)
    for metric in CATALOG:
        assert f"| `{metric.name}` |" in page()
        assert metric.name.startswith("tapeline_")
        assert metric.meaning.endswith(".")
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)


def test_a_name_outside_the_list_cannot_be_exported() -> None:
    metrics = Metrics(Service.API)
    with pytest.raises(KeyError):
        metrics.counter("tapeline_invented_total")
    with pytest.raises(KeyError):
        metrics.gauge("tapeline_equity_quote")
    with pytest.raises(TypeError):
        metrics.gauge("tapeline_http_requests_total")


@pytest.mark.parametrize("service", list(Service))
def test_what_is_exported_parses_as_prometheus_text(service: Service) -> None:
    text = generate_latest(Metrics(service).registry).decode()
    check_metrics(text, service)
    families = list(text_string_to_metric_families(text))
    assert {family.name for family in families} >= {
        metric.name.removesuffix("_total") for metric in CATALOG if metric.service is service
    }
    assert not any(name.startswith("tapeline") for name in REGISTRY._names_to_collectors)


def test_equity_drawdown_and_leverage_are_those_of_the_newest_event(desk: Desk) -> None:
    numbers = {"equity": Decimal(8000), "cash": Decimal(9000), "gross_notional": Decimal(20000)}
    desk.take(EquityChanged, account_id="a", drawdown_pct=Decimal(20), daily_loss_pct=Decimal("2.5"), **numbers)
    assert desk.value("tapeline_equity_quote", account_id="a") == 8000
    assert desk.value("tapeline_cash_quote", account_id="a") == 9000
    assert desk.value("tapeline_drawdown_percent", account_id="a") == 20
    assert desk.value("tapeline_daily_loss_percent", account_id="a") == 2.5
    assert desk.value("tapeline_leverage_ratio", account_id="a") == 2.5


def test_a_halt_shows_at_once_with_its_cause(desk: Desk) -> None:
    cause = sample(TradingStateChanged, 2).causes[0]
    halt = (replace(cause, kind=StateCauseKind.DRAWDOWN),)
    desk.take(TradingStateChanged, account_id="a", state=TradingState.HALTED, causes=halt)
    assert desk.value("tapeline_trading_state_level", account_id="a") == 2
    assert desk.value("tapeline_trading_cause_active", account_id="a", cause="DRAWDOWN") == 1
    assert desk.value("tapeline_trading_cause_active", account_id="a", cause="OPERATOR") == 0
    desk.take(TradingStateChanged, account_id="a", state=TradingState.ACTIVE, causes=())
    assert desk.value("tapeline_trading_state_level", account_id="a") == 0
    assert desk.value("tapeline_trading_cause_active", account_id="a", cause="DRAWDOWN") == 0


def test_orders_are_counted_in_the_state_they_are_in(desk: Desk) -> None:
    for kind in (OrderIntended, OrderAccepted, OrderPartiallyFilled):
        desk.take(kind, client_order_id="c1")
    desk.take(OrderIntended, client_order_id="c2")
    assert desk.value("tapeline_orders_open", state="PARTIALLY_FILLED") == 1
    assert desk.value("tapeline_orders_open", state="INTENDED") == 1
    assert desk.value("tapeline_orders_open", state="ACCEPTED") == 0
    desk.take(OrderFilled, client_order_id="c1")
    desk.take(OrderCanceled, client_order_id="c2")
    desk.take(OrderPartiallyFilled, client_order_id="c2")  # a late fill: it does not open again
    assert [desk.value("tapeline_orders_open", state=s) for s in ("PARTIALLY_FILLED", "INTENDED")] == [0, 0]
    assert desk.value("tapeline_orders_ended_total", state="FILLED") == 1
    assert desk.value("tapeline_orders_ended_total", state="CANCELED") == 1


def test_the_age_of_an_unknown_order_grows_until_it_is_settled(desk: Desk) -> None:
    desk.take(OrderIntended, client_order_id="c1")
    desk.take(OrderUnknown, client_order_id="c1")
    desk.now += 45
    assert desk.value("tapeline_order_unknown_oldest_seconds") == 45
    desk.take(OrderAccepted, client_order_id="c1")
    assert desk.value("tapeline_order_unknown_oldest_seconds") == 0


@pytest.mark.parametrize("end", [ProtectionRestored, TradeClosed])
def test_missing_protection_ages_until_it_is_back_or_the_trade_is_over(desk: Desk, end: type[Any]) -> None:
    desk.take(ProtectionMissing, plan_id="p1")
    desk.now += 3
    assert desk.value("tapeline_protection_missing_oldest_seconds") == 3
    desk.take(end, plan_id="p1")
    assert desk.value("tapeline_protection_missing_oldest_seconds") == 0


def test_differences_with_the_venue_are_open_until_they_are_settled(desk: Desk) -> None:
    desk.take(ReconciliationDiffered, account_id="a", subject="cash", repair=Repair.NONE)
    desk.take(ReconciliationDiffered, account_id="a", subject="order 7", repair=Repair.OPERATOR)
    desk.take(ReconciliationDiffered, account_id="a", subject="cash", repair=Repair.OPERATOR)  # it grew
    desk.take(ReconciliationDiffered, account_id="b", subject="cash", repair=Repair.OPERATOR)
    assert desk.value("tapeline_reconciliation_open", account_id="a", repair="OPERATOR") == 2
    assert desk.value("tapeline_reconciliation_open", account_id="a", repair="NONE") == 0
    for subject in ("cash", "order 7"):
        desk.take(ReconciliationSettled, account_id="a", subject=subject)
    assert desk.value("tapeline_reconciliation_open", account_id="a", repair="OPERATOR") == 0
    assert desk.value("tapeline_reconciliation_open", account_id="b", repair="OPERATOR") == 1


def test_the_logs_disk_is_sqlites_own_or_the_one_set_and_its_room_is_asked_of_the_system(tmp_path: Path) -> None:
    def chosen(**environ: str) -> Path | None:
        return log_folder(load_settings(environ=environ, env_file=None).service)

    assert chosen(TAPELINE_LOG=f"sqlite:///{tmp_path}/log.db") == tmp_path
    assert chosen(TAPELINE_LOG="kafka://broker:9092") is None
    assert chosen(TAPELINE_LOG="kafka://broker:9092", TAPELINE_LOG_DISK="/srv") == Path("/srv")
    usage = shutil.disk_usage(tmp_path)
    assert free_ratio(tmp_path) == pytest.approx(usage.free / (usage.used + usage.free), abs=0.01)
    assert math.isnan(free_ratio(tmp_path / "not there"))


def test_data_quality_gaps_and_feeds(desk: Desk) -> None:
    desk.take(QualityChanged, instrument_id="i", quality=Quality.BAD)
    gap = {"instrument_id": "i", "channel": Channel.TRADES, "ts_from": T0}
    desk.take(GapOpened, **gap)
    assert desk.value("tapeline_quality_level", instrument_id="i") == 2
    assert desk.value("tapeline_gaps_open", instrument_id="i") == 1
    desk.take(GapClosed, **gap)
    assert desk.value("tapeline_gaps_open", instrument_id="i") == 0
    desk.take(FeedStatus, instrument_id="i", channel=Channel.TRADES, state=FeedState.LOST)
    assert desk.value("tapeline_feed_up", instrument_id="i", channel=Channel.TRADES.value) == 0
    desk.take(Trade, instrument_id="i")
    assert desk.value("tapeline_feed_last_ingest_timestamp_seconds", instrument_id="i") == T0 / 1e6


def test_answers_are_counted_by_their_code(desk: Desk) -> None:
    desk.take(PlanDenied, code=DenialCode.STOP_MISSING)
    desk.take(PlanDenied, code=DenialCode.STOP_MISSING)
    desk.take(PlanDeclined)
    desk.take(TickQuarantined)
    desk.take(TradeClosed, account_id="a", exit_reason=ExitReason.STOP, net_pnl=Decimal("-12.5"))
    assert desk.value("tapeline_plans_denied_total", code="STOP_MISSING") == 2
    assert desk.value("tapeline_trades_closed_total", exit_reason="STOP") == 1
    assert desk.value("tapeline_trade_net_pnl_quote_sum", account_id="a") == -12.5
    assert desk.value("tapeline_events_total", topic="verdicts", event="PlanDenied") == 2


def test_a_seed_sets_gauges_and_counts_nothing(desk: Desk) -> None:
    shown = [(envelope("seed", 0), replace(sample(kind, 1), client_order_id="c1")) for kind in (OrderAccepted,)]
    desk.meter.seed(shown)
    assert desk.value("tapeline_orders_open", state="ACCEPTED") == 1
    assert desk.value("tapeline_events_total", topic="orders", event="OrderAccepted") is None
    desk.take(PositionChanged, account_id="a", instrument_id="i", quantity=Decimal(1))
    assert desk.value("tapeline_positions_open", account_id="a") == 1


def test_the_generator_says_how_to_mend_a_page_that_is_out_of_date() -> None:
    done = subprocess.run([sys.executable, "-m", "services.metrics.generate"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "--write|--check" in done.stderr


def test_the_market_gateways_counts_are_shown_one_by_one() -> None:
    counts = MarketCounters(frames=5, disconnects=2, gaps=3, waited_s=1.5, lag_us=250_000)
    counts.count_tick("Trade")
    registry = market_registry(counts)
    assert registry.get_sample_value("tapeline_market_frames_total") == 5
    assert registry.get_sample_value("tapeline_market_ticks_total", {"event": "Trade"}) == 1
    check_metrics(generate_latest(registry).decode(), "market")
    assert registry.get_sample_value("tapeline_market_book_gaps_total") == 3
    assert registry.get_sample_value("tapeline_market_lag_seconds") == 0.25
    counts.frames += 1
    assert registry.get_sample_value("tapeline_market_frames_total") == 6
    shown = {family.name for family in text_string_to_metric_families(generate_latest(registry).decode())}
    assert shown == {m.name.removesuffix("_total") for m in CATALOG if m.service is Service.MARKET}
