"""The venue's time goes on from the quickest measure, whatever is done to the machine's clock."""

from __future__ import annotations

from services.gateways.okx.clock import VenueClock

DAY_US = 86_400_000_000


def test_it_goes_on_from_the_quickest_measure_though_the_host_clock_is_set() -> None:
    wall, steady = [1_000_000], [50]
    clock = VenueClock(lambda: wall[0], lambda: steady[0])
    assert (clock.now(), clock.offset_us) == (1_000_000, None)
    steady[0] = 100
    clock.learn([(0, 777, 100), (80, 5_000_000, 100)])  # there and back in 20: at 90 it was 5 s at the venue
    assert (clock.now(), clock.offset_us) == (5_000_010, 4_000_010)
    wall[0] -= DAY_US
    steady[0] += 30
    assert clock.now() == 5_000_040
    clock.learn([(130, 5_000_045, 130)])
    assert (clock.now(), clock.offset_us) == (5_000_045, 4_000_045 + DAY_US)
