"""What the trading gateway shows of itself: its orders, its doubts, and the age of what must not stop."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from prometheus_client import generate_latest

from schemas.events.orders import OrderIntended
from schemas.values import SECOND
from services.gateways.okx.counters import GatewayCounters
from services.gateways.okx.tracked import Orders, Phase, Tracked
from services.gateways.okx.venue import SEND_DEADLINE_US, Accepted, InDoubt, Refused
from services.metrics.catalog import CATALOG, Service
from services.metrics.gateway import gateway_registry
from tests.events import sample
from tests.tools import check_metrics


class Desk:
    """Counters with clocks that the test moves: ours in seconds, the venue's with it."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.counters = GatewayCounters(clock=lambda: self.now)
        self.registry = gateway_registry(self.counters)
        self.orders = Orders()

    def open(self) -> None:
        self.counters.watch(self.orders, {"SubmitAttempted": 2}, lambda: int(self.now * SECOND))

    def order(self, name: str, phase: Phase, *, attempted_at: float | None = None) -> Tracked:
        intent = replace(sample(OrderIntended, 1), client_order_id=name)
        deadline = None if attempted_at is None else int(attempted_at * SECOND) + SEND_DEADLINE_US
        order = Tracked(intent, name, Decimal(1), Decimal(1), None, None, phase, deadline)
        self.orders.orders[name] = order
        return order

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"tapeline_gateway_{name}", labels)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_on_paper_nothing_is_traded_and_nothing_is_late(desk: Desk) -> None:
    desk.now += 3_600
    for name in ("trading", "link_up", "switch_age_seconds", "reconciled_age_seconds", "in_doubt_oldest_seconds"):
        assert desk.value(name) == 0, name
    check_metrics(generate_latest(desk.registry).decode(), "gateway")


def test_an_order_nobody_is_sending_is_in_doubt_since_its_attempt(desk: Desk) -> None:
    desk.open()
    desk.order("old", Phase.ATTEMPTED, attempted_at=990)
    desk.order("new", Phase.ATTEMPTED, attempted_at=998)
    desk.order("under way", Phase.ATTEMPTED, attempted_at=900).pace.busy = True
    desk.order("there", Phase.AT_VENUE, attempted_at=100)
    desk.order("over", Phase.OVER, attempted_at=1)
    assert desk.value("in_doubt_orders") == 2
    assert desk.value("in_doubt_oldest_seconds") == 10
    assert desk.value("orders", phase="ATTEMPTED") == 3
    assert desk.value("orders", phase="AT_VENUE") == 1
    assert desk.value("orders", phase="FRESH") == 0
    assert desk.value("reports_total", event="SubmitAttempted") == 2


def test_what_must_not_stop_ages_from_the_start_on_and_is_young_again_when_it_happens(desk: Desk) -> None:
    desk.open()
    desk.now += 16
    assert desk.value("switch_age_seconds") == desk.value("reconciled_age_seconds") == 16
    desk.counters.switched()
    desk.counters.reconciled()
    desk.now += 2
    assert desk.value("switch_age_seconds") == desk.value("reconciled_age_seconds") == 2
    assert desk.value("reconciliations_total") == 1
    assert desk.value("trading") == 1


def test_answers_are_counted_by_what_they_are_worth_and_a_lost_link_once(desk: Desk) -> None:
    desk.open()
    for answer in (Accepted("1"), Refused("51008", "no money"), Refused("50011", "busy", retryable=True), InDoubt("?")):
        desk.counters.answered("submit", answer)
    for word in ("accepted", "refused", "busy", "in_doubt"):
        assert desk.value("answers_total", request="submit", answer=word) == 1, word
    desk.counters.linked(up=False)
    assert desk.value("links_lost_total") == 0, "it was never up"
    desk.counters.linked(up=True)
    desk.counters.linked(up=False)
    desk.counters.linked(up=False)
    assert (desk.value("links_lost_total"), desk.value("link_up")) == (1, 0)
    shown = generate_latest(desk.registry).decode()
    check_metrics(shown, "gateway")
    assert all(metric.name in shown for metric in CATALOG if metric.service is Service.GATEWAY)
