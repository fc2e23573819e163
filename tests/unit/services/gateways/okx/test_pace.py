"""Requests keep OKX's limits by a clock that does not jump, and none waits longer than it is worth."""

from __future__ import annotations

import asyncio
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateways.okx.pace import LIMITS, NoTurn, Pace
from tests.fakes.okx.limits import LIMITS as DOCUMENTED

ORDER, CLOCK, SWITCH = "POST trade/order", "GET public/time", "POST trade/cancel-all-after"


class Times:
    """A clock that moves when told to, and the moments of the turns given."""

    def __init__(self) -> None:
        self.now = 100.0
        self.given: list[float] = []

    def pace(self) -> Pace:
        return Pace(clock=lambda: self.now, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.given[-1] += seconds

    def ask(self, pace: Pace, endpoint: str, whom: str = "") -> float:
        """Return how long a turn is waited for."""
        self.given.append(self.now)
        asyncio.run(pace.turn(endpoint, whom))
        return self.given[-1] - self.now


def test_a_third_of_the_limit_goes_at_once_and_the_rest_follows_over_the_window() -> None:
    times = Times()
    pace = times.pace()
    assert [times.ask(pace, CLOCK) for _ in range(5)] == pytest.approx([0, 0, 0, 2.5 / 7, 5 / 7])  # a third of 10 is 3
    times.now += 0.5
    assert times.ask(pace, CLOCK) == pytest.approx(7.5 / 7 - 0.5)
    times.now += 60
    assert [times.ask(pace, CLOCK) for _ in range(4)] == pytest.approx([0, 0, 0, 2.5 / 7])


def test_instruments_count_apart_and_so_do_endpoints() -> None:
    times = Times()
    pace = times.pace()
    waits = [times.ask(pace, ORDER, "BTC-USDT-SWAP") for _ in range(21)]  # a third of 60 is 20
    assert waits == [0] * 20 + [pytest.approx(2.5 / 40)]
    assert times.ask(pace, ORDER, "ETH-USDT-SWAP") == 0
    assert times.ask(pace, "POST trade/cancel-order", "BTC-USDT-SWAP") == 0


def test_what_would_wait_too_long_is_turned_away_and_costs_nobody_a_turn() -> None:
    times = Times()
    pace = times.pace()
    waits = [times.ask(pace, SWITCH) for _ in range(4)]
    assert waits == [0, 2.5, 5, 7.5]
    for _ in range(3):
        with pytest.raises(NoTurn, match="POST trade/cancel-all-after: requests for 10 s wait already"):
            times.ask(pace, SWITCH)
    times.now += 2.5
    assert times.ask(pace, SWITCH) == 7.5


@given(st.lists(st.floats(0, 1), max_size=80), st.sampled_from([SWITCH, CLOCK, "GET account/config"]), st.data())
def test_no_two_seconds_at_the_venue_have_more_than_the_limit(gaps: list[float], end: str, data: st.DataObject) -> None:
    times = Times()
    pace = times.pace()
    for gap in gaps:
        times.now += gap
        try:
            times.ask(pace, end)
        except NoTurn:
            times.given.pop()
    arrived = sorted(sent + data.draw(st.floats(0, 0.49)) for sent in times.given)
    for number, begun in enumerate(arrived):
        assert bisect_left(arrived, begun + 2) - number <= LIMITS[end]


def test_no_limit_of_ours_is_above_the_documented_one() -> None:
    names = {f"{method} {name.removeprefix('GET ')}": name for name in DOCUMENTED for method in ("GET", "POST")}
    ours = {endpoint: limit for endpoint, limit in LIMITS.items() if endpoint in names}
    assert len(ours) == len(LIMITS) - 2, "all but the account's own limit and the connection's"
    for endpoint, limit in ours.items():
        exact = f"GET {endpoint.removeprefix('GET ')}" if endpoint.startswith("GET") else ""
        assert limit <= DOCUMENTED.get(exact, DOCUMENTED[endpoint.partition(" ")[2]])
