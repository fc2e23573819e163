"""A trader that answers every kind of command at once, for tests of the desk, the control API and the command line.

One toy stage under the real kernel, journal and log; its refusals are those of the real risk stage.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from threading import Event as Alarm
from threading import Thread

from schemas.codec import encode
from schemas.envelope import Event, Message
from schemas.events import control, plan, risk
from schemas.events.common import OrderType, PlanOrigin, PositionSide, PriceSource, Quality, Regime, TradingState
from schemas.events.market import InstrumentDefined, MarkPrice
from schemas.plan_document import parse_plan_document
from schemas.settings import TradingSettings
from schemas.topics import INPUTS
from schemas.values import Price
from services.bootstrap import prepare_log
from streams.core.stage import Stage
from streams.log.base import EventLog, NewRecord
from streams.trader import Trader
from tests.builders import T0, btc_swap, message

SILENT = "SOL-USDT-SWAP"
"""Commands about this instrument are never answered."""
SETTINGS = TradingSettings(instruments_allowed=("BTC-USDT-SWAP", "ETH-USDT-SWAP", SILENT))


@dataclass(slots=True)
class DeskState:
    """How many commands were answered."""

    answered: int = 0


def _proposed(command: control.GeneratePlan, incoming: Message) -> plan.PlanProposed:
    return plan.PlanProposed(
        plan_id="plan-1",
        account_id=command.account_id,
        instrument_id=command.instrument_id,
        position_side=PositionSide.LONG,
        strategy="trend",
        origin=PlanOrigin.RULES,
        execute=False,
        reference_price=Price(Decimal("80000.1")),
        reference_source=PriceSource.MARK,
        entry=plan.Entry(OrderType.MARKET),
        stop=plan.StopSpec(Price(Decimal("79200.0"))),
        targets=(),
        valid_for_s=900,
        ts_valid_until=incoming.now,
        max_holding_s=3600,
        rationale=plan.Rationale("because"),
        confidence=None,
        snapshot=plan.MarketSnapshot(None, None, None, Regime.TREND_UP, None, Quality.GOOD, {}),
        missing_sources=(),
        command_id=incoming.envelope.event_id,
    )


def _denied(command: control.ExecutePlan, command_id: str) -> risk.PlanDenied:
    document = parse_plan_document(command.document)
    checks = tuple(
        risk.Check(code, risk.CheckResult.FAIL if index == 3 else risk.CheckResult.PASS, "1", "2", {"equity": "10000"})
        for index, code in enumerate(risk.DenialCode)
    )
    return risk.PlanDenied(
        "plan-2",
        command.account_id,
        document.instrument_id,
        document.position_side,
        document.strategy,
        PlanOrigin.OPERATOR,
        risk.DenialCode.NOT_RECONCILED,
        "no account snapshot yet",
        checks,
        command_id,
    )


def _handled(command_id: str, code: control.RefusalCode | None = None, detail: str = "") -> control.CommandHandled:
    outcome = control.CommandOutcome.REFUSED if code else control.CommandOutcome.DONE
    return control.CommandHandled(command_id, SETTINGS.account_id, outcome, code, detail)


def _answers(incoming: Message) -> Sequence[Event]:
    command, command_id = incoming.event, incoming.envelope.event_id
    match command:
        case control.GeneratePlan(instrument_id="ETH-USDT-SWAP"):
            reason = plan.DeclineReason.NO_SETUP
            return [plan.PlanDeclined("paper", command.instrument_id, PlanOrigin.RULES, reason, "no", (), command_id)]
        case control.GeneratePlan(instrument_id=name) if name != SILENT:
            return [_proposed(command, incoming)]
        case control.ExecutePlan():
            return [_denied(command, command_id)]
        case control.ClosePosition(instrument_id=name) if name != SILENT:
            return [_handled(command_id, control.RefusalCode.NO_POSITION, f"{name} is flat")]
        case control.ResumeTrading(reason=None):
            return [_handled(command_id, control.RefusalCode.LATCHED_CAUSES, "DRAWDOWN remains: resume with a reason")]
        case control.PauseTrading(state=state):
            changed = risk.TradingStateChanged("paper", state, TradingState.ACTIVE, (), "paused", command_id)
            return [_handled(command_id), changed]
        case control.ResumeTrading() | control.KillSwitch() | control.OverrideLimit():
            return [_handled(command_id)]
        case _:
            return []


def _decide(_state: DeskState, incoming: Message) -> Sequence[Event]:
    return _answers(incoming)


def _evolve(state: DeskState, incoming: Message) -> DeskState:
    return DeskState(state.answered + isinstance(incoming.event, control.CommandHandled))


ANSWERING = Stage(
    name="risk",
    takes=(
        control.GeneratePlan,
        control.ExecutePlan,
        control.ClosePosition,
        control.PauseTrading,
        control.ResumeTrading,
        control.KillSwitch,
        control.OverrideLimit,
    ),
    state_type=DeskState,
    initial=DeskState,
    decide=_decide,
    evolve=_evolve,
)


def tick(event: InstrumentDefined | MarkPrice, *, ts: int = T0) -> NewRecord:
    """Return a record of the ticks topic."""
    wrapped = message(event, ts=ts)
    return NewRecord("ticks", 0, event.instrument_id.encode(), encode(wrapped.envelope, event), ts)


def prepare(log: EventLog, *, settings: TradingSettings = SETTINGS) -> None:
    """Put settings and one instrument on a new log, as an import of recorded data would."""
    prepare_log(log, settings, ts_event=T0)
    log.append([tick(btc_swap())])


@contextmanager
def answering(log: EventLog) -> Iterator[None]:
    """Run the answering trader on the log, on a thread of its own, for as long as the block lasts."""
    trader = Trader(log, 0, [ANSWERING], worker="answering", code_version="test")
    trader.start()
    with running(trader):
        yield


@contextmanager
def running(trader: Trader) -> Iterator[None]:
    """Let a started trader take inputs as they come, on a thread of its own, for as long as the block lasts."""
    stopping = Alarm()

    def run() -> None:
        while not stopping.is_set():
            taken = 0
            for topic in INPUTS:
                records = trader.log.read(topic, trader.shard, trader.position(topic), limit=100)
                taken += len(records)
                if records:
                    trader.process(topic, records)
            if not taken:
                stopping.wait(0.002)

    thread = Thread(target=run, name="trader")
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(10)
