"""Which channels are subscribed for which instrument, on which connection, and what each becomes. Pure.

Source: OKX v5, public WebSocket: candles and ``trades-all`` live on the business URL, the rest on the public one; at
most 30 book channels a connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from schemas.events.market import Channel, InstrumentDefined, InstrumentKind
from schemas.settings import SettingsError
from schemas.values import SECOND

BAR_TIMEFRAME = "1m"
"""The bars that are subscribed and backfilled; longer ones are built from them by the bars stage."""
BOOK_CHANNELS_MAX = 30
FULL_BOOK = "books"
INSTRUMENTS = "instruments"


class LinkName(StrEnum):
    """The two connections; the value is the last part of their URL."""

    PUBLIC = "public"
    BUSINESS = "business"


@dataclass(frozen=True, slots=True)
class _Kind:
    """One name of the setting. ``spot``: whether spot pairs have it; ``cadence_us``: longest sound silence."""

    wire: str
    link: LinkName
    channel: Channel
    spot: bool = True
    cadence_us: int | None = None


KINDS: dict[str, _Kind] = {
    "trades": _Kind("trades", LinkName.PUBLIC, Channel.TRADES),
    "trades_all": _Kind("trades-all", LinkName.BUSINESS, Channel.TRADES),
    "quotes": _Kind("bbo-tbt", LinkName.PUBLIC, Channel.QUOTES),
    "book5": _Kind("books5", LinkName.PUBLIC, Channel.BOOK),
    "book": _Kind(FULL_BOOK, LinkName.PUBLIC, Channel.BOOK),
    "mark": _Kind("mark-price", LinkName.PUBLIC, Channel.MARK, spot=False, cadence_us=10 * SECOND),
    "index": _Kind("index-tickers", LinkName.PUBLIC, Channel.INDEX, spot=False, cadence_us=60 * SECOND),
    "funding": _Kind("funding-rate", LinkName.PUBLIC, Channel.FUNDING, spot=False, cadence_us=90 * SECOND),
    "bars": _Kind("candle1m", LinkName.BUSINESS, Channel.BARS, cadence_us=60 * SECOND),
}
"""Names of OKX_CHANNELS. Source of the cadences: OKX v5, public channels."""
_ALTERNATIVES = (("trades", "trades_all"), ("book5", "book"))


@dataclass(frozen=True, slots=True)
class Subscription:
    """One argument of a subscribe request. ``key``: channel and instrument (or product type) as the venue names them.

    ``instruments``: those of ours it tells about; ``channel``: None for the instruments themselves.
    """

    link: LinkName
    key: tuple[str, str]
    instruments: tuple[str, ...]
    channel: Channel | None
    cadence_us: int | None = None

    @property
    def needs_snapshot(self) -> bool:
        """Say whether an acknowledgement does not yet make a lost channel whole."""
        return self.key[0] == FULL_BOOK

    def argument(self) -> dict[str, str]:
        """Return the argument as the venue wants it."""
        name = "instType" if self.key[0] == INSTRUMENTS else "instId"
        return {"channel": self.key[0], name: self.key[1]}


def parse_channels(text: str) -> tuple[str, ...]:
    """Return the names of a comma-separated setting. Raises SettingsError naming what is wrong with it."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise SettingsError(f"unknown channel {', '.join(unknown)}; known: {', '.join(KINDS)}")
    for one, other in _ALTERNATIVES:
        if one in names and other in names:
            raise SettingsError(f"{one} and {other} say the same twice: name one of them")
    if "bars" not in names:
        raise SettingsError("bars must be among the channels: warm-up and backfill rest on them")
    return names


def plan_subscriptions(instruments: Iterable[InstrumentDefined], names: Sequence[str]) -> tuple[Subscription, ...]:
    """Return what to subscribe, the instruments' own channel first. Raises SettingsError past the venue's limit."""
    wanted = list(instruments)
    found = [
        Subscription(LinkName.PUBLIC, (INSTRUMENTS, kind.value), _names(wanted, kind), None)
        for kind in InstrumentKind
        if _names(wanted, kind)
    ]
    for name in names:
        kind = KINDS[name]
        for target, names_of in _targets(kind, wanted).items():
            found.append(Subscription(kind.link, (kind.wire, target), names_of, kind.channel, kind.cadence_us))
    books = sum(each.channel in (Channel.QUOTES, Channel.BOOK) for each in found)
    if books > BOOK_CHANNELS_MAX:
        raise SettingsError(
            f"{books} book channels for {len(wanted)} instruments: OKX allows {BOOK_CHANNELS_MAX} a connection; "
            "name fewer in OKX_CHANNELS or TAPELINE_INSTRUMENTS_ALLOWED"
        )
    return tuple(found)


def index_of(instrument: InstrumentDefined) -> str:
    """Return the index a swap rests on. Source: OKX v5: a swap's ``uly``, base and quote currency."""
    return f"{instrument.base_currency}-{instrument.quote_currency}"


def _names(instruments: Sequence[InstrumentDefined], kind: InstrumentKind) -> tuple[str, ...]:
    return tuple(each.instrument_id for each in instruments if each.kind is kind)


def _targets(kind: _Kind, instruments: Sequence[InstrumentDefined]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for each in instruments:
        if kind.spot or each.kind is InstrumentKind.SWAP:
            target = index_of(each) if kind.channel is Channel.INDEX else each.instrument_id
            found[target] = (*found.get(target, ()), each.instrument_id)
    return found
