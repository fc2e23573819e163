"""What a query of the read side asks for is checked before the database sees it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.datastructures import QueryParams

from projections import migrations
from services.errors import ApiError
from services.query.reads import RESOURCES, Resource, page_of
from services.query.vocabulary import COMPUTED, words_of

BARS = next(resource for resource in RESOURCES if resource.path == "bars")


@pytest.mark.parametrize("resource", [each for each in RESOURCES if "timeframe" in each.filters], ids=lambda r: r.path)
@pytest.mark.parametrize("value", ["2m", "", "1H", "x" * 500])
def test_an_unknown_timeframe_is_refused_with_the_ones_there_are(resource: Resource, value: str) -> None:
    with pytest.raises(ApiError, match=r"timeframe: .* must be one of 1m, 5m, 15m, 1h, 4h") as refused:
        page_of(resource, QueryParams({"timeframe": value}))
    assert refused.value.status == 422
    assert len(refused.value.body["detail"]) < 200


def test_a_known_timeframe_is_a_filter() -> None:
    assert page_of(BARS, QueryParams("timeframe=4h")).filters == {"timeframe": "4h"}


@pytest.mark.parametrize(
    ("path", "name", "word", "allowed"),
    [
        ("orders", "state", "OPEN", "INTENDED, SUBMITTED, ACCEPTED"),
        ("orders", "purpose", "entry", "ENTRY, STOP, TARGET, EXIT"),
        ("plans", "status", "FOO", "PROPOSED, PENDING, DENIED"),
        ("plans", "event_type", "PlanApproved", "PlanProposed, PlanDeclined"),
        ("plans", "origin", "ME", "OPERATOR, RULES, MODEL"),
        ("plans", "reason", "FOO", "NO_SETUP"),
        ("verdicts", "event_type", "FOO", "PlanApproved, PlanDenied"),
        ("verdicts", "code", "FOO", "HEAT_EXCEEDS_LIMIT"),
        ("order-events", "event_type", "FOO", "OrderIntended, AmendIntended"),
        ("trades", "exit_reason", "FOO", "STOP, BREAK_EVEN"),
        ("states", "state", "FOO", "ACTIVE, REDUCING, HALTED"),
        ("regimes", "regime", "FOO", "TREND_UP, TREND_DOWN, RANGE, VOLATILE, UNKNOWN"),
        ("bars", "order", "up", "desc, asc"),
    ],
)
def test_a_word_outside_a_closed_list_is_refused_with_the_list(path: str, name: str, word: str, allowed: str) -> None:
    resource = next(each for each in RESOURCES if each.path == path)
    with pytest.raises(ApiError, match=f"{name}: '{word}' must be one of .*{allowed}") as refused:
        page_of(resource, QueryParams({name: word}))
    assert refused.value.status == 422


def test_every_word_of_a_closed_list_is_taken_and_an_open_one_takes_any() -> None:
    for resource in RESOURCES:
        for name in resource.filters:
            for word in words_of(resource.tables, name) or ("what you like",):
                assert page_of(resource, QueryParams({name: word})).filters == {name: word}
    assert not words_of(("plans", "plan_declines"), "strategy")


@pytest.mark.parametrize(("view", "column"), COMPUTED)
def test_the_words_of_a_computed_column_are_those_of_its_view(view: str, column: str) -> None:
    text = (Path(migrations.__path__[0]) / "versions" / "0002_views.sql").read_text()
    body = text.partition(f"CREATE VIEW {view} AS")[2].partition(f" AS {column},")[0]
    told = re.findall(r"(?:THEN|ELSE) '([A-Z_]+)'", body[body.rindex("\n       CASE") :])
    assert sorted(told) == sorted(COMPUTED[view, column])
