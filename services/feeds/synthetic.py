"""A small made-up tape for a machine without recordings: two swaps, 1m bars, hourly marks, funding every eight hours.

Whole numbers only, from a seeded 64-bit generator, so that every machine makes the same tape. The market wanders
through stretches of trend, range and turmoil, long enough for the rules to find something to do. It proves nothing
about them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from schemas.envelope import Event
from schemas.events.market import Channel, FeedOrigin, FundingSettled, MarkPrice, VenueBar
from schemas.values import Micros, Price, Quantity, Rate
from services.feeds.feed import PRODUCER, Feed
from services.feeds.instruments import shipped_instruments
from services.feeds.model import (
    RANK_BAR,
    RANK_MARK,
    RANK_SETTLED,
    Declared,
    FeedError,
    FileCount,
    Item,
    Parsed,
    Run,
    make_envelope,
    tick_id,
)
from services.feeds.numbers import MINUTE

NAME = "synthetic"
"""What it is called where files are named."""
T_START = 1_736_121_600_000_000
"""2025-01-06 00:00:00 UTC, a Monday."""
SEED = 20250106
DAYS = 10

_MASK = (1 << 64) - 1
_STEPS = 6
"""Price steps inside one minute."""


class Generator:
    """A stream of whole numbers from a seed. Source: Knuth, MMIX linear congruential generator, its high bits."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = (seed * 2862933555777941757 + 3037000493) & _MASK

    def below(self, bound: int) -> int:
        """Return a whole number in [0, bound)."""
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) & _MASK
        return (self._state >> 33) * bound >> 31

    def bell(self) -> int:
        """Return a roughly normal whole number, mean 0, standard deviation about 1000."""
        return sum(self.below(3465) for _ in range(4)) // 2 - 3464


@dataclass(slots=True)
class _Mood:
    """What the market does for a while: drift and volatility in millionths a minute, and the pull back to an anchor."""

    minutes_left: int
    drift: int
    volatility: int
    pull: int


@dataclass(slots=True)
class _Coin:
    """One instrument's price, in ticks times 1000, and how it moves beside the market."""

    instrument_id: str
    tick: Decimal
    lot: Decimal
    milliticks: int
    anchor: int
    beta: int
    volume: int


# drift, volatility, pull: up, range, down, turmoil, range, in an order that the seed shuffles.
_MOODS = ((45, 380, 0), (0, 330, 60), (-45, 400, 0), (0, 1100, 10), (60, 450, 0), (0, 420, 40), (-65, 520, 0))


class SyntheticTape:
    """The made-up source; it declares its origin as SYNTHETIC."""

    name = "synthetic"
    venue = "SYNTHETIC"
    origin = FeedOrigin.SYNTHETIC
    primary = True

    def __init__(self, seed: int = SEED, days: int = DAYS) -> None:
        self._seed = seed
        self._days = days
        self.counts = [FileCount(f"synthetic tape, seed {seed}", "synthetic", self.venue)]
        self.declared: Sequence[Declared] = tuple(
            Declared(name, channel, minutes * MINUTE)
            for name in ("BTC-USDT-SWAP", "ETH-USDT-SWAP")
            for channel, minutes in ((Channel.BARS, 1), (Channel.MARK, 60), (Channel.FUNDING, 480))
        )

    def first_open(self) -> int | None:
        """Return the open time of the first bar."""
        return T_START

    def items(self, run: Run, number: int) -> Iterator[Item]:
        """Yield the tape in feed order."""
        for position, parsed in enumerate(self._ticks(run), 1):
            self.counts[0].lines += 1
            self.counts[0].ticks += 1
            envelope = make_envelope(tick_id(self.venue, parsed), parsed.ts_event, parsed.ts_ingest, run.producer)
            yield (parsed.ts_event, parsed.rank, parsed.instrument_id, number, position, envelope, parsed.event)

    def _ticks(self, run: Run) -> Iterator[Parsed]:
        generator = Generator(self._seed)
        coins = (
            _Coin("BTC-USDT-SWAP", Decimal("0.1"), Decimal("0.0001"), 980_000_000, 980_000_000, 1000, 400_000),
            _Coin("ETH-USDT-SWAP", Decimal("0.01"), Decimal("0.001"), 361_000_000, 361_000_000, 1250, 900_000),
        )
        mood = _Mood(0, 0, 0, 0)
        for minute in range(1, self._days * 1440 + 1):
            if mood.minutes_left == 0:
                mood = _next_mood(generator, coins)
            mood.minutes_left -= 1
            closed = T_START + minute * MINUTE
            for coin, bar in zip(coins, _minute(generator, mood, coins, closed, run.backfill_until), strict=True):
                yield _parsed(closed, RANK_BAR + 60, coin, bar, f"1m|{closed - MINUTE}")
            if minute % 60 == 0:
                for coin in coins:
                    mark = MarkPrice(coin.instrument_id, Price(_price(coin, coin.milliticks + generator.bell() * 20)))
                    yield _parsed(closed, RANK_MARK, coin, mark, str(closed))
            if minute % 480 == 0:
                for coin in coins:
                    yield _parsed(closed, RANK_SETTLED, coin, _settled(generator, mood, coin, closed), str(closed))


