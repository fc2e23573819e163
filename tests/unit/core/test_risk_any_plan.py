"""Whatever a plan says and whatever is known, there is one verdict with forty checks, and nothing raises."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given as hypothesis_given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from schemas.codec import decode, encode
from schemas.envelope import Event, Message
from schemas.events.common import OrderType, PlanOrigin, PositionSide, Quality
from schemas.events.data import QualityChanged
from schemas.events.market import Quote
from schemas.events.plan import Entry, StopSpec, Target
from schemas.events.risk import CheckResult, DenialCode, PlanApproved, PlanDenied
from schemas.values import Micros, Percent, Price, Quantity, Ratio
from streams.core.risk import STAGE
from tests.builders import T0, btc_spot, btc_swap, settings_changed
from tests.risk_desk import BTC, ETH, SPOT, bar, equity, mark, plan, position, regime, snapshot
from tests.spec import as_message, given

D = Decimal
ONE = Quantity(D(1))

PRICES = st.sampled_from(
    ["-1", "0", "0.1", "79000", "79200", "79999.9", "80000", "80000.1", "80800", "81600", "160000", "99999999999"]
).map(lambda text: Price(D(text)))
OPTIONAL = st.none() | PRICES

ENTRIES = st.one_of(
    st.just(Entry(OrderType.MARKET)),
    st.builds(Entry, st.just(OrderType.LIMIT), limit_price=PRICES, post_only=st.booleans()),
    st.builds(Entry, st.just(OrderType.STOP), trigger_price=PRICES),
)
STOPS = st.none() | st.builds(
    StopSpec, PRICES, trail_distance_pct=st.none() | st.just(Percent(D(1))), break_even_at_r=st.none()
)
TARGETS = st.lists(st.builds(Target, PRICES, st.just(Ratio(D("0.5")))), max_size=2).map(tuple)

PAST: list[Event | Message] = [
    settings_changed(),
    settings_changed(margin_mode="CROSS", mark_substitute="false", funding_required="true", risk_budget_pct=10),
    snapshot(),
    btc_swap(),
    btc_spot(),
    bar("80000"),
    bar("80000", instrument_id=SPOT),
    mark("80000"),
    Quote(BTC, Price(D("79999.9")), ONE, Price(D(80000)), ONE),
    equity("10000"),
    equity("0.00000001", peak="10000"),
    equity("-500", peak="10000", day_start="9000"),
    regime("0.7"),
    QualityChanged(BTC, Quality.BAD, Quality.GOOD, ()),
    position("10", margin="100"),
    position("-3", instrument_id=ETH),
    plan(plan_id="earlier"),
]


@hypothesis_settings(max_examples=300, deadline=None)
@hypothesis_given(
    past=st.lists(st.sampled_from(range(len(PAST))), max_size=14),
    instrument_id=st.sampled_from([BTC, SPOT, "DOGE-USDT-SWAP"]),
    entry=ENTRIES,
    stop=STOPS,
    targets=TARGETS,
    side=st.sampled_from(list(PositionSide)),
    origin=st.sampled_from(list(PlanOrigin)),
    age=st.sampled_from([0, 1, 10**6, 181 * 10**6, 10**12]),
    holding=st.none() | st.just(3600),
)
def test_any_plan_gets_one_whole_verdict(
    past: list[int],
    instrument_id: str,
    entry: Entry,
    stop: StopSpec | None,
    targets: tuple[Target, ...],
    side: PositionSide,
    origin: PlanOrigin,
    age: int,
    holding: int | None,
) -> None:
    spec = given(STAGE, *(PAST[index] for index in past))
    asked = replace(
        plan(instrument_id=instrument_id, side=side, origin=origin, max_holding_s=holding),
        entry=entry,
        stop=stop,
        targets=targets,
        ts_valid_until=Micros(T0 + 10**9),
    )
    incoming = as_message(asked, T0 + age)
    spec.when(incoming)
    verdicts: list[Any] = [event for event in spec.emitted if isinstance(event, PlanApproved | PlanDenied)]
    (answer,) = verdicts
    assert [item.code for item in answer.checks] == list(DenialCode)
    results = [item.result for item in answer.checks]
    failed = [item.code for item in answer.checks if item.result is CheckResult.FAIL]
    if isinstance(answer, PlanApproved):
        assert not failed
        assert CheckResult.SKIPPED not in results
        assert answer.sizing.worst_case_loss <= answer.sizing.equity * D("0.10")
    else:
        assert answer.code is failed[0]
    assert decode(encode(incoming.envelope, answer))[1] == answer
