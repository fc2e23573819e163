"""What a decision may use, what is kept beside it, and what a source's answer says about the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from schemas.events.context import NewsItem, OnchainMetric, SourceState, SourceStatus, TrendPoint
from schemas.values import SECOND, Micros, Ratio
from services.adapters.judging import Verdict, aside, judge
from services.adapters.ledger import HISTORY_KEPT, IDS_KEPT, NAMES_KEPT, Ledger
from tests.builders import T0

HOUR = 3_600 * SECOND
DAY = 24 * HOUR
LIMIT = 12 * HOUR
UP, STALE, DOWN = SourceState.UP, SourceState.STALE, SourceState.DOWN


def news(ts: int | None, *, item: str = "1") -> NewsItem:
    return NewsItem("rss", item, "words", "", None if ts is None else Micros(ts), True)


def metric(value: str, *, name: str = "hour_fee", ts: int | None = None) -> OnchainMetric:
    return OnchainMetric("m", name, Ratio(Decimal(value)), "", None if ts is None else Micros(ts))


def point(value: str, *, ts_to: int = T0, partial: bool = False) -> TrendPoint:
    return TrendPoint("t", "bitcoin", Ratio(Decimal(value)), Micros(ts_to - DAY), Micros(ts_to), partial)


def judged(*events: NewsItem | OnchainMetric | TrendPoint, history: Sequence[str] = ()) -> Verdict:
    known = tuple(Ratio(Decimal(value)) for value in history)
    return judge(events, T0, stale_after_us=LIMIT, known=lambda _source, _name: known)


@pytest.mark.parametrize(
    ("ts", "timely"),
    [
        (T0, True), (T0 - DAY, True), (T0 - DAY - 1, False), (T0 + 300 * SECOND, True), (T0 + 300 * SECOND + 1, False),
        (None, False),
    ],
)  # fmt: skip
def test_a_headline_is_used_only_with_a_time_that_can_be_trusted(ts: int | None, timely: bool) -> None:
    (event,) = judged(news(ts)).events
    assert event == replace(news(ts), timely=timely)


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (metric("-3"), "below 0"),
        (metric("100000.00000001"), "above 100000"),
        (metric("101", name="fear_greed_index"), "above 100"),
        (metric("5", ts=T0 - LIMIT - SECOND), "older than 12 h: of 2025-03-19T03:59:59Z"),
        (metric("5", ts=T0 + 301 * SECOND), "dated in the future: 2025-03-19T16:05:01Z"),
        (metric("501"), "far outside its history: the median of the last 5 is 5"),
        (metric("0.049"), "far outside its history"),
        (metric("500"), ""),
        (metric("0.05"), ""),
        (metric("51", name="hash_rate"), "far outside its history"),
        (metric("50", name="hash_rate"), ""),
        (metric("100", name="fear_greed_index"), ""),
        (metric("-51", name="a chart of its own"), "far outside its history"),
        (metric("-50", name="a chart of its own"), ""),
        (point("101"), "outside 0 to 100"),
        (point("-1"), "outside 0 to 100"),
        (point("74", ts_to=T0 - LIMIT - SECOND), "older than 12 h"),
        (point("74", ts_to=T0 + DAY, partial=True), ""),
        (point("74"), ""),
    ],
)
def test_a_number_that_cannot_be_or_is_far_from_all_others_is_set_aside_with_the_reason(
    event: OnchainMetric | TrendPoint, says: str
) -> None:
    verdict = judged(event, history=["1", "5", "5", "5", "900"])
    (found,) = verdict.events
    assert says in aside(found)
    assert bool(aside(found)) is bool(says)
    assert replace(found, anomaly="") == event, "the value is kept as it came"
    assert verdict.usable == (not says)


def test_without_enough_history_nothing_is_far_outside_it() -> None:
    assert judged(metric("501"), history=["5"] * 4).state is UP
    assert judged(metric("501"), history=["0"] * 9).state is UP


@pytest.mark.parametrize(
    ("events", "state", "detail"),
    [
        ((news(T0 - LIMIT),), UP, ""),
        ((news(T0 - LIMIT - 1),), STALE, "nothing newer than 2025-03-19T03:59:59Z; 12 h are allowed"),
        ((news(T0 + DAY), news(T0 - LIMIT - 1)), STALE, "nothing newer than"),
        ((news(T0), news(None, item="2")), UP, ""),
        ((news(None),), STALE, "nothing usable: no time of publication that can be trusted"),
        ((metric("-1"),), STALE, "nothing usable: below 0"),
        ((metric("-1"), metric("3", name="fastest_fee")), UP, ""),
        ((metric("3"),), UP, ""),
        ((), STALE, "no data: the answer holds nothing"),
    ],
)
def test_the_state_of_a_source_follows_from_its_answer(
    events: tuple[NewsItem | OnchainMetric, ...], state: SourceState, detail: str
) -> None:
    verdict = judged(*events)
    assert (verdict.state, verdict.detail.startswith(detail)) == (state, True), verdict.detail
    assert bool(verdict.detail) is (state is not UP)


def test_a_source_that_dates_nothing_is_never_too_old() -> None:
    assert judge((metric("3"),), T0, stale_after_us=None, known=lambda *_: ()).state is UP


def test_a_level_that_stays_becomes_its_own_history() -> None:
    ledger = Ledger()
    states = []
    for number in range(60):
        value = "1" if number < 30 else f"{1_000 + number}"
        events = judge((metric(value),), T0, stale_after_us=None, known=ledger.history).events
        ledger.take(events[0])
        states.append(aside(events[0]) == "")
    assert states[:30] == [True] * 30
    assert not states[30]
    assert states[-1], "half a history later the new level is what is known"


def test_the_ledger_knows_headlines_by_id_and_numbers_by_their_last_value() -> None:
    ledger = Ledger()
    first = [news(T0, item="a"), metric("3"), metric("4", name="fastest_fee"), point("7"), point("8", partial=True)]
    assert ledger.unsaid(first) == first
    for event in first:
        ledger.take(event)
    assert ledger.unsaid([replace(first[0], title="new words"), *first[1:]]) == []  # type: ignore[type-var]
    assert ledger.unsaid([metric("5")]) == [metric("5")]
    ledger.take(metric("5"))
    assert ledger.unsaid([metric("3")]) == [metric("3")], "a value that comes back is news"
    assert ledger.unsaid([replace(point("7"), anomaly="x")]) != []
    ledger.take(SourceStatus("rss", DOWN, UP, "", None))
    assert (ledger.state("rss"), ledger.state("m")) == (DOWN, None)


def test_the_ledger_is_bounded_and_what_is_still_shown_is_not_forgotten() -> None:
    ledger = Ledger()
    ledger.take(news(T0, item="sticky"))
    for number in range(3 * IDS_KEPT):
        assert ledger.unsaid([news(T0, item="sticky")]) == []
        ledger.take(news(T0, item=str(number)))
    assert ledger.unsaid([news(T0, item="0")]) != []
    assert ledger.unsaid([news(T0, item=str(3 * IDS_KEPT - 1))]) == []
    for number in range(11 * NAMES_KEPT):
        ledger.take(metric("1", name=f"n{number}"))
    assert ledger.history("m", "n0") == ()
    for number in range(2 * HISTORY_KEPT):
        ledger.take(metric(str(number), name="n"))
    ledger.take(metric("-1", name="hour_fee"))
    assert ledger.history("m", "n") == tuple(range(HISTORY_KEPT, 2 * HISTORY_KEPT))
    assert ledger.history("m", "hour_fee") == (), "what is impossible is no history"
