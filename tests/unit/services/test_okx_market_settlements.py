"""Which settlements are asked for: those whose moment is over and that nobody told, each again after a while."""

from __future__ import annotations

from schemas.values import SECOND
from services.gateways.okx.market.settlements import GIVEN_UP_US, SettlementWatch
from tests.okx_market import BTC

WAIT = 60 * SECOND
HOUR = 3_600 * SECOND


def test_what_is_told_or_still_to_come_is_not_asked_for() -> None:
    watch = SettlementWatch()
    watch.announced(BTC, 8 * HOUR, HOUR)
    assert watch.overdue(8 * HOUR + WAIT - 1, WAIT, {}) == []
    assert watch.overdue(8 * HOUR + WAIT, WAIT, {BTC: 8 * HOUR}) == []


def test_what_was_not_told_is_asked_for_again_until_the_venue_has_none() -> None:
    watch = SettlementWatch()
    watch.announced(BTC, 8 * HOUR, HOUR)
    asked = [second for second in range(0, 7200, 30) if watch.overdue(8 * HOUR + second * SECOND, WAIT, {})]
    assert asked == list(range(60, GIVEN_UP_US // SECOND + 1, 60))


def test_a_moment_that_is_over_is_remembered_when_the_next_one_is_announced() -> None:
    watch = SettlementWatch()
    watch.announced(BTC, 8 * HOUR, HOUR)
    watch.announced(BTC, 16 * HOUR, 8 * HOUR + SECOND)
    assert watch.overdue(8 * HOUR + WAIT, WAIT, {BTC: 0}) == [(BTC, 8 * HOUR)]


def test_a_settlement_put_off_before_its_time_is_not_asked_for() -> None:
    watch = SettlementWatch()
    watch.announced(BTC, 8 * HOUR, HOUR)
    watch.announced(BTC, 16 * HOUR, 2 * HOUR)
    assert watch.overdue(8 * HOUR + WAIT, WAIT, {}) == []
