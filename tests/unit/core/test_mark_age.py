"""Every stage that uses a mark holds it stale at the same age: four answers to one question would be four prices."""

from __future__ import annotations

import pytest

from schemas.events.common import PriceSource
from schemas.events.market import Channel, FeedOrigin, FeedState, FeedStatus
from schemas.values import SECOND
from streams.core.account.equity import effective_mark
from streams.core.venue.margin import mark_is_missing
from streams.pipeline import stages
from tests.rig import Rig

BTC = "BTC-USDT-SWAP"


def fresh(cadence_us: int | None, age_us: int) -> dict[str, bool]:
    """Return by stage whether a mark of this age counts."""
    rig = Rig(stages=stages())
    rig.feed(FeedStatus(BTC, Channel.MARK, FeedState.OPEN, FeedOrigin.RECORDED, "test", cadence_us))
    rig.bar("80000/80000/80000/80000")
    rig.mark("80010")
    now = rig.ts + age_us
    book, quoted = rig.state("venue").books[BTC], effective_mark(rig.state("account").desks[BTC].view, now)
    assert quoted is not None
    return {
        "planner": rig.state("planner").books[BTC].mark_is_fresh(now),
        "risk": rig.state("risk").markets[BTC].mark_is_fresh(now),
        "venue": not mark_is_missing(book, rig.state("venue").terms, now),
        "execution": not rig.state("execution").prices[BTC].mark.is_missing(now),
        "account": quoted[1] is PriceSource.MARK,
    }


@pytest.mark.parametrize(("cadence_us", "limit_us"), [(None, 30 * SECOND), (SECOND, 3 * SECOND)])
def test_every_stage_lets_a_mark_grow_as_old(cadence_us: int | None, limit_us: int) -> None:
    assert set(fresh(cadence_us, limit_us).values()) == {True}
    assert set(fresh(cadence_us, limit_us + 1).values()) == {False}
