"""What an operator may do to the trading state, and the one answer each command gets."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from schemas.envelope import Event
from schemas.events.common import AccountMode, EntryEnd, ExitReason, PositionMode, TradingState
from schemas.events.control import (
    ClosePosition,
    CommandHandled,
    CommandOutcome,
    KillSwitch,
    OverrideLimit,
    PauseTrading,
    RefusalCode,
    ResumeTrading,
    TimerFired,
)
from schemas.events.orders import EntryEnded, VenuePosition
from schemas.events.risk import (
    DenialCode,
    PlanApproved,
    PlanDenied,
    ReductionApproved,
    StateCauseKind,
    TradingStateChanged,
)
from schemas.values import SECOND, Price, Quantity
from streams.core.risk import STAGE
from tests.builders import T0, btc_swap, message, settings_changed
from tests.risk_desk import (
    BTC,
    ETH,
    bar,
    check,
    desk,
    equity,
    limit_entry,
    mark,
    plan,
    position,
    snapshot,
    venue_says,
    verdict,
)
from tests.spec import Spec, as_message, given

D = Decimal
MIDNIGHT = T0 + 8 * 3600 * SECOND


def answer(spec: Spec, command: Event) -> CommandHandled:
    """Give a command and return its one answer."""
    handled: list[CommandHandled] = spec.when(command).of(CommandHandled)
    assert len(handled) == 1
    return handled[0]


def state_of(spec: Spec) -> tuple[TradingState, list[StateCauseKind]]:
    """Return state and cause kinds of the one change just emitted."""
    (changed,) = spec.of(TradingStateChanged)
    return changed.state, [cause.kind for cause in changed.causes]


def test_starts_halted_and_is_released_by_the_first_snapshot() -> None:
    spec = given(STAGE).when(settings_changed())
    assert state_of(spec) == (TradingState.HALTED, [StateCauseKind.RECONCILING])
    spec.when(snapshot())
    assert state_of(spec) == (TradingState.ACTIVE, [])
    assert spec.state.differences == ()


def test_a_snapshot_with_a_position_the_log_does_not_know_keeps_it_halted() -> None:
    spec = given(STAGE, settings_changed(), btc_swap())
    stranger = VenuePosition(BTC, Quantity(D(1)), Price(D(80000)))
    spec.when(venue_says(stranger))
    assert spec.of(TradingStateChanged) == []
    assert spec.state.differences == (f"{BTC}: venue holds 1, the log 0",)
    spec.when(position("1"))
    spec.when(venue_says(stranger))
    assert state_of(spec) == (TradingState.ACTIVE, [])


@pytest.mark.parametrize(
    ("modes", "named"),
    [
        ({"account_mode": AccountMode.SPOT}, "account_mode=SPOT, needed FUTURES"),
        ({"account_mode": AccountMode.MULTI_CURRENCY}, "account_mode=MULTI_CURRENCY, needed FUTURES"),
        ({"account_mode": AccountMode.PORTFOLIO}, "account_mode=PORTFOLIO, needed FUTURES"),
        ({"position_mode": PositionMode.LONG_SHORT}, "position_mode=LONG_SHORT, needed NET"),
    ],
)
def test_an_account_in_another_mode_is_not_reconciled(modes: dict[str, Any], named: str) -> None:
    spec = desk().when(venue_says(**modes))
    assert state_of(spec) == (TradingState.HALTED, [StateCauseKind.RECONCILING])
    spec.when(plan())
    assert (verdict(spec).code, check(spec, DenialCode.NOT_RECONCILED).value) == (DenialCode.NOT_RECONCILED, named)
    spec.when(venue_says())
    assert state_of(spec) == (TradingState.ACTIVE, [])
    assert isinstance(verdict(spec.when(plan())), PlanApproved)


def test_pause_reduces_and_resume_releases() -> None:
    spec = desk()
    assert answer(spec, PauseTrading("paper", TradingState.REDUCING)).outcome is CommandOutcome.DONE
    assert state_of(spec) == (TradingState.REDUCING, [StateCauseKind.OPERATOR])
    assert answer(spec, ResumeTrading("paper")).outcome is CommandOutcome.DONE
    assert state_of(spec) == (TradingState.ACTIVE, [])


def test_a_second_pause_may_tighten_but_not_loosen() -> None:
    spec = desk(PauseTrading("paper", TradingState.REDUCING))
    answer(spec, PauseTrading("paper", TradingState.HALTED))
    assert state_of(spec)[0] is TradingState.HALTED
    answer(spec, PauseTrading("paper", TradingState.REDUCING))
    assert spec.of(TradingStateChanged) == []


def test_pause_to_active_is_refused() -> None:
    refused = answer(desk(), PauseTrading("paper", TradingState.ACTIVE))
    assert (refused.outcome, refused.code) == (CommandOutcome.REFUSED, "INVALID_STATE")


def test_resume_without_a_reason_releases_the_operator_and_names_what_remains() -> None:
    spec = desk(PauseTrading("paper", TradingState.REDUCING), KillSwitch("paper", flatten=False))
    refused = answer(spec, ResumeTrading("paper"))
    assert (refused.outcome, refused.code) == (CommandOutcome.REFUSED, "LATCHED_CAUSES")
    assert "KILL" in refused.detail
    assert state_of(spec) == (TradingState.HALTED, [StateCauseKind.KILL])
    assert answer(spec, ResumeTrading("paper", " ")).code == "LATCHED_CAUSES"
    assert answer(spec, ResumeTrading("paper", "all clear")).outcome is CommandOutcome.DONE
    assert state_of(spec) == (TradingState.ACTIVE, [])
    assert not spec.of(TradingStateChanged)[0].peak_reset


def test_resume_with_a_reason_leaves_timed_causes() -> None:
    spec = desk(equity("8500", day_start="10000"), KillSwitch("paper", flatten=False))
    answer(spec, ResumeTrading("paper", "all clear"))
    assert state_of(spec) == (TradingState.REDUCING, [StateCauseKind.DAILY_LOSS])


def test_kill_halts_and_flattens_every_position() -> None:
    spec = desk(position("1"), position("2", instrument_id=ETH))
    handled = answer(spec, KillSwitch("paper", flatten=True))
    assert state_of(spec) == (TradingState.HALTED, [StateCauseKind.KILL])
    closes = spec.of(ReductionApproved)
    assert [(close.instrument_id, close.reason) for close in closes] == [(BTC, ExitReason.KILL), (ETH, ExitReason.KILL)]
    assert {close.command_id for close in closes} == {handled.command_id}


def test_kill_without_flatten_leaves_positions_to_their_stops() -> None:
    spec = desk(position("1"))
    answer(spec, KillSwitch("paper", flatten=False))
    assert spec.of(ReductionApproved) == []


def test_a_drawdown_halt_flattens_only_when_told_to() -> None:
    kept = desk(position("1"), daily_loss_pct_max=100).when(equity("6000", peak="10000"))
    assert kept.of(ReductionApproved) == []
    spec = desk(position("1"), daily_loss_pct_max=100, halt_action="FLATTEN").when(equity("6000", peak="10000"))
    (close,) = spec.of(ReductionApproved)
    assert (close.instrument_id, close.reason) == (BTC, ExitReason.HALT_FLATTEN)
    spec.when(equity("5900", peak="10000")).then()


def test_daily_loss_reduces_until_midnight_and_a_tick_releases_it() -> None:
    spec = desk().when(equity("8500", day_start="10000"))
    (changed,) = spec.emitted
    assert changed.causes[0].until == MIDNIGHT
    spec.when(bar("80000", ts=MIDNIGHT - 1)).then()
    spec.when(bar("80000", ts=MIDNIGHT))
    assert state_of(spec) == (TradingState.ACTIVE, [])
    spec.when(bar("80000", ts=MIDNIGHT)).then()


def test_a_timer_releases_what_a_silent_feed_would_not() -> None:
    spec = desk().when(equity("8500", day_start="10000"))
    spec.when(message(TimerFired("paper"), ts=MIDNIGHT))
    assert state_of(spec) == (TradingState.ACTIVE, [])
    assert spec.of(CommandHandled)[0].outcome is CommandOutcome.DONE


def test_yesterdays_loss_is_not_todays() -> None:
    spec = desk().when(equity("8500", day_start="10000"))
    for fresh in (bar("80000", ts=MIDNIGHT), mark("80000", ts=MIDNIGHT)):
        spec.when(fresh)
    spec.when(as_message(plan(ts=MIDNIGHT), MIDNIGHT))
    assert isinstance(verdict(spec), PlanApproved)


def test_the_throttle_latches_on_the_attempt_past_it() -> None:
    spec = desk(entries_per_hour_max=1).when(plan())
    assert isinstance(verdict(spec), PlanApproved)
    assert spec.of(TradingStateChanged) == []
    spec.when(EntryEnded("p1", "paper", BTC, "c1", EntryEnd.EXPIRED, Quantity(D(0))))
    spec.when(as_message(plan(entry=limit_entry("79990")), T0 + 1))
    assert state_of(spec) == (TradingState.REDUCING, [StateCauseKind.THROTTLE])
    assert verdict(spec).code is DenialCode.EXECUTION_THROTTLED
    answer(spec, ResumeTrading("paper", "a script ran twice"))
    assert spec.state.approvals == []


def test_close_approves_a_reduction() -> None:
    spec = desk(position("1"))
    handled = answer(spec, ClosePosition("paper", BTC))
    assert handled.outcome is CommandOutcome.DONE
    (close,) = spec.of(ReductionApproved)
    assert (close.reason, close.command_id) == (ExitReason.OPERATOR, handled.command_id)


@pytest.mark.parametrize(("instrument_id", "code"), [(BTC, "NO_POSITION"), ("DOGE-USDT-SWAP", "UNKNOWN_INSTRUMENT")])
def test_close_without_anything_to_close_is_refused(instrument_id: str, code: str) -> None:
    spec = desk()
    refused = answer(spec, ClosePosition("paper", instrument_id))
    assert (refused.outcome, refused.code) == (CommandOutcome.REFUSED, code)
    assert spec.of(ReductionApproved) == []


def test_close_reaches_a_working_entry_and_says_so() -> None:
    handled = answer(desk(plan()), ClosePosition("paper", BTC))
    assert (handled.outcome, handled.detail) == (
        CommandOutcome.DONE,
        f"{BTC}: no position to close, 1 entries to cancel",
    )
    handled = answer(desk(position("1")), ClosePosition("paper", BTC))
    assert handled.detail == f"{BTC}: closing at market"


def test_kill_says_how_many_entries_it_cancels() -> None:
    handled = answer(desk(plan()), KillSwitch("paper", flatten=True))
    assert handled.detail.endswith("; 0 positions to close, 1 entries to cancel")
    ended = EntryEnded("p1", "paper", BTC, "c1", EntryEnd.EXPIRED, Quantity(D(0)))
    handled = answer(desk(plan(), ended, position("1")), KillSwitch("paper", flatten=True))
    assert handled.detail.endswith("; 1 positions to close, 0 entries to cancel")
    handled = answer(desk(plan(), ended, position("1")), KillSwitch("paper", flatten=False))
    assert handled.detail.endswith("; 1 positions stay, each with its stop, 0 entries to cancel")


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("leverage_max", "101", "HARD_BOUND"),
        ("drawdown_halt_pct", "40.1", "HARD_BOUND"),
        ("drawdown_halt_pct", "30", "HARD_BOUND"),
        ("leverage_max", "much", "INVALID_VALUE"),
        ("initial_cash", "5", "UNKNOWN_LIMIT"),
        ("nonsense", "5", "UNKNOWN_LIMIT"),
    ],
)
def test_an_override_outside_its_bound_is_refused_and_changes_nothing(name: str, value: str, code: str) -> None:
    spec = desk()
    before = spec.state.settings
    refused = answer(spec, OverrideLimit("paper", name, value, "test"))
    assert (refused.outcome, refused.code) == (CommandOutcome.REFUSED, code)
    assert spec.state.settings == before


def test_an_override_binds_from_the_next_plan_on() -> None:
    spec = desk()
    assert answer(spec, OverrideLimit("paper", "leverage_max", "0.5", "careful")).outcome is CommandOutcome.DONE
    spec.when(plan())
    assert isinstance(verdict(spec), PlanDenied)
    assert verdict(spec).code is DenialCode.LEVERAGE_EXCEEDS_LIMIT


@pytest.mark.parametrize(
    "command",
    [
        PauseTrading("someone", TradingState.HALTED),
        ResumeTrading("someone", "not mine to say"),
        KillSwitch("someone", flatten=True),
        OverrideLimit("someone", "leverage_max", "1", "not mine to say"),
        ClosePosition("someone", BTC),
        TimerFired("someone"),
    ],
    ids=lambda command: type(command).__name__,
)
def test_a_command_for_another_account_is_refused_and_changes_nothing(command: Event) -> None:
    """There is something for each of them to change: a position, a pause and a latched kill."""
    spec = desk(position("1"), PauseTrading("paper", TradingState.REDUCING), KillSwitch("paper", flatten=False))
    before = deepcopy(spec.state)
    refused = answer(spec, command)
    assert spec.emitted == [refused]
    assert (refused.outcome, refused.code) == (CommandOutcome.REFUSED, RefusalCode.UNKNOWN_ACCOUNT)
    assert refused.detail == "someone: this shard's account is paper"
    assert spec.state == before


def test_before_the_first_settings_no_account_is_known() -> None:
    refused = answer(given(STAGE), KillSwitch("paper", flatten=True))
    assert (refused.code, refused.detail) == (
        RefusalCode.UNKNOWN_ACCOUNT,
        "paper: this shard's account is none before the first settings",
    )


def test_a_stranger_s_resume_at_the_end_of_a_timed_cause_is_not_what_ended_it() -> None:
    spec = desk(equity("8500", day_start="10000"))
    spec.when(message(ResumeTrading("someone", "not mine to say"), ts=MIDNIGHT))
    (changed,) = spec.of(TradingStateChanged)
    assert (changed.command_id, changed.detail) == (None, "-DAILY_LOSS REDUCING account")


def test_another_account_s_snapshot_reconciles_nothing() -> None:
    spec = given(STAGE, settings_changed()).when(replace(venue_says(), account_id="someone"))
    spec.then()
    assert spec.state.differences == ("no snapshot since start",)


def test_a_plan_shown_to_an_operator_gets_no_verdict() -> None:
    desk().when(plan(execute=False)).then()
