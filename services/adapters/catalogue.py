"""Every source there is, made from the settings: where it is, what it says, how often it is asked, when it is stale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from schemas.envelope import Event
from schemas.settings import SettingsError
from services.adapters import news, numbers, trends
from services.adapters.fetching import Body, Fetcher, FileFetcher, HttpFetcher
from services.adapters.settings import (
    CRYPTOPANIC,
    FEEDS,
    RSS,
    TRENDS,
    ContextSettings,
    listed,
    pairs,
)
from services.adapters.source import Parse, Patience, Source

JSON = ("/json", "+json", "/javascript", "/plain")
XML = ("/xml", "+xml")
EXPORT = ("/csv", *JSON, "/octet-stream")
"""The ends of media types that are taken; some of these APIs call their JSON plain text."""
MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400


@dataclass(frozen=True, slots=True)
class Kind:
    """What a source is, wherever it is. ``url``: its own place; empty: the settings name it."""

    parse: Parse
    interval_s: int
    stale_after_s: int
    types: tuple[str, ...]
    url: str = ""


def _timeless(parse: Callable[[str, Body], tuple[Event, ...]]) -> Parse:
    """Return a parser that needs no clock in the form of those that do."""
    return lambda source, body, _now: parse(source, body)


def _parse_trends(source: str, body: Body, now: int) -> tuple[Event, ...]:
    return trends.parse_trends(source, body, now=now)


KINDS: dict[str, Kind] = {
    RSS: Kind(_timeless(news.parse_feed), 2 * MINUTE_S, 12 * HOUR_S, XML),
    CRYPTOPANIC: Kind(
        _timeless(news.parse_cryptopanic),
        5 * MINUTE_S,
        12 * HOUR_S,
        JSON,
        "https://cryptopanic.com/api/developer/v2/posts/",
    ),
    "mempool.space": Kind(
        numbers.parse_fees,
        2 * MINUTE_S,
        15 * MINUTE_S,  # a block and a half: by then the mempool is another one
        JSON,
        "https://mempool.space/api/v1/fees/recommended",
    ),
    "blockchain.info": Kind(
        _timeless(numbers.parse_stats), 15 * MINUTE_S, DAY_S, JSON, "https://api.blockchain.info/stats"
    ),
    "blockchain-charts": Kind(
        _timeless(numbers.parse_chart),
        HOUR_S,
        4 * DAY_S,
        JSON,
        "https://api.blockchain.info/charts/n-unique-addresses?timespan=7days&format=json",
    ),
    "defillama": Kind(
        _timeless(numbers.parse_tvl), HOUR_S, 3 * DAY_S, JSON, "https://api.llama.fi/v2/historicalChainTvl"
    ),
    "fear-greed": Kind(
        _timeless(numbers.parse_fear_greed), HOUR_S, 2 * DAY_S, JSON, "https://api.alternative.me/fng/?limit=2"
    ),
    TRENDS: Kind(_parse_trends, HOUR_S, 8 * DAY_S, EXPORT),
}


def build_sources(settings: ContextSettings, *, patience: Patience | None = None) -> tuple[Source, ...]:
    """Return the sources that are on. Raises SettingsError for one that lacks what it needs."""
    intervals, waited = pairs(settings.context_intervals), patience or Patience()
    found: list[Source] = []
    for name in listed(settings.context_sources):
        kind = KINDS[name]
        for label, fetcher in _fetchers(name, settings, waited.attempt_s):
            interval = int(intervals.get(name, kind.interval_s))
            found.append(Source(label, fetcher, kind.parse, interval, kind.stale_after_s, waited))
    return tuple(found)


def _fetchers(name: str, settings: ContextSettings, limit_s: float) -> list[tuple[str, Fetcher]]:
    """Return a source's label and fetcher; the feeds of ``rss`` are sources of their own."""
    own = partial(HttpFetcher, types=KINDS[name].types, time_limit_s=limit_s)
    if name == RSS:
        feeds = listed(settings.context_feeds)
        if not feeds:
            raise SettingsError("TAPELINE_CONTEXT_FEEDS: empty, and the source rss is on; name a feed or take it out")
        return [(label, own(url, local=url not in listed(FEEDS))) for label, url in _labelled(feeds)]
    if name == TRENDS:
        place = settings.context_trends
        if not place:
            raise SettingsError(
                "TAPELINE_CONTEXT_TRENDS: empty, and the source google-trends is on; name an export, file or URL"
            )
        is_url = place.startswith(("https://", "http://"))
        return [(name, own(place, local=True) if is_url else FileFetcher(Path(place)))]
    place = pairs(settings.context_urls).get(name, "")
    query = _with_token(settings) if name == CRYPTOPANIC else None
    return [(name, own(place or KINDS[name].url, local=bool(place), query=query))]


def _with_token(settings: ContextSettings) -> dict[str, str]:
    if settings.cryptopanic_token is None:
        raise SettingsError(
            "TAPELINE_CRYPTOPANIC_TOKEN is not set, and the source cryptopanic is on; set it or take it out of "
            "TAPELINE_CONTEXT_SOURCES"
        )
    return {"auth_token": settings.cryptopanic_token.get_secret_value()}


def _labelled(urls: list[str]) -> list[tuple[str, str]]:
    """Return feeds with names by host; where a host has several, with their number among the feeds too."""
    hosts = [urlsplit(url).hostname or "" for url in urls]
    return [
        (f"rss:{host}#{place}" if hosts.count(host) > 1 else f"rss:{host}", url)
        for place, (host, url) in enumerate(zip(hosts, urls, strict=True), start=1)
    ]
