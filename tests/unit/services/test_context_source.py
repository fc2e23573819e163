"""Asking one source: again where that helps, not at all for a while where it does not, and every failure counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable

import pytest

from schemas.envelope import Event
from schemas.events.context import NewsItem
from schemas.settings import SettingsError
from services.adapters.catalogue import KINDS, build_sources
from services.adapters.errors import Failure, SourceError
from services.adapters.fetching import Body
from services.adapters.settings import NAMES, WITHOUT_KEY
from services.adapters.source import Patience, Poller, Source
from services.settings import load_settings
from tests.builders import T0
from tests.waiting import eventually

AGAIN = SourceError(Failure.TIMEOUT, "timed out", again=True)
FINAL = SourceError(Failure.GARBAGE, "not JSON")
ITEM = NewsItem("s", "1", "words", "", T0, True)
QUICK = Patience(attempts=3, pause_s=0.001, pause_s_max=0.002, breaker_failures=5, breaker_s=3_600)


class Scripted:
    """A fetcher that does what it is told, then goes on with the last."""

    where = "a script"

    def __init__(self, steps: Iterable[SourceError | bytes]) -> None:
        self.steps = list(steps)
        self.asked = 0

    async def fetch(self) -> Body:
        self.asked += 1
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, SourceError):
            raise step
        return Body(step)


def _parse(source: str, body: Body, now: int) -> tuple[Event, ...]:
    if body.content == b"bug":
        raise ZeroDivisionError(now)
    return (ITEM,)


class Desk:
    """A poller over a script, and what it counted."""

    def __init__(self, *steps: SourceError | bytes, patience: Patience = QUICK) -> None:
        self.fetcher = Scripted(steps)
        self.failed: Counter[str] = Counter()
        source = Source("s", self.fetcher, _parse, 60, 60, patience)
        self.poller = Poller(source, now=lambda: T0, failed=lambda kind: self.failed.update([kind.value]))

    def ask(self) -> str:
        """Return how it ended in a word."""
        try:
            return "ok" if asyncio.run(self.poller.ask()) == (ITEM,) else "other"
        except SourceError as error:
            return f"{error.kind}: {error}"


def test_what_may_help_is_tried_again_and_what_cannot_is_not() -> None:
    desk = Desk(AGAIN, AGAIN, b"ok")
    assert (desk.ask(), desk.fetcher.asked, desk.failed) == ("ok", 3, {"TIMEOUT": 2})
    desk = Desk(AGAIN)
    assert (desk.ask(), desk.fetcher.asked, desk.failed) == ("TIMEOUT: timed out", 3, {"TIMEOUT": 3})
    desk = Desk(FINAL, b"ok")
    assert (desk.ask(), desk.fetcher.asked, desk.failed) == ("GARBAGE: not JSON", 1, {"GARBAGE": 1})


def test_a_parser_that_breaks_is_the_sources_trouble() -> None:
    desk = Desk(b"bug")
    assert (desk.ask(), desk.failed) == ("GARBAGE: cannot be read: ZeroDivisionError", {"GARBAGE": 1})


def test_the_breaker_opens_after_failures_in_a_row_and_then_nobody_asks() -> None:
    desk = Desk(AGAIN)
    assert [desk.ask() for _ in range(2)] == ["TIMEOUT: timed out"] * 2
    assert (desk.fetcher.asked, desk.poller.is_open) == (5, True)
    assert desk.ask() == "BREAKER_OPEN: not asked for up to 3600 s after its failures"
    assert (desk.fetcher.asked, desk.failed) == (5, {"TIMEOUT": 5, "BREAKER_OPEN": 1})


def test_a_success_in_between_keeps_the_breaker_shut() -> None:
    desk = Desk(*[FINAL, FINAL, FINAL, b"ok"] * 4)
    answers = [desk.ask() for _ in range(16)]
    assert answers == (["GARBAGE: not JSON"] * 3 + ["ok"]) * 4
    assert not desk.poller.is_open


def test_after_its_time_one_attempt_finds_out() -> None:
    steps = [FINAL] * 3 + [b"ok"]
    desk = Desk(*steps, patience=Patience(attempts=1, breaker_failures=2, breaker_s=0.05))
    assert [desk.ask(), desk.ask()] == ["GARBAGE: not JSON"] * 2
    assert desk.poller.is_open
    eventually(lambda: desk.ask().startswith("GARBAGE"), "a trial that fails")
    assert desk.poller.is_open
    eventually(lambda: desk.ask() == "ok", "a trial that succeeds")
    assert (desk.poller.is_open, desk.fetcher.asked) == (False, 4)


# -- from the settings -----------------------------------------------------------------------------------------------


def sources(**environ: str) -> dict[str, tuple[float, str]]:
    settings = load_settings(environ={f"TAPELINE_{name}": value for name, value in environ.items()}, env_file=None)
    return {source.name: (source.interval_s, source.fetcher.where) for source in build_sources(settings.service)}


def test_every_source_there_is_has_an_age_past_which_it_is_stale() -> None:
    assert {name for name, kind in KINDS.items() if not 0 < kind.stale_after_s <= 8 * 86_400} == set()
    assert {name for name, kind in KINDS.items() if kind.stale_after_s < 3 * kind.interval_s} == set(), (
        "and time for it"
    )
    assert KINDS["mempool.space"].stale_after_s == 900
    assert set(KINDS) == set(NAMES)


def test_what_needs_no_key_is_on_and_every_source_can_be() -> None:
    on = sources()
    assert {name.partition(":")[0] for name in on} == set(WITHOUT_KEY)
    assert set(on) >= {"rss:www.coindesk.com", "rss:cointelegraph.com"}
    assert all(where.startswith("https://") for _, where in on.values())
    every = sources(
        CONTEXT_SOURCES=",".join(NAMES), CRYPTOPANIC_TOKEN="s3cret-token", CONTEXT_TRENDS="trends.csv",
        CONTEXT_FEEDS="https://a.example/1,https://a.example/2?key=k,https://b.example/",
        CONTEXT_URLS="mempool.space=http://127.0.0.1:9/fees", CONTEXT_INTERVALS="mempool.space=10,rss=600",
    )  # fmt: skip
    assert every["mempool.space"] == (10, "http://127.0.0.1:9/fees")
    assert {name: every[name] for name in every if name.startswith("rss")} == {
        "rss:a.example#1": (600, "https://a.example/1"),
        "rss:a.example#2": (600, "https://a.example/2"),
        "rss:b.example": (600, "https://b.example/"),
    }
    assert every["google-trends"][1] == "trends.csv"
    assert "s3cret" not in str(every)
    assert sources(CONTEXT_SOURCES="") == {}


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("CONTEXT_SOURCES", "rss,twitter", "unknown source 'twitter'; there are rss, mempool.space"),
        ("CONTEXT_SOURCES", "cryptopanic", "TAPELINE_CRYPTOPANIC_TOKEN is not set"),
        ("CONTEXT_SOURCES", "google-trends", "TAPELINE_CONTEXT_TRENDS: empty"),
        ("CONTEXT_FEEDS", "", "TAPELINE_CONTEXT_FEEDS: empty"),
        ("CONTEXT_FEEDS", "file:///etc/passwd", "must start with https:// or http://"),
        ("CONTEXT_FEEDS", "https://", "name a host"),
        ("CONTEXT_FEEDS", ",".join(f"https://a{n}.example" for n in range(21)), "more than 20 feeds"),
        ("CONTEXT_URLS", "mempool.space", "must be NAME=VALUE"),
        ("CONTEXT_URLS", "rss=https://a.example", "rss has a setting of its own: TAPELINE_CONTEXT_FEEDS"),
        ("CONTEXT_URLS", "defillama=ftp://a?key=k3y", "'ftp://a' must start with https:// or http://"),
        ("CONTEXT_INTERVALS", "rss=9", "rss=9: must be whole seconds, 10 to 86400"),
        ("CONTEXT_INTERVALS", "rss=soon", "must be whole seconds"),
        ("CONTEXT_SOURCE", "rss", "did you mean TAPELINE_CONTEXT_SOURCES?"),
        ("CRYPTOPANIC_TOKENS", "x", "did you mean TAPELINE_CRYPTOPANIC_TOKEN?"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(name: str, value: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        sources(**{name: value})
    assert says in str(caught.value)
    assert f"TAPELINE_{name[:8]}" in str(caught.value) or "TAPELINE" in says
    assert "k3y" not in str(caught.value)
