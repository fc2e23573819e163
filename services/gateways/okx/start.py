"""Whether the gateway may start: mode, switch, keys, account, clock, confirmation. Every gate that is shut is named.

Paper needs nothing. Demo and live need the key, an account in the modes the rest of the system counts with, and a host
clock that is right. Live needs its switch, a key that cannot withdraw and is bound to an address, no placeholder among
the secrets, and the operator's confirmation of this account with these limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import SecretStr

from schemas.events.market import InstrumentKind
from schemas.settings import TradingSettings, Venue
from schemas.values import plain
from services.gateways.okx.clock import REFUSE_US, WARN_US
from services.gateways.okx.facts import AccountConfig, FeeRates, PositionMode
from services.gateways.okx.hosts import Hosts, hosts, unlisted_swaps
from services.gateways.okx.venue import VenueUnavailable
from services.settings import ServiceSettings, Settings

if TYPE_CHECKING:
    from services.gateways.okx.client import OkxClient

FUTURES_MODE = 2
"""OKX's ``acctLv`` of the account mode our margin is computed for. Source: domain definitions, section 5."""
POSITION_MODES = {"net": PositionMode.NET, "long_short": PositionMode.LONG_SHORT}
KEYS = (
    ("OKX_API_KEY", "okx_api_key"),
    ("OKX_API_SECRET", "okx_api_secret"),
    ("OKX_API_PASSPHRASE", "okx_api_passphrase"),
)
PLACEHOLDERS = ("change_me", "changeme", "change-me")
LIMITS_SHOWN = (
    "risk_budget_pct", "trade_loss_pct_max", "leverage_max", "notional_max", "heat_pct_max", "daily_loss_pct_max",
    "drawdown_halt_pct", "positions_max", "margin_mode", "margin_leverage_max", "instruments_allowed",
)  # fmt: skip


