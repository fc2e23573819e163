"""What sources answer and what it means: the recorded payloads to the digit, and what is refused, with the reason."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.envelope import Event
from schemas.events.context import NewsItem, OnchainMetric
from schemas.values import SECOND, Micros, Ratio
from services.adapters import news, numbers, trends
from services.adapters.errors import Failure, SourceError
from services.adapters.fetching import Body
from services.adapters.reading import TEXT_MAX, link, words
from tests.builders import T0

DAY = 86_400 * SECOND
D = Decimal
Parser = Callable[[str, Body], tuple[Event, ...]]


def fees_now(source: str, body: Body) -> tuple[Event, ...]:
    return numbers.parse_fees(source, body, T0)


def by_name(events: tuple[Event, ...]) -> dict[str, Decimal]:
    return {event.name: event.value for event in events if isinstance(event, OnchainMetric)}


def refused(parse: Callable[[], object]) -> str:
    with pytest.raises(SourceError) as caught:
        parse()
    assert caught.value.kind is Failure.GARBAGE
    assert not caught.value.again
    return str(caught.value)


# -- what was recorded ------------------------------------------------------------------------------------------------


def recorded(shared_data: Path, name: str) -> Body:
    return Body((shared_data / "external" / name).read_bytes())


def test_the_recorded_feed_of_coindesk_is_three_headlines_oldest_first(shared_data: Path) -> None:
    items = news.parse_feed("rss:coindesk", recorded(shared_data, "coindesk_rss_20260925.xml"))
    assert [item.item_id for item in items] == [
        "8c72534c-d321-4ff2-a9db-0d3ee8cc1a04", "4b1641e9-2454-46f5-841d-56cf7c985a35",
        "a0b4a6ba-5569-4fef-940c-e402f9698d89",
    ]  # fmt: skip
    assert items[2] == NewsItem(
        "rss:coindesk",
        "a0b4a6ba-5569-4fef-940c-e402f9698d89",
        "Circle and Tether step in to freeze hacker wallet after massive Bitget crypto heist",
        "https://www.coindesk.com/markets/2026/09/25/circle-and-tether-step-in-to-freeze-hacker-wallet-after-massive-"
        "bitget-crypto-heist",
        1_790_347_313 * SECOND,  # 2026-09-25T14:41:53Z
        timely=True,
    )


def test_the_recorded_posts_of_cryptopanic_are_twenty_and_the_token_in_them_goes_nowhere(shared_data: Path) -> None:
    body = recorded(shared_data, "cryptopanic_posts_news_20230414.json")
    assert b"auth_token=" in body.content, "the recording holds somebody's old token"
    items = news.parse_cryptopanic("cryptopanic", body)
    assert len(items) == 20
    first = next(item for item in items if item.item_id == "18112317")
    assert first.title == "In US Crypto Mining Regulation, Where do the States Stand?"
    assert first.url == "https://cryptopanic.com/news/18112317/In-US-Crypto-Mining-Regulation-Where-do-the-States-Stand"
    assert first.ts_published == 1_681_471_347 * SECOND  # 2023-04-14T11:22:27Z
    assert "auth_token" not in repr(items)


def test_the_recorded_fees_statistics_and_mood_are_numbers_with_unit_and_time(shared_data: Path) -> None:
    fees = numbers.parse_fees("mempool.space", recorded(shared_data, "mempool_space_fees_recommended.json"), T0)
    assert by_name(fees) == {"fastest_fee": 3, "half_hour_fee": 1, "hour_fee": 1}
    assert {(fee.unit, fee.ts_measured) for fee in fees} == {("sat/vB", None)}
    stats = numbers.parse_stats("blockchain.info", recorded(shared_data, "blockchain_info_stats_20160916.json"))
    assert by_name(stats) == {
        "hash_rate": D("1841098926.6292908"),
        "transactions": 233_805,
        "minutes_between_blocks": D("8.2577"),
        "miners_revenue_usd": D("1287626.65774909"),
        "estimated_transaction_volume_usd": D("123429768.68108143"),
    }
    assert {metric.ts_measured for metric in stats} == {1_474_035_340 * SECOND}  # 2016-09-16T14:15:40Z
    (mood,) = numbers.parse_fear_greed("fear-greed", recorded(shared_data, "alternative_me_fng_shape.json"))
    assert (mood.name, mood.value, mood.ts_measured) == ("fear_greed_index", 15, 1_517_529_600 * SECOND)


@pytest.mark.parametrize(
    ("dated", "age_s", "measured"),
    [
        (None, 0, None),
        (T0 - 60 * SECOND, 60, None),
        (T0 + 90 * SECOND, 0, None),
        (T0 - 61 * SECOND, 0, T0 - 61 * SECOND),
        (T0, 901, T0 - 901 * SECOND),
        (None, 900, T0 - 900 * SECOND),
        (T0 - 1_000 * SECOND, 900, T0 - 1_000 * SECOND),
    ],
)
def test_fees_are_as_of_now_or_of_when_their_answer_was_made(
    dated: int | None, age_s: int, measured: int | None
) -> None:
    content = b'{"fastestFee": 3, "halfHourFee": 2, "hourFee": 1}'
    fees = numbers.parse_fees("mempool.space", Body(content, ts_dated=dated, age_s=age_s), T0)
    assert {fee.ts_measured for fee in fees} == {measured}


def test_the_history_of_the_mood_index_is_inside_its_bounds_every_day(shared_data: Path) -> None:
    """2,522 days in the shape of the API, one answer each: none is impossible."""
    text = gzip.decompress((shared_data / "external" / "fear_greed_daily_2018-2024.csv.gz").read_bytes()).decode()
    lines = [line.split(",") for line in text.splitlines()[1:]]
    assert len(lines) == 2_522
    for ts, _, value, _ in lines:
        body = Body(json.dumps({"data": [{"value": value, "timestamp": ts}]}).encode())
        (mood,) = numbers.parse_fear_greed("fear-greed", body)
        assert numbers.measure_of(mood.name).refuses(mood.value) == ""
        assert mood.ts_measured == int(ts) * SECOND


def test_the_recorded_trends_give_the_last_day_of_each_keyword(shared_data: Path) -> None:
    body = recorded(shared_data, "google_trends_daily_BTC_2023.csv")
    new_year = 1_704_067_200 * SECOND  # 2024-01-01
    points = trends.parse_trends("google-trends", body, now=new_year)
    assert [(p.keyword, p.value, p.ts_from, p.ts_to, p.partial) for p in points] == [
        ("bitcoin", 49, new_year - DAY, new_year, False),
        ("btc", 41, new_year - DAY, new_year, False),
    ]
    under_way = trends.parse_trends("google-trends", body, now=new_year - 1)
    assert [(p.keyword, p.value, p.ts_to, p.partial) for p in under_way] == [
        ("bitcoin", 51, new_year - DAY, False),
        ("btc", 45, new_year - DAY, False),
        ("bitcoin", 49, new_year, True),
        ("btc", 41, new_year, True),
    ]


# -- shapes that were not recorded, from their documentation -----------------------------------------------------------

WEEK_1, WEEK_2, WEEK_3 = (1_672_531_200 + n * 604_800 for n in range(3))  # 2023-01-01 and the two Sundays after
EXPORTS = {
    "csv": "Category: All categories\n\nWeek,bitcoin: (Worldwide),btc: (Worldwide)\n2023-01-01,58,<1\n2023-01-08,61,2\n"
    "2023-01-15,40,1\n",
    "table": "date,bitcoin,btc,isPartial\n2023-01-01,58,0,False\n2023-01-08,61,2,False\n2023-01-15,40,1,True\n",
    "api": json.dumps(
        {
            "interest_over_time": {
                "timeline_data": [
                    {"timestamp": str(ts), "values": [{"query": "bitcoin", "value": str(a), "extracted_value": a},
                     {"query": "btc", "value": "<1", "extracted_value": b}], **partial}
                    for ts, a, b, partial in (
                        (WEEK_1, 58, 0, {}), (WEEK_2, 61, 2, {}), (WEEK_3, 40, 1, {"partial_data": True}))
                ]
            }
        }
    ),
    "widget": ")]}',\n" + json.dumps(
        {
            "default": {
                "timelineData": [
                    {"time": str(WEEK_1), "value": [58, 0]}, {"time": str(WEEK_2), "value": [61, 2]},
                    {"time": str(WEEK_3), "value": [40, 1], "isPartial": True},
                ]
            }
        }
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", EXPORTS)
def test_every_form_of_an_export_says_the_same(form: str) -> None:
    names = {"bitcoin": "keyword 1", "btc": "keyword 2"} if form == "widget" else {}
    now = WEEK_3 * SECOND + DAY
    points = trends.parse_trends("google-trends", Body(EXPORTS[form].encode()), now=now)
    assert [(p.keyword, p.value, p.ts_from, p.ts_to, p.partial) for p in points] == [
        (names.get(keyword, keyword), value, ts * SECOND, ts * SECOND + 7 * DAY, partial)
        for keyword, value, ts, partial in (
            ("bitcoin", 61, WEEK_2, False), ("btc", 2, WEEK_2, False),
            ("bitcoin", 40, WEEK_3, True), ("btc", 1, WEEK_3, True),
        )
    ]  # fmt: skip


def test_a_chart_and_a_history_of_value_locked_give_their_newest_point() -> None:
    points = [{"x": 1_700_000_000, "y": 5.5}, {"x": 1_700_086_400, "y": 612_345.0}, {"x": 1_699_900_000, "y": 7}]
    chart = {"status": "ok", "name": "Unique Addresses Used", "unit": "Addresses", "values": points}
    (found,) = numbers.parse_chart("c", Body(json.dumps(chart).encode()))
    ts = Micros(1_700_086_400 * SECOND)
    assert found == OnchainMetric("c", "Unique Addresses Used", Ratio(D(612_345)), "Addresses", ts)
    history = b'[{"date": 1506470400, "tvl": 0}, {"date": 1700006400, "tvl": 45123456789.123456789}]'
    (locked,) = numbers.parse_tvl("d", Body(history))
    assert (locked.value, locked.unit, locked.ts_measured) == (D("45123456789.12345679"), "USD", 1_700_006_400 * SECOND)


@pytest.mark.parametrize(
    ("parse", "content"),
    [
        (numbers.parse_tvl, b"[]"),
        (numbers.parse_fear_greed, b'{"data": []}'),
        (numbers.parse_chart, b'{"name": "n", "unit": "u", "values": []}'),
        (news.parse_cryptopanic, b'{"results": []}'),
        (news.parse_feed, b"<rss version='2.0'><channel><title>t</title></channel></rss>"),
        (lambda s, b: trends.parse_trends(s, b, now=0), b"Day,bitcoin\n"),
    ],
)
def test_an_answer_without_content_is_no_data_and_no_error(parse: Parser, content: bytes) -> None:
    assert parse("s", Body(content)) == ()


# -- what is refused ---------------------------------------------------------------------------------------------------

_LAUGHS = "".join(f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
BILLION = f"<!DOCTYPE rss [<!ENTITY a 'lol'>{_LAUGHS}]>"


def feed(inside: str, *, before: str = "") -> str:
    return f"{before}<rss version='2.0'><channel><item><title>{inside}</title></item></channel></rss>"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (feed("&i;", before=BILLION), "declares entities of its own"),
        (feed("&i;", before=BILLION).encode("utf-16"), "declares entities of its own"),
        (
            feed("&x;", before="<!DOCTYPE rss [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"),
            "declares entities of its own",
        ),
        (feed("&x;", before="<!DOCTYPE rss [<!entity x 'y'>]>"), "declares entities of its own"),
        (feed("<a>" * 60 + "</a>" * 60), "nested deeper than 50"),
        (feed("<a/>" * 20_001), "more than 20000 XML elements"),
        (feed("<a " + " ".join(f"b{n}='c'" for n in range(80_000)) + "/>"), "more than 100 attributes"),
        (feed("a < b"), "not well-formed XML"),
        ("<html><body>Just a moment...</body></html>", "neither RSS nor Atom"),
        ("", "not well-formed XML"),
        ("{}", "not well-formed XML"),
        (b"<?xml version='1.0' encoding='utf-8'?><rss>\xff</rss>", "not utf-8 text: byte 43"),
        ("<?xml version='1.0' encoding='rot13'?><rss/>", "encoding rot-13 is not read"),
        ("<?xml version='1.0' encoding='nonsense'?><rss/>", "unknown encoding 'nonsense'"),
    ],
)
def test_a_hostile_or_broken_feed_is_refused_before_it_is_read(content: str | bytes, says: str) -> None:
    body = Body(content if isinstance(content, bytes) else content.encode())
    assert says in refused(lambda: news.parse_feed("s", body))


def test_an_external_document_type_loads_nothing_and_names_of_html_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def shut(*_: object) -> None:
        raise AssertionError("a feed is read without asking anybody")

    monkeypatch.setattr(socket, "socket", shut)
    monkeypatch.setattr(socket, "getaddrinfo", shut)
    dtd = "<!DOCTYPE rss SYSTEM 'http://127.0.0.1:1/evil.dtd'>"
    (item,) = news.parse_feed("s", Body(feed("Fees&nbsp;fall&#33; &amp; rise", before=dtd).encode()))
    assert item.title == "Fees fall! & rise"
    latin = "<?xml version='1.0' encoding='ISO-8859-1'?>" + feed("Münze")
    assert news.parse_feed("s", Body(latin.encode("latin-1")))[0].title == "Münze"
    assert news.parse_feed("s", Body(feed("Münze").encode("cp1252"), charset="windows-1252"))[0].title == "Münze"


@pytest.mark.parametrize(
    ("parse", "content", "says"),
    [
        (fees_now, "", "not JSON"),
        (fees_now, "<html>", "not JSON"),
        (fees_now, "[" * 200_000, "not JSON: nested too deep"),
        (fees_now, "[]", "fastestFee is missing"),
        (fees_now, "{}", "fastestFee is missing"),
        (fees_now, '{"fastestFee": null}', "fastest_fee is no number"),
        (fees_now, '{"fastestFee": true}', "fastest_fee is no number"),
        (fees_now, '{"fastestFee": NaN}', "NaN is no number"),
        (fees_now, '{"fastestFee": 1e400}', "fastest_fee is too large a number"),
        (fees_now, '{"fastestFee": 1e999999999}', "fastest_fee is too large a number"),
        (fees_now, '{"fastestFee": "ten"}', "fastest_fee is no number"),
        (fees_now, '{"fastestFee": ' + "9" * 5_000 + "}", "not JSON"),
        (numbers.parse_stats, '{"timestamp": "soon"}', "timestamp is no number"),
        (numbers.parse_stats, '{"timestamp": -5}', "timestamp is no moment"),
        (numbers.parse_chart, '{"name": "n", "unit": "u", "values": {}}', "values is no list"),
        (numbers.parse_chart, '{"name": 5, "unit": "u", "values": []}', "name is no text"),
        (numbers.parse_tvl, json.dumps([0] * 20_001), "more than 20000 rows"),
        (numbers.parse_fear_greed, '{"data": [{"value": "15"}]}', "timestamp is missing"),
        (news.parse_cryptopanic, '{"info": "token invalid"}', "results is missing"),
        (news.parse_cryptopanic, '{"results": [1]}', "results holds what is no object"),
        (lambda s, b: trends.parse_trends(s, b, now=0), "a,b\n1,2\n", "no heading"),
        (lambda s, b: trends.parse_trends(s, b, now=0), "Day,x\n2023-01-01\n", "has 1 cells, the heading 2"),
        (lambda s, b: trends.parse_trends(s, b, now=0), "Day,x\n2023-01-01,many\n", "x of 2023-01-01 is no number"),
        (lambda s, b: trends.parse_trends(s, b, now=0), "Day,x\nsoon,1\n", "'soon' is no day, month or hour"),
        (lambda s, b: trends.parse_trends(s, b, now=0), "Day,x\n" + "2023-01-01,1\n" * 2, "two rows of one time"),
        (lambda s, b: trends.parse_trends(s, b, now=0), "Day,a,b,c,d,e,f\n2023-01-01" + ",1" * 6, "more than 5"),
        (lambda s, b: trends.parse_trends(s, b, now=0), '{"default": {}}', "default.timelineData is missing"),
    ],
)  # fmt: skip
def test_an_answer_that_does_not_fit_is_named_with_what_is_wrong(parse: Parser, content: str, says: str) -> None:
    assert says in refused(lambda: parse("s", Body(content.encode())))
    assert "not UTF-8 text: byte 0" in refused(lambda: parse("s", Body(b"\xff" + content.encode())))


def test_words_are_one_clean_line_and_links_only_links() -> None:
    assert words("<b>Bitcoin</b>\n\n up\u202e \x00now\u200b ") == "Bitcoin up now"
    assert words("x" * 5_000) == "x" * TEXT_MAX
    assert (words(None), words(5)) == ("", "")
    assert link("https://a.example/b?c=d") == "https://a.example/b?c=d"
    for bad in (
        "javascript:alert(1)",
        "data:text/html,x",
        "https://a b",
        "https://" + "x" * 3_000,
        None,
        "https://a\n",
    ):
        assert link(bad) == ""


def test_items_are_cut_to_the_newest_and_repeats_in_one_answer_are_one() -> None:
    def row(number: int) -> dict[str, Any]:
        return {
            "id": number,
            "title": f"t{number}",
            "published_at": f"2025-03-01T00:{number // 60:02}:{number % 60:02}Z",
        }

    content = json.dumps({"results": [row(n) for n in range(150)] + [row(149), {"id": 7_000, "title": ""}]})
    items = news.parse_cryptopanic("s", Body(content.encode()))
    assert [item.item_id for item in items] == [str(n) for n in range(50, 150)]


def test_dates_nobody_can_read_and_ids_nobody_can_keep() -> None:
    long_id = "https://a.example/" + "x" * 1_900
    text = (
        "<feed xmlns='http://www.w3.org/2005/Atom'><title>f</title>"
        f"<entry><id>{long_id}</id><title>one</title><published>yesterday</published></entry>"
        "<entry><title>two</title><link href='https://a.example/2'/><updated>2025-03-01T00:00:00Z</updated></entry>"
        "<entry><title>three</title><published>9999-12-31T23:59:59Z</published></entry>"
        "<entry><id>4</id></entry></feed>"
    )
    found = {item.title: item for item in news.parse_feed("s", Body(text.encode()))}
    assert sorted(found) == ["one", "three", "two"]
    assert len(found["one"].item_id) == 32
    assert found["two"].item_id == "https://a.example/2"
    assert found["three"].item_id == "three"
    assert found["one"].ts_published is None
    assert not found["one"].timely
