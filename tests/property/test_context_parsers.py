"""Whatever a source answers, its parser gives events that fit the log or says what is wrong, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import decode, encode
from schemas.envelope import Event
from services.adapters.catalogue import KINDS
from services.adapters.errors import SourceError
from services.adapters.fetching import Body
from services.adapters.judging import judge
from tests.builders import T0, message

KEYS = (
    "fastestFee", "halfHourFee", "hourFee", "timestamp", "hash_rate", "n_tx", "minutes_between_blocks", "values", "x",
    "miners_revenue_usd", "estimated_transaction_volume_usd", "name", "unit", "y", "date", "tvl", "data", "value",
    "results", "id", "slug", "title", "published_at", "url", "default", "timelineData", "time", "isPartial", "query",
    "interest_over_time", "timeline_data", "extracted_value", "partial_data",
)  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.sampled_from(["15", "1e999", "-0", "2025-03-01T00:00:00Z", "1700000000", 1_700_000_000, 1_700_000_000_000, ""]),
)  # fmt: skip
SHAPES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=8),
    max_leaves=30,
)
CELLS = st.sampled_from(["Day", "2023-01-01", "2023-01-02", "2023-01", "2023-01-01T05", "58", "<1", "", "isPartial"])
TABLES = st.lists(st.lists(CELLS, max_size=4).map(",".join), max_size=6).map("\n".join)
PIECES = (
    "<rss version='2.0'>", "</rss>", "<channel>", "</channel>", "<item>", "</item>", "<title>", "</title>", "&nbsp;",
    "<pubDate>", "</pubDate>", "Fri, 25 Sep 2026 14:41:53 +0000", "<guid>", "</guid>", "<![CDATA[", "]]>", "words",
    "<feed xmlns='http://www.w3.org/2005/Atom'>", "</feed>", "<entry/>", "<!DOCTYPE a>", "<?xml version='1.0'?>",
)  # fmt: skip
MARKUP = st.lists(st.sampled_from(PIECES), max_size=16).map("".join)
ANSWERS = st.one_of(
    st.binary(max_size=200),
    SHAPES.map(json.dumps).map(str.encode),
    TABLES.map(str.encode),
    MARKUP.map(str.encode),
    MARKUP.map(lambda inside: f"<rss version='2.0'><channel>{inside}</channel></rss>".encode()),
)


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=60, deadline=None)
@given(content=ANSWERS)
def test_an_answer_becomes_events_that_fit_the_log_or_a_reason(name: str, content: bytes) -> None:
    parse: Callable[[str, Body, int], tuple[Event, ...]] = KINDS[name].parse
    found: tuple[Event, ...] = ()
    with suppress(SourceError):
        found = parse(name, Body(content), int(T0))
    for event in judge(found, T0, stale_after_us=1, known=lambda *_: ()).events:
        envelope = message(event).envelope
        assert decode(encode(envelope, event)) == (envelope, event)
