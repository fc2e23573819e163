"""What goes in comes out as it is kept in this folder, to the last byte; after a change meant: ``make golden``."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.golden.stories import FOLDER, STORIES, Story, read, replayed, told

EVENTS_NEEDED = {
    "stopped_out": ("PlanApproved", "OrderIntended", "FillBooked", "TradeClosed"),
    "targets_and_break_even": ("OrderAmended", "TradeClosed"),
    "denied": ("PlanDenied", "PlanApproved", "PlanDeclined"),
    "killed_while_open": ("TradingStateChanged", "ReductionApproved", "PlanDenied", "TradeClosed"),
    "halted_by_drawdown": ("TradingStateChanged", "DrawdownWarningChanged", "PlanDenied", "TradeClosed"),
}
"""What a story has to come to, so that a golden log cannot become an empty one unnoticed."""


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_story_comes_out_as_it_is_kept(story: Callable[[], Story]) -> None:
    case = story.__name__
    kept = read(case, "out")
    assert told(story()) == read(case, "in"), "run `make golden` and review the diff"
    assert replayed(read(case, "in")) == kept, "run `make golden` and review the diff"
    events = {json.loads(line)["event"] for line in kept}
    assert events >= set(EVENTS_NEEDED[case])


def test_every_folder_is_a_story() -> None:
    folders = {path.name for path in FOLDER.iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert folders == {story.__name__ for story in STORIES} == set(EVENTS_NEEDED)
