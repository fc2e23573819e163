"""What a query of the read side asks for is checked before the database sees it."""

from __future__ import annotations

import pytest
from starlette.datastructures import QueryParams

from services.errors import ApiError
from services.query.reads import RESOURCES, Resource, page_of

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
