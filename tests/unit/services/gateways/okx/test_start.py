"""The gates of a start: each is shown shut, by name, and all of them open together."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from schemas.events.market import InstrumentKind
from schemas.settings import TradingSettings
from services.gateways.okx import start
from services.gateways.okx.facts import AccountConfig, FeeRates, PositionMode
from services.gateways.okx.hosts import hosts
from services.gateways.okx.market.errors import VenueRefused
from services.gateways.okx.market.start import market_options, run_market_gateway
from services.gateways.okx.start import StartRefused, StartReport, confirmation, open_client, shut_gates
from services.gateways.okx.venue import VenueUnavailable
from services.settings import Settings, load_settings
from streams.log.memory import MemoryLog
from tests.fakes.okx import DEMO_KEY, LIVE_KEY, ApiKey, FakeOkx
from tests.fakes.okx.errors import GENERAL

KEYS = {"OKX_API_KEY": "k", "OKX_API_SECRET": "s", "OKX_API_PASSPHRASE": "p"}
DEMO = {"TAPELINE_MODE": "demo", "TAPELINE_VENUE": "OKX", **KEYS}
LIVE = {**DEMO, "TAPELINE_MODE": "live", "LIVE_TRADING_ENABLED": "true"}
ACCOUNT = AccountConfig("44705892343619584", 2, PositionMode.NET, frozenset({"read_only", "trade"}), ("10.0.0.1",))


def settings(environ: dict[str, str], **changes: str) -> Settings:
    """Return settings of an environment; an empty change removes a variable."""
    merged = {**environ, **changes}
    return load_settings(environ={name: value for name, value in merged.items() if value}, env_file=None)


def confirmed(environ: dict[str, str], account: AccountConfig = ACCOUNT) -> dict[str, str]:
    """Return the environment with the confirmation of this account."""
    trading = settings(environ).trading
    return {**environ, "TAPELINE_LIVE_CONFIRMATION": confirmation(account, trading)}


def test_the_refusals_the_operations_page_quotes_are_the_real_ones() -> None:
    page = (Path(__file__).parents[5] / "docs" / "operations.md").read_text()
    account = replace(ACCOUNT, permissions=frozenset({"withdraw"}), ip_addresses=())
    told = shut_gates(settings(DEMO, OKX_API_SECRET=""))
    told += start.judge_account(settings(confirmed(LIVE, account)), account)[0]
    assert len(told) == 4
    assert [words for words in told if f"`{words}`" not in page] == []
    assert [code for code in ("50101", "50105", "50110", "50111", "50113") if f"code {code}" not in page] == []
    assert f"`code 50101: {GENERAL['50101'][1]}`" in page


# --- What the settings alone say


def test_paper_needs_nothing_and_is_the_default() -> None:
    assert shut_gates(settings({})) == []
    assert shut_gates(settings(KEYS)) == []


def test_demo_and_live_open_with_everything_in_place() -> None:
    assert shut_gates(settings(DEMO)) == []
    assert shut_gates(settings(LIVE)) == []


@pytest.mark.parametrize("missing", KEYS)
@pytest.mark.parametrize("environ", [DEMO, LIVE])
def test_every_missing_part_of_the_key_is_named(environ: dict[str, str], missing: str) -> None:
    mode = environ["TAPELINE_MODE"]
    assert shut_gates(settings(environ, **{missing: ""})) == [f"{missing} is missing; mode {mode} needs it"]


def test_everything_that_is_missing_is_named_at_once() -> None:
    reasons = shut_gates(settings({"TAPELINE_MODE": "live"}))
    assert [re.split("[=: ]", reason)[0] for reason in reasons] == [
        "TAPELINE_VENUE",
        *KEYS,
        "LIVE_TRADING_ENABLED",
    ]


def test_live_without_its_switch_is_refused() -> None:
    assert shut_gates(settings(LIVE, LIVE_TRADING_ENABLED="")) == [
        "LIVE_TRADING_ENABLED: is false; real orders need true"
    ]


@pytest.mark.parametrize(
    ("mode", "venue", "says"),
    [("paper", "OKX", "TAPELINE_VENUE=OKX: TAPELINE_MODE=paper goes with PAPER"),
     ("demo", "PAPER", "TAPELINE_VENUE=PAPER: TAPELINE_MODE=demo goes with OKX")],
)  # fmt: skip
def test_mode_and_venue_go_together(mode: str, venue: str, says: str) -> None:
    assert shut_gates(settings(KEYS, TAPELINE_MODE=mode, TAPELINE_VENUE=venue)) == [says]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OKX_API_SECRET", "change_me"),
        ("OKX_API_PASSPHRASE", "Change-Me-please"),
        ("TAPELINE_API_TOKEN", "CHANGEME-CHANGEME"),
        ("TAPELINE_DB", "postgresql://admin:admin@db/tapeline"),
        ("TAPELINE_DB", "postgresql://tapeline:change_me@db/tapeline"),
        ("TAPELINE_DB_READ_PASSWORD", "admin"),
    ],
)
def test_placeholders_are_refused_in_live_and_not_shown(variable: str, value: str) -> None:
    reasons = shut_gates(settings(LIVE, **{variable: value}))
    assert reasons == [f"{variable} is still a placeholder; set a secret of your own"]
    assert shut_gates(settings(DEMO, **{variable: value})) == []


@pytest.mark.parametrize("url", ["http://okx.example", "http://127.0.0.1.example:80"])
def test_a_key_does_not_leave_the_machine_unencrypted(url: str) -> None:
    (reason,) = shut_gates(settings(DEMO, OKX_REST_URL=url))
    assert reason == f"OKX_REST_URL={url}: not encrypted; only https and wss leave this machine"
    (other,) = shut_gates(settings(DEMO, OKX_WS_URL="ws://okx.example/ws/v5"))
    assert other.startswith("OKX_WS_URL=")
    open_here = settings(DEMO, OKX_REST_URL="http://127.0.0.1:81", OKX_WS_URL="wss://okx.example/ws/v5")
    assert shut_gates(open_here) == []


def test_hosts_follow_region_and_mode() -> None:
    assert hosts("global", demo=False).ws == "wss://ws.okx.com:8443/ws/v5"
    assert hosts("eea", demo=True).ws == "wss://wseeapap.okx.com:8443/ws/v5"
    assert (hosts("us", demo=False).rest, hosts("us", demo=False).demo) == ("https://us.okx.com", False)
    assert start.venue_hosts(settings(LIVE, OKX_REGION="eea").service).rest == "https://eea.okx.com"
    assert start.venue_hosts(settings(DEMO).service).demo is True
    assert start.venue_hosts(settings(LIVE).service).demo is False


@pytest.mark.parametrize("region", ["global", "eea", "us"])
@pytest.mark.parametrize("environ", [{}, DEMO, LIVE])
def test_the_market_gateway_asks_the_hosts_of_region_and_mode(environ: dict[str, str], region: str) -> None:
    options = market_options(settings(environ, OKX_REGION=region).service, 1)
    there = hosts(region, demo=environ is DEMO)
    assert (options.rest_url, options.ws_url, options.simulated) == (there.rest, there.ws, there.demo)


@pytest.mark.parametrize("environ", [DEMO, LIVE])
def test_a_region_without_usdt_swaps_refuses_them_and_takes_spot_pairs(environ: dict[str, str]) -> None:
    (reason,) = shut_gates(settings(environ, OKX_REGION="eea", TAPELINE_INSTRUMENTS_ALLOWED="ETH-USDT-SWAP,BTC-USDT"))
    assert reason.startswith("OKX_REGION=eea: OKX lists no USDT swaps there (60018)")
    assert "take ETH-USDT-SWAP out of TAPELINE_INSTRUMENTS_ALLOWED" in reason
    assert shut_gates(settings(environ, OKX_REGION="eea", TAPELINE_INSTRUMENTS_ALLOWED="BTC-USDT")) == []


def test_a_paper_feed_of_a_region_without_usdt_swaps_is_refused_before_anything_is_asked() -> None:
    options = market_options(settings({}, OKX_REGION="eea").service, 1)
    run = run_market_gateway(
        MemoryLog(), TradingSettings(), options, stopped=lambda: True, instruments=["BTC-USDT-SWAP"]
    )
    with pytest.raises(VenueRefused, match="OKX_REGION=eea"):
        asyncio.run(run)


# --- What the account says


def judged(environ: dict[str, str], **changes: object) -> tuple[list[str], list[str]]:
    return start.judge_account(settings(environ), replace(ACCOUNT, **changes))  # type: ignore[arg-type]


def test_a_fitting_account_opens_every_gate() -> None:
    assert judged(DEMO) == ([], [])
    assert judged(confirmed(LIVE)) == ([], [])


@pytest.mark.parametrize("environ", [DEMO, confirmed(LIVE)])
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"permissions": frozenset({"read_only", "trade", "withdraw"})}, "API key: it may withdraw"),
        ({"permissions": frozenset({"read_only"})}, "API key: it may not trade"),
        ({"account_level": 1}, "account mode: acctLv is 1, the system counts with 2"),
        ({"account_level": 3}, "account mode: acctLv is 3"),
        ({"position_mode": PositionMode.LONG_SHORT}, "position mode: the account is in LONG_SHORT"),
    ],
)
def test_an_account_or_key_that_does_not_fit_is_refused(
    environ: dict[str, str], changes: dict[str, object], says: str
) -> None:
    (reason,), warnings = judged(environ, **changes)
    assert reason.startswith(says)
    assert warnings == []


def test_an_unbound_key_warns_in_demo_and_is_refused_in_live() -> None:
    assert judged(DEMO, ip_addresses=()) == ([], ["API key: bound to no IP address; bind it at OKX"])
    assert judged(confirmed(LIVE), ip_addresses=()) == (["API key: bound to no IP address; bind it at OKX"], [])


def test_the_configured_position_mode_counts() -> None:
    assert judged({**DEMO, "OKX_POSITION_MODE": "long_short"}, position_mode=PositionMode.LONG_SHORT) == ([], [])
    (reason,), _ = judged({**DEMO, "OKX_POSITION_MODE": "long_short"})
    assert "the account is in NET, OKX_POSITION_MODE says LONG_SHORT" in reason


def test_live_shows_account_and_limits_until_they_are_confirmed() -> None:
    (reason,), _ = judged(LIVE)
    assert "real orders on account 44705892343619584" in reason
    assert "risk_budget_pct=1, trade_loss_pct_max=10, leverage_max=100, notional_max=2000000" in reason
    wanted = confirmation(ACCOUNT, settings(LIVE).trading)
    assert reason.endswith(f"set it to {wanted}")
    assert judged({**LIVE, "TAPELINE_LIVE_CONFIRMATION": wanted}) == ([], [])


def test_a_confirmation_is_void_for_other_limits_and_other_accounts() -> None:
    environ = confirmed(LIVE)
    (reason,), _ = judged({**environ, "TAPELINE_RISK_BUDGET_PCT": "2"})
    assert "risk_budget_pct=2" in reason
    (reason,), _ = judged(environ, uid="1")
    assert "account 1 within" in reason


# --- Clock and fees


@pytest.mark.parametrize(
    ("offset_us", "says"),
    [(0, []), (1_000_000, []), (-1_000_000, []), (2_500_000, ["2.5 s ahead"]), (-90_000_000, ["-90 s ahead"])],
)
def test_a_clock_that_is_off_is_named(offset_us: int, says: list[str]) -> None:
    found = start.judge_clock(offset_us)
    assert len(found) == len(says)
    assert all(words in line for words, line in zip(says, found, strict=True))


def test_fees_above_those_orders_are_sized_with_are_named() -> None:
    fees = {
        InstrumentKind.SWAP: FeeRates(maker=Decimal("0.0002"), taker=Decimal("0.0006")),
        InstrumentKind.SPOT: FeeRates(maker=Decimal("-0.0001"), taker=Decimal("0.001")),
    }  # type: ignore[dict-item]
    assert start.judge_fees(TradingSettings(), fees) == ["fees: taker SWAP is 0.06 %, fee_taker_swap_pct says 0.05 %"]


# --- At the venue


def at_venue(environ: dict[str, str], key: ApiKey, before: Callable[[FakeOkx], None] = lambda okx: None) -> StartReport:
    """Open a client at a fake OKX that knows this key, close it, and return what was found."""

    async def run() -> StartReport:
        async with FakeOkx(keys=(key,)) as okx:
            before(okx)
            there = {"OKX_REST_URL": okx.rest_url, "OKX_WS_URL": okx.ws_url}
            with_key = {
                "OKX_API_KEY": key.key, "OKX_API_SECRET": key.secret, "OKX_API_PASSPHRASE": key.passphrase,
            }  # fmt: skip
            client, report = await open_client(settings({**environ, **with_key, **there}))
            await client.close()
            assert not [name for name, _ in okx.requests if name.startswith("trade/")]
            return report

    return asyncio.run(run())


def test_demo_starts_and_says_what_to_look_at() -> None:
    report = at_venue(DEMO, DEMO_KEY)
    assert report.mode == "demo"
    assert abs(report.clock_offset_us) < 1_000_000
    assert report.warnings == ("API key: bound to no IP address; bind it at OKX",)


def test_only_the_fee_groups_of_what_is_traded_are_compared() -> None:
    def before(okx: FakeOkx) -> None:
        okx.venue.instruments["ETH-USDT-SWAP"].group = "2"

    allowed = {**DEMO, "TAPELINE_INSTRUMENTS_ALLOWED": "BTC-USDT-SWAP"}
    assert at_venue(allowed, DEMO_KEY, before).warnings[1:] == ()
    found = at_venue({**allowed, "TAPELINE_INSTRUMENTS_ALLOWED": "BTC-USDT-SWAP,ETH-USDT-SWAP"}, DEMO_KEY, before)
    assert found.warnings[1:] == (
        "fees: maker SWAP is 0.1 %, fee_maker_swap_pct says 0.02 %",
        "fees: taker SWAP is 0.15 %, fee_taker_swap_pct says 0.05 %",
    )


def test_fees_that_cannot_be_read_are_a_warning_and_no_reason_to_stop() -> None:
    def before(okx: FakeOkx) -> None:
        okx.venue.account.other_fees = {"": (Decimal(0), Decimal(0))}

    _, spot, swap = at_venue(DEMO, DEMO_KEY, before).warnings
    assert swap == "fees: those of SWAP cannot be compared with the settings: account/trade-fee: groupId is missing"
    assert spot.startswith("fees: those of SPOT cannot be compared")


def test_live_starts_only_when_confirmed() -> None:
    key = replace(LIVE_KEY, address="127.0.0.1")
    with pytest.raises(StartRefused, match="TAPELINE_LIVE_CONFIRMATION: real orders on account") as refused:
        at_venue(LIVE, key)
    words = refused.value.reasons[0].rsplit(" ", 1)[1]
    report = at_venue({**LIVE, "TAPELINE_LIVE_CONFIRMATION": words}, key)
    assert (report.mode, report.warnings) == ("live", ())


def test_every_reason_of_the_venue_is_named_at_once(caplog: pytest.LogCaptureFixture) -> None:
    def before(okx: FakeOkx) -> None:
        okx.venue.account.level = "3"
        okx.venue.account.position_mode = "long_short_mode"
        okx.clock.skew_ms = 20_000

    with pytest.raises(StartRefused) as refused:
        at_venue(DEMO, replace(DEMO_KEY, permissions="read_only,trade,withdraw"), before)
    assert [reason.split(":")[0] for reason in refused.value.reasons] == [
        "API key", "account mode", "position mode", "clock"
    ]  # fmt: skip
    del refused
    gc.collect()
    assert "Unclosed" not in caplog.text  # the client that may not start is closed


def test_a_key_of_the_other_environment_or_region_does_not_start() -> None:
    with pytest.raises(VenueUnavailable, match="HTTP 401, code 50101"):
        at_venue(DEMO, LIVE_KEY)


def test_a_shut_gate_asks_nobody() -> None:
    async def refused(environ: dict[str, str]) -> StartRefused:
        with pytest.raises(StartRefused) as caught:
            await open_client(settings(environ, OKX_REST_URL="http://127.0.0.1:1"))
        return caught.value

    attempts: list[Awaitable[StartRefused]] = [refused({}), refused({**DEMO, "OKX_API_KEY": ""})]
    paper, demo = [asyncio.run(attempt) for attempt in attempts]  # type: ignore[arg-type]
    assert paper.reasons == ["TAPELINE_MODE=paper: orders go to our own simulator; the OKX gateway needs demo or live"]
    assert demo.reasons == ["OKX_API_KEY is missing; mode demo needs it"]
