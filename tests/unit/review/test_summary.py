"""The summary says what the log says, in both languages, and shows poor results as they are."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from schemas.envelope import Event
from schemas.events.account import CashFlowed, EntryMissed, EquityChanged, FlowKind, TradeClosed
from schemas.events.common import ExitReason, PlanOrigin, PositionSide, PriceSource, TradingState
from schemas.events.data import TickQuarantined
from schemas.events.market import Channel, FeedOrigin, FeedState, FeedStatus, FundingSettled, LineQuarantined, VenueBar
from schemas.events.plan import DeclineReason, PlanDeclined
from schemas.events.risk import (
    DrawdownWarningChanged,
    LimitOverridden,
    StateCause,
    StateCauseKind,
    TradingStateChanged,
    WarningState,
)
from schemas.values import SECOND, Micros, Money, Percent, Price, Quantity, Rate
from services.review.labels import LABELS, word
from services.review.run import TOPICS_READ, UNITS, Limit, Run, funding_gaps, take
from services.review.summary import pad, render, short
from streams.stored import Difference
from streams.verify import Report
from tests.builders import at, message, settings_changed
from tests.events import sample

HOUR = 3600


def run_of(*events: tuple[Event, float]) -> Run:
    run = Run()
    for event, seconds in events:
        take(run, message(event, ts=at(seconds)).envelope, event)
    return run


def bar(close: str, seconds: float, *, backfill: bool = False) -> tuple[Event, float]:
    p = Price(Decimal(close))
    return VenueBar("BTC-USDT-SWAP", "1m", at(seconds - 60), p, p, p, p, Quantity(Decimal(1)), backfill), seconds


def equity(value: str, drawdown: str, source: PriceSource) -> EquityChanged:
    m, z = Money(Decimal(value)), Money(Decimal(0))
    return EquityChanged("paper", m, m, z, z, z, m, Percent(Decimal(drawdown)), m, Percent(Decimal(0)), source, z)


def closed(reason: ExitReason, net: str, r: str) -> TradeClosed:
    trade: TradeClosed = sample(TradeClosed, 1)
    return replace(
        trade,
        exit_reason=reason,
        net_pnl=Money(Decimal(net)),
        r_multiple=Decimal(r),  # type: ignore[arg-type]
        position_side=PositionSide.SHORT,
    )


def test_every_label_exists_in_both_languages_and_differs() -> None:
    assert {unit for unit in UNITS.values() if unit.isalpha() and unit not in ("USDT", "R")} <= LABELS.keys()
    for key, (english, chinese) in LABELS.items():
        assert english != chinese, key
        assert min(len(english), len(chinese)) > 0, key
    assert word("equity", "zh") == "权益"


def test_history_is_counted_apart_and_buy_and_hold_starts_after_it() -> None:
    run = run_of(bar("50", 60, backfill=True), bar("100", 120), bar("110", 180))
    text = render(run)
    assert "BTC-USDT-SWAP: 3 bars (1 of them history for warm-up)" in text
    assert "Buy and hold, equal weights, no costs: +10.00 %" in text


def test_trades_are_tabled_by_exit_reason_with_losses_as_they_are() -> None:
    run = run_of((closed(ExitReason.STOP, "-120", "-1.2"), 1), (closed(ExitReason.STOP, "-100", "-1"), 2))
    text = render(run)
    row = next(line for line in text.splitlines() if line.strip().startswith("STOP "))
    assert row.split() == ["STOP", "2", "0", "2", "0", "-1.10", "-1.20", "-1.00", "-220.00"]


def test_equity_drawdown_and_the_share_of_substituted_marks_are_shown() -> None:
    run = run_of(
        (CashFlowed("paper", FlowKind.INITIAL, Money(Decimal(10000))), 0),
        (equity("10000", "0", PriceSource.MARK), 1),
        (equity("9000", "10", PriceSource.LAST), 2),
        (equity("9500", "5", PriceSource.LAST), 3),
        (equity("9500", "5", PriceSource.MARK), 4),
    )
    text = render(run)
    assert "Equity: 10,000.00 -> 9,500.00 USDT (-5.00 %), largest drawdown 10.00 %" in text
    assert "share of equity points: 50.00 %" in text


def test_transfers_stand_apart_from_the_start_and_from_the_result() -> None:
    run = run_of(
        (CashFlowed("paper", FlowKind.INITIAL, Money(Decimal(10000))), 0),
        (CashFlowed("paper", FlowKind.DEPOSIT, Money(Decimal(200))), 1),
        (CashFlowed("paper", FlowKind.WITHDRAWAL, Money(Decimal(-50))), 2),
        (equity("9150", "10", PriceSource.MARK), 3),
    )
    line = "Equity: 10,000.00 -> 9,150.00 USDT (-10.00 % without transfers of +150.00 USDT), largest drawdown 10.00 %"
    assert line in render(run)
    valued = replace(equity("9150", "10", PriceSource.MARK), unrealized_pnl=Money(Decimal("-12.5")))
    assert ", in it unrealized -12.50 USDT, largest" in render(run_of((valued, 1)))


def test_a_bar_that_was_set_aside_counts_as_nothing_else() -> None:
    assert TOPICS_READ.index("quality") < TOPICS_READ.index("ticks")
    run = run_of(*((replace(sample(TickQuarantined, 1), tick_event_id=name), 300) for name in ("b0", "b3")))
    told = [bar("50", 60, backfill=True), bar("100", 120), bar("110", 180), bar("500", 240)]
    for number, (event, seconds) in enumerate(told):
        take(run, message(event, ts=at(seconds), event_id=f"b{number}").envelope, event)
    text = render(run)
    assert "BTC-USDT-SWAP: 2 bars, 0 marks" in text
    assert "Buy and hold, equal weights, no costs: +10.00 %" in text
    assert sum(run.quarantined.values()) == 2


def test_a_run_that_ends_held_back_says_so() -> None:
    cause = StateCause(StateCauseKind.KILL, TradingState.HALTED, "account", at(1), None, True, "x")
    halted = TradingStateChanged("paper", TradingState.HALTED, TradingState.ACTIVE, (cause,), "")
    released = TradingStateChanged("paper", TradingState.ACTIVE, TradingState.HALTED, (), "")
    assert "  the run ends           HALTED: KILL account" in render(run_of((halted, 1))).splitlines()
    assert "the run ends" not in render(run_of((halted, 1), (released, 2)))


def test_what_entries_missed_is_summed_and_one_that_filled_late_does_not_count() -> None:
    def missed(plan_id: str, cost: str | None) -> EntryMissed:
        opportunity = None if cost is None else Money(Decimal(cost))
        return replace(sample(EntryMissed, 1), plan_id=plan_id, opportunity=opportunity)

    late = replace(closed(ExitReason.STOP, "-1", "-1"), plan_id="late")
    told = [(missed("a", "120.5"), 1), (missed("b", "-20"), 2), (missed("c", None), 3), (missed("late", "999"), 4)]
    text = render(run_of(*told, (late, 5)))
    assert "went their way: +100.50 USDT, 3 entries" in text
    assert "went their way" not in render(run_of((late, 1)))


def test_missing_funding_settlements_are_counted() -> None:
    def settled(hours: int) -> tuple[Event, float]:
        ts = Micros(at(hours * HOUR))
        return FundingSettled("X", Rate(Decimal(0)), ts, Micros(ts + 8 * HOUR * SECOND)), hours * HOUR

    run = run_of(settled(0), settled(8), settled(32))
    assert funding_gaps(run.markets["X"]) == 2
    assert "missing funding settlements: 2" in render(run)


def test_reasons_for_not_trading_are_counted() -> None:
    declined = PlanDeclined("paper", "X", PlanOrigin.RULES, DeclineReason.NO_SETUP, "", ())
    text = render(run_of((declined, 1), (declined, 2)))
    assert any(line.split() == ["plans", "declined", "2", "NO_SETUP", "2"] for line in text.splitlines())


def test_a_synthetic_tape_is_named() -> None:
    status = FeedStatus("X", Channel.BARS, FeedState.OPEN, FeedOrigin.SYNTHETIC, "made up", 60)
    text = render(run_of((status, 0)))
    assert "origin of the tape: SYNTHETIC" in text
    assert "(made-up prices: this says nothing about profit)" in text
    assert "made-up" not in render(run_of())


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({}, "(tick feeds only): 0 ms; faults drawn, orders refused / fills cut: 0 % / 0 %; seed 20250318"),
        (
            {"latency_us": 50_000, "latency_jitter_us": 25_500, "fault_reject_pct": 5, "seed": 7},
            "(tick feeds only): 50 .. 75.5 ms; faults drawn, orders refused / fills cut: 5 % / 0 %; seed 7",
        ),
    ],
)
def test_what_the_paper_venue_assumes_is_said(settings: dict[str, object], line: str) -> None:
    assert line in render(run_of((settings_changed(**settings), 0)))


def test_on_okx_nothing_is_said_to_be_simulated() -> None:
    text = render(run_of((settings_changed(venue="OKX"), 0)))
    assert "fills: as OKX reported them" in text
    assert "faults drawn" not in text
    assert "bps" not in text.partition("Assumptions in force")[2]


def test_an_unproven_run_says_so_and_a_failed_proof_shows_the_difference() -> None:
    assert "Proof: not proven" in render(Run())
    report = Report(steps=7, difference=Difference(3, "orders", "orders seq 1, field quantity: 1 became 2"))
    text = render(Run(), proof=report)
    assert "1 differences" in text
    assert "orders seq 1, field quantity: 1 became 2" in text


@pytest.mark.parametrize(("value", "text"), [("10.860000000000", "10.86"), ("0.00012", "0.00012"), ("20000", "20000")])
def test_numbers_are_short(value: str, text: str) -> None:
    assert short(Decimal(value)) == text


def test_limits_and_trades_are_in_words_and_numbers_of_the_reader() -> None:
    run = run_of((closed(ExitReason.STOP, "-120", "-1.2"), 1))
    run.limits = {code: Limit(Decimal("1234.567891234567"), Decimal(2_000_000)) for code in UNITS}
    (trade,) = run.trades
    run.rationale[trade.plan_id] = "uncertainty 0.120970366; stop 2 ATR away"
    chinese, english = render(run, language="zh"), render(run)
    for unit in ("losses", "entries/h", "positions", "contracts", "messages"):
        assert f" {unit}" in english
        assert f" {unit}" not in chinese
    for text in (chinese, english):
        rows = [line.split() for line in text.splitlines() if line.strip().startswith("NOTIONAL_")]
        assert rows == [["NOTIONAL_EXCEEDS_LIMIT", "1,234.57", "<=", "2,000,000", "USDT"]]
        assert "uncertainty 0.121; stop 2 ATR away" in text
    assert "1234.5679" in english, "what is no money has four places"


def test_a_chinese_character_takes_two_columns() -> None:
    assert pad("权益", 6) == "权益  "
    assert pad("ab", 4, right=True) == "  ab"


def test_lines_that_could_not_be_read_come_with_the_command_that_shows_them() -> None:
    run = run_of((LineQuarantined("BTC-USDT-SWAP", "x.csv", 3, "eighty", "1,eighty"), 1))
    assert "Set aside: LINE 1\n  LINE: lines that could not be read; see them with: tapeline log cat X" in render(
        run, look="tapeline log cat X"
    )
    assert "see them with" not in render(run_of(bar("100", 60)))


def test_an_overridden_limit_is_shown_until_other_settings_replace_it() -> None:
    settings, moved = settings_changed(), LimitOverridden("paper", "leverage_max", "20", "100", "careful", "command")
    run = run_of((settings, 0))
    envelope = message(moved, ts=at(1)).envelope._replace(settings_digest=settings.digest)
    take(run, envelope, moved)
    assert run.settings.leverage_max == 20
    assert "limits overridden            1  leverage_max 1" in render(run)
    assert "the worst value may be from before: leverage_max" in render(run)
    assert "may be from before" not in render(run_of((settings, 0)))
    run = run_of((settings, 0), (settings_changed(leverage_max=50), 2))
    take(run, envelope, moved)
    assert run.settings.leverage_max == 50


def test_drawdown_warnings_are_counted_and_their_level_stands_beside_the_worst_drawdown() -> None:
    raised: DrawdownWarningChanged = replace(sample(DrawdownWarningChanged, 1), warning=WarningState.RAISED)
    released = replace(raised, warning=WarningState.RELEASED)
    worst = equity("6900", "31", PriceSource.MARK)
    lines = render(run_of((worst, 0), (raised, 1), (released, 2), (raised, 3))).splitlines()
    assert "  drawdown warnings            2" in lines
    (level,) = [line for line in lines if "drawdown, warned at" in line]
    assert level.split()[3:] == ["31.00", "%", "30", "%"]
    assert not any("drawdown warnings" in line for line in render(Run()).splitlines())
