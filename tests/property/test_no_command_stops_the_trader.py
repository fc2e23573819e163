"""Whatever command is on the log, the real chain answers it and goes on: an input once read is there for ever."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.codec import decode, encode
from schemas.envelope import Event
from schemas.events import control
from schemas.events.common import TradingState
from schemas.settings import TradingSettings
from schemas.values import Money
from services.bootstrap import build_trader
from services.feeds.synthetic import synthetic_feed
from services.importer import import_feed
from streams.batch import run_batch
from streams.log.base import NewRecord
from streams.log.memory import MemoryLog
from streams.reader import SeqReader
from streams.trader import Trader
from tests.builders import message

pytestmark = pytest.mark.slow

WARM = 9_000
EXAMPLE: dict[str, Any] = json.loads((Path(__file__).parents[2] / "examples" / "plan_trend.json").read_text())

_text = st.text(st.characters(codec="utf-8"), max_size=30)
_account = st.sampled_from(["paper", "paper", "paper", "someone"]) | _text
_instrument = st.sampled_from(["BTC-USDT-SWAP", "ETH-USDT-SWAP", "BTC-USDT", "X"])
_extreme = st.sampled_from(["0.000000000001", "0.00000001", "1", "80000", "999999999999", "999999999999.999999999999"])
_number = _extreme | st.sampled_from(["0.5", "0.0000000000001", "0.00000000000000000000001"])
_price = _extreme | st.sampled_from(["-99.999999", "-1.3", "-0.1", "0", "1.1", "99.999999"]).map(
    lambda offset: {"offset_pct": offset}
)
_entry = st.one_of(
    st.just({"type": "MARKET"}),
    st.fixed_dictionaries({"type": st.just("LIMIT"), "limit_price": _price, "post_only": st.booleans()}),
    st.fixed_dictionaries({"type": st.just("STOP"), "trigger_price": _price}),
)
_stop = st.fixed_dictionaries(
    {"trigger_price": _price},
    optional={"break_even_at_r": _number, "trail_distance_pct": _number, "trail_from_r": _number},
)
_fraction = st.sampled_from(["0.000001", "0.3", "0.5", "1"])
_target = st.fixed_dictionaries({"limit_price": _price, "fraction": _fraction})
_document = st.fixed_dictionaries(
    {
        **{name: st.just(EXAMPLE[name]) for name in ("schema_version", "strategy")},
        "instrument_id": _instrument,
        "position_side": st.sampled_from(["LONG", "SHORT"]),
        "entry": _entry,
        "valid_for_s": st.sampled_from([1, 86_400]),
        "rationale": st.fixed_dictionaries({"summary": st.text(min_size=1, max_size=50)}),
    },
    optional={
        "stop": _stop,
        "targets": st.lists(_target, max_size=5),
        "max_holding_s": st.sampled_from([60, 2_592_000]),
    },
)
_value = (
    st.sampled_from(["0", "1", "-1", "1e12", "1e999999", "9" * 30, "0.000000000001", "true", "CROSS", "4h"]) | _text
)
_setting = st.sampled_from([field.name for field in fields(TradingSettings)]) | _text


def _execute(document: Mapping[str, Any]) -> control.ExecutePlan:
    return control.ExecutePlan("paper", json.dumps(document))


_plans = st.builds(_execute, _document)
_commands: st.SearchStrategy[Event] = st.one_of(
    _plans,
    _plans,
    _plans,
    _plans,
    st.just(control.ResumeTrading("paper", "go on")),
    st.builds(control.GeneratePlan, _account, _instrument | _text, st.sampled_from(control.Planner)),
    st.builds(control.ExecutePlan, _account, _text),
    st.builds(control.ClosePosition, _account, _instrument | _text),
    st.builds(control.PauseTrading, _account, st.sampled_from(TradingState), _text),
    st.builds(control.KillSwitch, _account, st.booleans(), _text),
    st.builds(control.OverrideLimit, _account, _setting, _value, _text),
    st.builds(
        control.TransferCash, _account, st.sampled_from(["1e25", "-5", "0", "0.00000001"]).map(Decimal).map(Money)
    ),
    st.builds(control.TimerFired, _account),
)


@pytest.fixture(scope="module")
def desk() -> tuple[MemoryLog, Trader]:
    """The real chain, warm, at the end of a stretch of the made-up tape."""
    log = MemoryLog()
    import_feed(log, islice(synthetic_feed(), WARM), TradingSettings())
    trader = build_trader(log, 0)
    trader.start()
    run_batch(log, trader)
    return log, trader


_ticks = synthetic_feed()
next(islice(_ticks, WARM - 1, WARM))


@settings(max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(commands=st.lists(_commands, min_size=1, max_size=5), ticks=st.integers(0, 6))
def test_every_command_is_answered_and_the_trader_goes_on(
    desk: tuple[MemoryLog, Trader], commands: list[Event], ticks: int
) -> None:
    log, trader = desk
    wrapped = [message(command, ts=trader.kernel.counters.clock) for command in commands]
    log.append([NewRecord("commands", 0, b"paper", encode(one.envelope, one.event), one.now) for one in wrapped])
    log.append([NewRecord("ticks", 0, b"key", encode(*tick), tick[0].ts_event) for tick in islice(_ticks, ticks)])
    readers = [
        SeqReader(log, topic, 0, offset=log.end_offset(topic, 0), seq=_next_seq(log, topic)) for topic in _ANSWERS
    ]
    for topic in ("commands", "ticks"):
        trader.process(topic, log.read(topic, 0, trader.position(topic), limit=1_000))
    answered = {
        accepted.event.command_id
        for reader in readers
        for accepted in reader.poll(10_000)
        if getattr(accepted.event, "command_id", None)
    }
    assert {one.envelope.event_id for one in wrapped} <= answered


_ANSWERS = ("plans", "verdicts")


def _next_seq(log: MemoryLog, topic: str) -> int:
    end = log.end_offset(topic, 0)
    return decode(log.read(topic, 0, end - 1, limit=1)[0].value)[0].seq + 1 if end else 0