class StartRefused(Exception):
    """The gateway may not start; every reason, with how to mend it."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class StartReport:
    """What was found at a start that is allowed. warnings: what should be looked at nevertheless."""

    mode: str
    account: AccountConfig
    clock_offset_us: int
    warnings: tuple[str, ...]


def shut_gates(settings: Settings) -> list[str]:
    """Return what the settings alone lack for their mode; empty: the venue may be asked."""
    service = settings.service
    wants = Venue.PAPER if service.mode == "paper" else Venue.OKX
    reasons = []
    if settings.trading.venue != wants:
        reasons.append(f"TAPELINE_VENUE={settings.trading.venue}: TAPELINE_MODE={service.mode} goes with {wants}")
    if service.mode == "paper":
        return reasons
    reasons += [f"{variable} is missing; mode {service.mode} needs it" for variable, _ in _missing_keys(service)]
    reasons += list(_open_lines(service))
    unlisted = unlisted_swaps(service.okx_region, settings.trading.instruments_allowed)
    reasons += [] if unlisted is None else [unlisted]
    if service.mode == "live":
        if not service.live_trading_enabled:
            reasons.append("LIVE_TRADING_ENABLED: is false; real orders need true")
        reasons += list(_placeholders(service))
    return reasons


def _missing_keys(service: ServiceSettings) -> Iterator[tuple[str, str]]:
    return ((variable, name) for variable, name in KEYS if getattr(service, name) is None)


def _open_lines(service: ServiceSettings) -> Iterator[str]:
    """Yield hosts that would send the key unencrypted over a network."""
    for variable, url in (("OKX_REST_URL", service.okx_rest_url), ("OKX_WS_URL", service.okx_ws_url)):
        parts = urlsplit(url)
        if parts.scheme in ("http", "ws") and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            yield f"{variable}={url}: not encrypted; only https and wss leave this machine"


def _placeholders(service: ServiceSettings) -> Iterator[str]:
    """Yield the secrets that were never set. Source: issue 4: change_me and admin/admin are refused in live."""
    for name, field in ServiceSettings.model_fields.items():
        value = getattr(service, name)
        if isinstance(value, SecretStr) and _is_placeholder(value.get_secret_value()):
            yield f"{field.validation_alias} is still a placeholder; set a secret of your own"


def _is_placeholder(value: str) -> bool:
    lowered = value.lower()
    return lowered == "admin" or "admin:admin@" in lowered or any(word in lowered for word in PLACEHOLDERS)


def venue_hosts(service: ServiceSettings) -> Hosts:
    """Return where the account of these settings lives."""
    return hosts(
        service.okx_region, demo=service.mode != "live", rest_url=service.okx_rest_url, ws_url=service.okx_ws_url
    )


async def open_client(settings: Settings) -> tuple[OkxClient, StartReport]:
    """Return a client that may trade, its clock set, and what was found. Raises StartRefused or VenueUnavailable.

    Only for modes demo and live; reads the account, sends no order and changes nothing.
    """
    reasons = shut_gates(settings)
    if settings.service.mode == "paper":
        reasons.append("TAPELINE_MODE=paper: orders go to our own simulator; the OKX gateway needs demo or live")
    if reasons:
        raise StartRefused(reasons)
    from services.gateways.okx.client import connect
    from services.gateways.okx.exchange import Credentials

    service = settings.service
    values = [getattr(service, name).get_secret_value() for _, name in KEYS]
    client = connect(Credentials(*values), venue_hosts(service), POSITION_MODES[service.okx_position_mode])
    allowed = False
    try:
        report = await _examine(client, settings)
        allowed = True
    finally:
        if not allowed:
            await client.close()
    return client, report


async def _examine(client: OkxClient, settings: Settings) -> StartReport:
    await client.server_time()
    account = await client.account_config()
    offset = client.clock.offset_us or 0
    reasons, warnings = judge_account(settings, account)
    clock = judge_clock(offset)
    (reasons if abs(offset) > REFUSE_US else warnings).extend(clock)
    warnings += [line for kind in InstrumentKind for line in await _fee_warnings(client, settings.trading, kind)]
    if reasons:
        raise StartRefused(reasons)
    return StartReport(settings.service.mode, account, offset, tuple(warnings))


async def _fee_warnings(client: OkxClient, trading: TradingSettings, kind: InstrumentKind) -> list[str]:
    """Return what deserves a warning about the fees of one kind; rates that cannot be read are no reason to stop."""
    names = [name for name in trading.instruments_allowed if name.endswith("-SWAP") is (kind is InstrumentKind.SWAP)]
    if not names:
        return []
    try:
        return judge_fees(trading, {kind: await client.fee_rates(kind, names)})
    except VenueUnavailable as error:
        return [f"fees: those of {kind} cannot be compared with the settings: {error}"]


def judge_account(settings: Settings, account: AccountConfig) -> tuple[list[str], list[str]]:
    """Return what about the account forbids the start, and what deserves a warning."""
    live = settings.service.mode == "live"
    reasons, warnings = _judge_key(account), list[str]()
    if account.account_level != FUTURES_MODE:
        reasons.append(
            f"account mode: acctLv is {account.account_level}, the system counts with {FUTURES_MODE} "
            "(spot and futures); change it in OKX's trading settings"
        )
    wanted = POSITION_MODES[settings.service.okx_position_mode]
    if account.position_mode is not wanted:
        reasons.append(
            f"position mode: the account is in {account.position_mode}, OKX_POSITION_MODE says {wanted}; "
            "change one of them"
        )
    if not account.ip_addresses:
        words = "API key: bound to no IP address; bind it at OKX"
        (reasons if live else warnings).append(words)
    if live and settings.service.live_confirmation != confirmation(account, settings.trading):
        reasons.append(_unconfirmed(account, settings.trading))
    return reasons, warnings


def _judge_key(account: AccountConfig) -> list[str]:
    reasons = []
    if "withdraw" in account.permissions:
        reasons.append("API key: it may withdraw; make one with the permissions read and trade only")
    if "trade" not in account.permissions:
        reasons.append("API key: it may not trade; give it the permission")
    return reasons


def confirmation(account: AccountConfig, trading: TradingSettings) -> str:
    """Return what confirms this account with these limits; another account or any other setting needs another one."""
    return f"{account.uid}:{trading.digest()}"


def _unconfirmed(account: AccountConfig, trading: TradingSettings) -> str:
    values = trading.to_values()
    limits = ", ".join(f"{name}={values[name]}" for name in LIMITS_SHOWN)
    return (
        f"TAPELINE_LIVE_CONFIRMATION: real orders on account {account.uid} within {limits}: "
        f"if that is meant, set it to {confirmation(account, trading)}"
    )


def judge_clock(offset_us: int) -> list[str]:
    """Return what is wrong with this machine's clock."""
    if abs(offset_us) <= WARN_US:
        return []
    seconds = plain((Decimal(offset_us) / 1_000_000).quantize(Decimal("0.1")))
    return [f"clock: the venue's is {seconds} s ahead of this machine's (negative: behind); set it by NTP"]


def judge_fees(trading: TradingSettings, fees: dict[InstrumentKind, FeeRates]) -> list[str]:
    """Return which of the venue's fees are above the ones orders are sized with."""
    known = trading.to_values()
    found = []
    for kind, rates in fees.items():
        for name, rate in (("maker", rates.maker), ("taker", rates.taker)):
            setting = f"fee_{name}_{kind.value.lower()}_pct"
            if rate * 100 > Decimal(known[setting]):
                found.append(f"fees: {name} {kind} is {plain(rate * 100)} %, {setting} says {known[setting]} %")
    return found
