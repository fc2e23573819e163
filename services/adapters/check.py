"""Ask every source once, for an operator who wants to know what comes; nothing is written anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from schemas.envelope import Event
from schemas.events.context import NewsItem, OnchainMetric, SourceState, TrendPoint
from schemas.values import plain
from services.adapters.errors import SourceError
from services.adapters.judging import aside, judge
from services.adapters.service import local_now
from services.adapters.source import Poller, Source
from services.logs import redact_text

EXAMPLE_MAX = 70


@dataclass(frozen=True, slots=True)
class Finding:
    """What one source gave. ``example``: the newest usable thing in words; ``where``: what was asked, without keys."""

    source: str
    state: str
    items: int
    usable: int
    example: str
    detail: str
    where: str


async def ask_all(sources: Sequence[Source]) -> list[Finding]:
    """Ask all of them at once, each a single time, and return what came in their order."""
    return list(await asyncio.gather(*(_ask(source) for source in sources)))


async def _ask(source: Source) -> Finding:
    once = replace(source, patience=replace(source.patience, attempts=1))
    where = redact_text(source.fetcher.where)
    try:
        answer = await Poller(once, now=local_now, failed=lambda _: None).ask()
    except SourceError as error:
        return Finding(source.name, SourceState.DOWN.value, 0, 0, "", redact_text(str(error)), where)
    verdict = judge(answer, local_now(), stale_after_us=source.stale_after_us, known=lambda _source, _name: ())
    usable = [event for event in verdict.events if not aside(event)]
    example = in_words(usable[-1])[:EXAMPLE_MAX] if usable else ""
    return Finding(
        source.name, verdict.state.value, len(verdict.events), verdict.usable, example, verdict.detail, where
    )


def in_words(event: Event) -> str:
    """Return what an event says in a few words."""
    match event:
        case NewsItem():
            return event.title
        case OnchainMetric():
            return f"{event.name} {plain(event.value)} {event.unit}"
        case TrendPoint():
            return f"{event.keyword} {plain(event.value)} of 100"
        case _:
            return type(event).__name__