def _next_mood(generator: Generator, coins: Sequence[_Coin]) -> _Mood:
    drift, volatility, pull = _MOODS[generator.below(len(_MOODS))]
    for coin in coins:
        coin.anchor = coin.milliticks
    return _Mood(300 + generator.below(600), drift, volatility, pull)


def _minute(
    generator: Generator, mood: _Mood, coins: Sequence[_Coin], closed: int, backfill_until: int
) -> Iterator[VenueBar]:
    """Yield the minute's bar of every coin: a common shock and one of its own, six steps each."""
    common = [generator.bell() for _ in range(_STEPS)]
    for coin in coins:
        path = [coin.milliticks]
        for shock in common:
            path.append(_step(mood, coin, path[-1], (shock * coin.beta // 1000 + generator.bell()) * 7 // 10))
        coin.milliticks = path[-1]
        busy = 1000 + abs(path[-1] - path[0]) * 4_000_000 // path[0]
        volume = coin.volume * busy // 1000 * (500 + generator.below(1000)) // 1000
        yield VenueBar(
            coin.instrument_id,
            "1m",
            Micros(closed - MINUTE),
            Price(_price(coin, path[0])),
            Price(_price(coin, max(path))),
            Price(_price(coin, min(path))),
            Price(_price(coin, path[-1])),
            Quantity(volume * coin.lot),
            closed <= backfill_until,
        )


def _step(mood: _Mood, coin: _Coin, price: int, shock: int) -> int:
    """Return the price after a sixth of a minute; a sixth of the variance is 0.408 of the deviation."""
    move = mood.drift * price // _STEPS + mood.volatility * price * shock // 1000 * 408 // 1000
    back = (coin.anchor - price) * mood.pull * 100 // _STEPS
    return price + (move + back) // 1_000_000


def _price(coin: _Coin, milliticks: int) -> Decimal:
    return (milliticks // 1000) * coin.tick


def _settled(generator: Generator, mood: _Mood, coin: _Coin, ts: int) -> FundingSettled:
    """Return the settlement: it leans the way the market drifts. In millionths: about -200 to 300."""
    millionths = 50 + mood.drift * 2 + generator.bell() // 25
    return FundingSettled(
        coin.instrument_id, Rate(Decimal(millionths).scaleb(-6)), Micros(ts), Micros(ts + 480 * MINUTE)
    )


def _parsed(ts: int, rank: int, coin: _Coin, event: Event, identity: str) -> Parsed:
    return Parsed(ts, ts, rank, coin.instrument_id, identity, event)


def names_synthetic(paths: Sequence[Path], **options: object) -> bool:
    """Return whether the made-up tape is asked for by its name. A file of that name is ``./synthetic``.

    ``options``: of files, by their name; raises FeedError for one that is given beside it, and for another feed.
    """
    if not any(str(path) == NAME for path in paths):
        return False
    given = [name for name, value in options.items() if value]
    if len(paths) > 1 or given:
        beside = f"--{given[0]}" if given else "other files"
        raise FeedError(f"{NAME}: the made-up tape goes alone, without {beside}; a file of that name is ./{NAME}")
    return True


def synthetic_feed(
    *, seed: int = SEED, days: int = DAYS, warmup: timedelta | None = None, producer: str = PRODUCER
) -> Feed:
    """Return the made-up tape as a feed; the same seed gives the same ticks on every machine."""
    return Feed([SyntheticTape(seed, days)], Run(dict(shipped_instruments()), producer), warmup=warmup)
