"""A plan asked for in the name of an account that the shard does not trade."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from schemas.events.control import CommandHandled, CommandOutcome, ExecutePlan, GeneratePlan, Planner, RefusalCode
from streams.core.planner import STAGE
from tests.builders import btc_swap, message, settings_changed
from tests.spec import given

EXAMPLE = (Path(__file__).resolve().parents[3] / "examples" / "plan_trend.json").read_text()


@pytest.mark.parametrize(
    "command",
    [GeneratePlan("someone", "BTC-USDT-SWAP", Planner.RULES), ExecutePlan("someone", EXAMPLE)],
    ids=["generate", "execute"],
)
def test_a_plan_for_another_account_is_refused(command: GeneratePlan | ExecutePlan) -> None:
    (refused,) = given(STAGE, settings_changed(), btc_swap()).when(message(command, event_id="c" * 32)).emitted
    assert refused == CommandHandled(
        "c" * 32,
        "someone",
        CommandOutcome.REFUSED,
        RefusalCode.UNKNOWN_ACCOUNT,
        "someone: this shard's account is paper",
    )
    (early,) = given(STAGE).when(replace(command, account_id="paper")).of(CommandHandled)
    assert early.code is RefusalCode.UNKNOWN_ACCOUNT
