"""An import that is in doubt, or was killed, must not write ticks a second time: resuming counts what is on the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

import pytest

from schemas.envelope import Envelope, Event
from schemas.events.market import MarkPrice
from schemas.ids import derive_id
from schemas.settings import SettingsError, TradingSettings
from schemas.values import Price
from services.importer import held, import_feed
from streams.log.base import LogError, NewRecord
from streams.log.memory import MemoryLog
from tests.builders import at, message


class LosesAnAck(MemoryLog):
    """A log whose second append of ticks lands, but is never acknowledged."""

    appends = 0

    def append(self, records: Sequence[NewRecord]) -> list[int]:
        offsets = super().append(records)
        if records[0].topic == "ticks":
            self.appends += 1
            if self.appends == 2:
                raise LogError("an append is in doubt")
        return offsets


def feed(count: int, first: int = 0) -> list[tuple[Envelope, Event]]:
    found: list[tuple[Envelope, Event]] = []
    for number in range(first, first + count):
        event = MarkPrice("T", Price(Decimal(number + 1)))
        found.append((message(event, ts=at(number), event_id=derive_id("tick", number)).envelope, event))
    return found


def ticks_of(log: MemoryLog) -> list[bytes]:
    return [record.value for record in log.read("ticks", 0, 0, limit=999)]


def whole(*feeds: list[tuple[Envelope, Event]]) -> list[bytes]:
    log = MemoryLog()
    for each in feeds:
        import_feed(log, each, TradingSettings())
    return ticks_of(log)


def test_an_import_in_doubt_is_taken_up_without_a_tick_lost_or_repeated() -> None:
    log = LosesAnAck()
    with pytest.raises(LogError):
        import_feed(log, feed(30), TradingSettings(), chunk_size=10)
    import_feed(log, feed(30), TradingSettings(), chunk_size=10)
    assert ticks_of(log) == whole(feed(30))


def test_a_second_feed_whose_import_was_killed_is_taken_up_too() -> None:
    log = MemoryLog()
    import_feed(log, feed(10), TradingSettings())

    def breaks_off() -> Iterator[tuple[Envelope, Event]]:
        yield from feed(6, first=10)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        import_feed(log, breaks_off(), TradingSettings(), chunk_size=5)
    import_feed(log, feed(12, first=10), TradingSettings(), chunk_size=5)
    assert ticks_of(log) == whole(feed(10), feed(12, first=10))


def test_every_feed_is_brought_in_once_however_often_it_is_imported() -> None:
    log = MemoryLog()
    assert import_feed(log, feed(10), TradingSettings()) == 10
    assert import_feed(log, feed(5, first=10), TradingSettings()) == 5
    assert import_feed(log, feed(10), TradingSettings()) == 0
    assert import_feed(log, feed(5, first=10), TradingSettings()) == 0
    assert ticks_of(log) == whole(feed(10), feed(5, first=10))


@pytest.mark.parametrize(
    "other",
    [feed(4) + feed(5, first=20), [*feed(9), *feed(3, first=50)]],
    ids=["differs in what the log holds", "differs in the log's last tick only"],
)
def test_a_feed_that_goes_on_otherwise_than_the_log_is_refused(other: list[tuple[Envelope, Event]]) -> None:
    log = MemoryLog()
    import_feed(log, feed(10), TradingSettings())
    with pytest.raises(LogError, match=r"is not tick \d of this feed, which begins at offset 0"):
        import_feed(log, other, TradingSettings())
    assert ticks_of(log) == whole(feed(10))


def test_a_feed_broken_off_and_buried_under_another_is_refused() -> None:
    log = MemoryLog()
    import_feed(log, feed(6), TradingSettings())
    import_feed(log, feed(5, first=20), TradingSettings())
    with pytest.raises(LogError, match="offset 6 is not tick 6"):
        import_feed(log, feed(10), TradingSettings())


def test_how_much_of_a_feed_the_log_holds() -> None:
    log = MemoryLog()
    import_feed(log, feed(10), TradingSettings())
    import_feed(log, feed(5, first=10), TradingSettings())
    assert [held(log, 0, feed(1, first=n)[0]) for n in (0, 10, 99)] == [15, 5, 0]


def test_a_feed_from_files_is_not_traded_on_a_real_venue() -> None:
    log = MemoryLog()
    with pytest.raises(SettingsError, match="traded on PAPER only"):
        import_feed(log, feed(3), TradingSettings(venue="OKX"))
    log.create_topics({"settings": 1})
    assert log.end_offset("settings", 0) == 0
