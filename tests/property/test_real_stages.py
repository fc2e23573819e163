"""The real ten stages under random inputs, batchings and faults hold one history, and a restored state goes on."""

from __future__ import annotations

import random
from decimal import Decimal
from functools import cache

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.codec import encode
from schemas.envelope import Event
from schemas.events.common import Side, TradingState
from schemas.events.control import (
    ClosePosition,
    ExecutePlan,
    GeneratePlan,
    KillSwitch,
    PauseTrading,
    Planner,
    ResumeTrading,
    TimerFired,
)
from schemas.events.market import MarkPrice, Quote, Trade, VenueBar
from schemas.ids import derive_id
from schemas.values import Price, Quantity
from streams.core.kernel import Kernel
from streams.log.base import NewRecord
from streams.pipeline import stages
from streams.trader import Trader
from tests.builders import at, btc_spot, btc_swap, message, settings_changed
from tests.write_path import BrokerLog, Fault, scenario, violations

BTC = "BTC-USDT-SWAP"
PLAN = (
    '{"schema_version": 1, "instrument_id": "BTC-USDT-SWAP", "position_side": "LONG", "strategy": "trend",'
    ' "entry": {"type": "MARKET"}, "stop": {"trigger_price": {"offset_pct": "-1.0"}, "trigger_price_type": "LAST"},'
    ' "targets": [{"limit_price": {"offset_pct": "1.5"}, "fraction": "1"}], "valid_for_s": 900, "max_holding_s": 600,'
    ' "rationale": {"summary": "a test"}}'
)
COMMANDS: tuple[Event, ...] = (
    ExecutePlan("paper", PLAN),
    ExecutePlan("paper", PLAN.replace("LONG", "SHORT").replace('"-1.0"', '"1.0"').replace('"1.5"', '"-1.5"')),
    ExecutePlan("paper", "{not a plan"),
    GeneratePlan("paper", BTC, Planner.RULES),
    ClosePosition("paper", BTC),
    PauseTrading("paper", TradingState.REDUCING),
    ResumeTrading("paper", "go on"),
    KillSwitch("paper", True),
    TimerFired("paper"),
)


def record(topic: str, event: Event, number: int, seconds: float) -> NewRecord:
    incoming = message(event, ts=at(seconds), event_id=derive_id(topic, number))
    return NewRecord(topic, 0, b"k", encode(incoming.envelope, event), at(seconds))


def tape(seed: int, ticks: int, commands: int) -> list[NewRecord]:
    """A random walk of bars, prints, quotes and marks, and commands at random moments of it."""
    chance, price = random.Random(seed), Decimal(80000)
    inputs = [record("settings", settings_changed(), 0, 0)]
    inputs += [record("ticks", event, -n, 0) for n, event in enumerate((btc_swap(), btc_spot()), start=1)]
    for number in range(ticks):
        price += Decimal(chance.randint(-4000, 4000)) / 10
        inputs.append(record("ticks", tick(chance, price, number), number, number * 60))
    for number in range(commands):
        inputs.append(record("commands", chance.choice(COMMANDS), number, chance.randint(0, ticks) * 60))
    return inputs


def tick(chance: random.Random, price: Decimal, number: int) -> Event:
    last, spread = Price(price), Decimal(chance.randint(1, 50)) / 10
    kind = chance.randint(0, 5)
    if kind == 0:
        return MarkPrice(BTC, last)
    if kind == 1:
        return Quote(BTC, last, Quantity(Decimal(1)), Price(price + spread), Quantity(Decimal(1)))
    if kind == 2:
        return Trade(BTC, str(number), chance.choice([Side.BUY, Side.SELL]), last, Quantity(Decimal("0.5")))
    low, high = Price(price - spread * 40), Price(price + spread * 40)
    opened = at((number - 1) * 60)
    return VenueBar(BTC, "1m", opened, last, high, low, last, Quantity(Decimal(30)), backfill=number < 3)


def real_trader(log: BrokerLog, worker: str) -> Trader:
    return Trader(log, 0, stages(), worker=worker, code_version="1", checkpoint_inputs=15)


batch = st.tuples(st.sampled_from(["ticks", "ticks", "ticks", "commands"]), st.integers(1, 20))
plan = st.lists(st.sampled_from([Fault.NONE] * 6 + list(Fault)), max_size=25)
life = st.tuples(plan, st.lists(batch, max_size=6))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    ticks=st.integers(0, 80),
    commands=st.integers(0, 12),
    lives=st.lists(life, min_size=1, max_size=3),
    takeover=st.lists(batch, max_size=3),
)
def test_the_real_stages_hold_one_history_under_faults(
    seed: int,
    ticks: int,
    commands: int,
    lives: list[tuple[list[Fault], list[tuple[str, int]]]],
    takeover: list[tuple[str, int]],
) -> None:
    log = scenario(real_trader, inputs=tape(seed, ticks, commands), lives=lives, takeover=takeover)
    assert violations(log, stages=stages) == []


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), ticks=st.integers(1, 120), cut=st.integers(0, 120))
def test_a_restored_state_goes_on_as_the_one_that_never_stopped(seed: int, ticks: int, cut: int) -> None:
    inputs = sorted(tape(seed, ticks, 8), key=lambda r: (r.topic != "settings", r.ts_event))
    through, before = Kernel(stages(), code_version="1"), Kernel(stages(), code_version="1")
    outputs = [through.step(r.topic, r.value) for r in inputs]
    for r in inputs[:cut]:
        before.step(r.topic, r.value)
    after = Kernel(stages(), code_version="1")
    after.restore(before.state_json())
    assert [after.step(r.topic, r.value) for r in inputs[cut:]] == outputs[cut:]
    assert after.state_json() == through.state_json()


@cache
def kinds() -> set[str]:
    """The event types one long random tape causes."""
    kernel = Kernel(stages(), code_version="1")
    inputs = sorted(tape(7, 400, 60), key=lambda r: (r.topic != "settings", r.ts_event))
    from schemas.codec import event_name

    return {event_name(output.value) for r in inputs for output in kernel.step(r.topic, r.value)}


def test_the_random_tapes_reach_orders_fills_and_refusals() -> None:
    assert {"PlanApproved", "PlanDenied", "OrderIntended", "FillBooked", "TradeClosed", "CommandHandled"} <= kinds()
