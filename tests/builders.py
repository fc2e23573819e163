"""Messages for tests, with ids and times that read well in a failure."""

from __future__ import annotations

from decimal import Decimal
from itertools import count

from schemas.envelope import NOT_SEQUENCED, Envelope, Event, Message
from schemas.events.common import MarginMode
from schemas.events.control import SettingsChanged
from schemas.events.market import InstrumentDefined, InstrumentKind, InstrumentState, MarginTier
from schemas.ids import derive_id
from schemas.settings import TradingSettings
from schemas.values import SECOND, Micros, Price, Quantity, Rate, Ratio

T0 = Micros(1_742_400_000_000_000)
"""2025-03-19 16:00:00 UTC."""
MINUTE = 60 * SECOND

_serial = count()


def at(seconds: float) -> Micros:
    """Return the moment ``seconds`` after T0."""
    return Micros(T0 + int(seconds * SECOND))


def message(event: Event, *, ts: int = T0, event_id: str | None = None, stage: str = "test") -> Message:
    """Wrap an event as a stage sees it."""
    identity = event_id or derive_id("test", next(_serial))
    envelope = Envelope(
        identity,
        identity,
        "",
        stage,
        NOT_SEQUENCED,
        0,
        NOT_SEQUENCED,
        Micros(ts),
        Micros(ts),
        "test",
        "",
    )
    return Message(envelope, event, Micros(ts))


def settings_changed(**values: object) -> SettingsChanged:
    """Return the settings event with these values over the defaults."""
    settings = TradingSettings.from_values({name: str(value) for name, value in values.items()})
    return SettingsChanged("paper", settings.to_values(), settings.digest(), "test")


def btc_swap() -> InstrumentDefined:
    """BTC-USDT-SWAP as the golden cases take it, with the illustrative isolated and cross tiers."""
    rows = [("0.004", "100", 1000, 2000), ("0.005", "66.66", 5000, 5000), ("0.0075", "50", 20000, 20000)]
    tiers = tuple(
        MarginTier(
            mode,
            index + 1,
            Quantity(Decimal(isolated if mode is MarginMode.ISOLATED else cross)),
            Rate(Decimal(mmr)),
            Ratio(Decimal(lever)),
        )
        for mode in (MarginMode.ISOLATED, MarginMode.CROSS)
        for index, (mmr, lever, isolated, cross) in enumerate(rows)
    )
    return _instrument("BTC-USDT-SWAP", InstrumentKind.SWAP, "0.01", "0.01", "0.01", "0.1", "12000", tiers)


def btc_spot() -> InstrumentDefined:
    """BTC-USDT spot."""
    return _instrument("BTC-USDT", InstrumentKind.SPOT, "1", "0.00000001", "0.00001", "0.1", "1000", ())


def eth_swap() -> InstrumentDefined:
    """ETH-USDT-SWAP with one tier a mode."""
    tiers = tuple(
        MarginTier(mode, 1, Quantity(Decimal(20000)), Rate(Decimal("0.004")), Ratio(Decimal(100)))
        for mode in (MarginMode.ISOLATED, MarginMode.CROSS)
    )
    return _instrument("ETH-USDT-SWAP", InstrumentKind.SWAP, "0.1", "0.01", "0.01", "0.01", "20000", tiers)


def _instrument(
    instrument_id: str,
    kind: InstrumentKind,
    contract_value: str,
    lot: str,
    minimum: str,
    tick: str,
    maximum: str,
    tiers: tuple[MarginTier, ...],
) -> InstrumentDefined:
    return InstrumentDefined(
        instrument_id=instrument_id,
        kind=kind,
        base_currency=instrument_id.split("-")[0],
        quote_currency="USDT",
        contract_value=Quantity(Decimal(contract_value)),
        contract_multiplier=Quantity(Decimal(1)),
        tick_size=Price(Decimal(tick)),
        lot_size=Quantity(Decimal(lot)),
        min_quantity=Quantity(Decimal(minimum)),
        market_quantity_max=Quantity(Decimal(maximum)),
        limit_quantity_max=Quantity(Decimal(maximum)),
        state=InstrumentState.LIVE,
        tiers=tiers,
        source="test",
    )
