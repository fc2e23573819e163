"""The trading gateway as it is started: from settings, on a log, at the fake OKX."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from schemas.codec import decode, encode
from schemas.events.gateway import GatewayClaimed
from schemas.events.orders import AccountSnapshot, NotSent, VenueAccepted, VenueRejected
from schemas.settings import SettingsError, TradingSettings
from schemas.topics import REPORTS
from services.bootstrap import prepare_log
from services.gateways.okx.desk import OrderDesk
from services.gateways.okx.owner import OtherAccount, Owner
from services.gateways.okx.start import StartRefused
from services.gateways.okx.trade import TradingCounts, run_trading_gateway
from services.gateways.okx.trading import Cadence, TradingGateway
from services.gateways.okx.venue import BillsDue
from services.settings import Settings, load_settings
from streams.log import create_log
from streams.log.base import EventLog, LogError, NewRecord
from streams.log.memory import MemoryLog
from streams.log.sqlite import SqliteLog
from tests.builders import btc_swap, message
from tests.fakes.okx import DEMO_KEY, FakeOkx
from tests.okx_desk import BTC, Desk, at_desk
from tests.okx_floor import QUICK
from tests.orders_at_okx import stop
from tests.waiting import SCENARIO_S


def settings_for(okx: FakeOkx, **values: str) -> Settings:
    """Settings of a demo account at the fake."""
    environ = {
        "TAPELINE_LOG": "memory://",
        "TAPELINE_MODE": "demo",
        "TAPELINE_VENUE": "OKX",
        "TAPELINE_ACCOUNT_ID": "okx",
        "OKX_API_KEY": DEMO_KEY.key,
        "OKX_API_SECRET": DEMO_KEY.secret,
        "OKX_API_PASSPHRASE": DEMO_KEY.passphrase,
        "OKX_REST_URL": okx.rest_url,
        "OKX_WS_URL": okx.ws_url,
        **values,
    }
    return load_settings(environ=environ, env_file=None)


def log_on(venue: str) -> MemoryLog:
    log = MemoryLog()
    prepare_log(log, TradingSettings(account_id="okx", venue=venue))
    return log


def trade(log: EventLog, *, stopped: Callable[[], bool], cadence: Cadence = QUICK, **values: str) -> TradingCounts:
    """Run the gateway until stopped, within a bound."""

    async def run() -> TradingCounts:
        async with FakeOkx(keys=(DEMO_KEY,)) as okx, asyncio.timeout(SCENARIO_S):
            return await run_trading_gateway(log, settings_for(okx, **values), stopped=stopped, cadence=cadence)

    return asyncio.run(run())


def test_it_claims_and_tells_where_the_account_is() -> None:
    log = log_on("OKX")
    with capture_logs() as said:
        counts = trade(log, stopped=lambda: log.end_offset(REPORTS, 0) >= 2)
    assert [(entry["positions"], entry["open_orders"]) for entry in said if entry["event"] == "account"] == [([], 0)]
    claim, snapshot = (decode(record.value)[1] for record in log.read(REPORTS, 0, 0, limit=2))
    assert isinstance(claim, GatewayClaimed)
    assert claim.venue_account.startswith("demo ")
    assert isinstance(snapshot, AccountSnapshot)
    assert (counts.orders, counts.reconciliations >= 1) == (0, True)


def test_on_sqlite_attempts_wait_for_the_disk_and_the_next_start_remembers(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.db")
    prepare_log(log, TradingSettings(account_id="okx", venue="OKX"))
    assert log._db.execute("PRAGMA synchronous").fetchone() == (1,), "NORMAL: a power loss takes the newest commits"
    url = f"sqlite:///{tmp_path / 'log.db'}"
    trade(log, stopped=lambda: log.end_offset(REPORTS, 0) >= 2, TAPELINE_LOG=url)
    assert log._db.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"
    with capture_logs() as said:
        trade(log, stopped=lambda: log.end_offset(REPORTS, 0) >= 4, TAPELINE_LOG=url)
    assert [entry["reports"] for entry in said if entry["event"] == "remembered"] == [2]
    log.close()


def test_a_second_start_finds_its_own_claim_and_goes_on() -> None:
    log = log_on("OKX")
    trade(log, stopped=lambda: log.end_offset(REPORTS, 0) >= 2)
    before = log.end_offset(REPORTS, 0)
    trade(log, stopped=lambda: log.end_offset(REPORTS, 0) >= before + 2)
    assert isinstance(decode(log.read(REPORTS, 0, before, limit=1)[0].value)[1], GatewayClaimed)


def test_a_log_of_another_account_is_refused_and_nothing_is_written() -> None:
    log = log_on("OKX")
    trade(log, stopped=lambda: log.end_offset(REPORTS, 0) >= 2)
    before = log.end_offset(REPORTS, 0)
    stored = log._partitions[REPORTS][0]
    envelope, claim = decode(stored[0].value)
    assert isinstance(claim, GatewayClaimed)
    stored[0] = replace(stored[0], value=encode(envelope, replace(claim, venue_account="live 7")))
    with pytest.raises(OtherAccount, match="this log trades live 7, the keys are for demo"):
        trade(log, stopped=lambda: False)
    assert log.end_offset(REPORTS, 0) == before


def test_a_report_that_cannot_be_read_is_named_and_nothing_is_sent() -> None:
    log = log_on("OKX")
    trade(log, stopped=lambda: log.end_offset(REPORTS, 0) >= 2)
    stored = log._partitions[REPORTS][0]
    stored[1] = replace(stored[1], value=stored[1].value[:-3])
    before = log.end_offset(REPORTS, 0)
    with pytest.raises(LogError, match=r"reports of shard 0, offset 1: AccountSnapshot: .* nothing was sent: run"):
        trade(log, stopped=lambda: False)
    assert log.end_offset(REPORTS, 0) == before


def test_a_paper_log_is_refused() -> None:
    with pytest.raises(SettingsError, match="shard 0 of this log is on PAPER for life"):
        trade(log_on("PAPER"), stopped=lambda: False)


def test_paper_settings_are_refused() -> None:
    with pytest.raises(StartRefused, match="the OKX gateway needs demo or live"):
        trade(log_on("OKX"), stopped=lambda: False, TAPELINE_MODE="paper", TAPELINE_VENUE="PAPER")


def test_it_waits_for_the_first_settings_and_stops_when_asked() -> None:
    log = MemoryLog()
    create_log(log)
    asked = iter([False, False, True])
    assert trade(log, stopped=lambda: next(asked)) == TradingCounts(0, 0, 0)
    assert log.end_offset(REPORTS, 0) == 0


def test_it_stops_although_an_update_comes_at_that_very_moment() -> None:
    async def scenario(desk: Desk) -> bool:
        owner = Owner("okx", "gateway-1", "test", "live 1")
        orders = OrderDesk(
            log_on("OKX"), 0, desk.client, owner, clock=desk.client.clock.now, instruments={BTC: btc_swap()}.get
        )

        def stopped() -> bool:
            if gateway.reconciled < 2:  # the second is that of the connection: from then on it waits for updates
                return False
            gateway._take(BillsDue("transferred", desk.now()))
            return True

        gateway = TradingGateway(orders, stopped=stopped, cadence=QUICK)
        await gateway.run()
        return True

    assert at_desk(scenario)


def test_a_lot_that_became_finer_is_asked_for_before_an_order_is_called_unsendable() -> None:
    log = log_on("OKX")

    async def run() -> None:
        async with FakeOkx(keys=(DEMO_KEY,)) as okx, asyncio.timeout(SCENARIO_S):
            okx.venue.set_price(BTC, "80000")
            fine = stop("fine", quantity="0.005", account_id="okx")

            def stopped() -> bool:
                kinds = [type(decode(record.value)[1]) for record in log.read(REPORTS, 0, 0, limit=100)]
                if AccountSnapshot in kinds and log.end_offset("orders", 0) == 0:
                    okx.control.trade_by_hand(BTC, "buy", "1", "80000")
                    okx.control.set_instrument(BTC, lot=Decimal("0.001"), min_size=Decimal("0.001"))
                    told = message(fine, ts=okx.clock.now_ms() * 1000).envelope._replace(seq=0)
                    log.append([NewRecord("orders", 0, b"", encode(told, fine), 0)])
                return any(kind in (NotSent, VenueAccepted, VenueRejected) for kind in kinds)

            await run_trading_gateway(log, settings_for(okx), stopped=stopped, cadence=QUICK)
            assert [algo.asked("sz") for algo in okx.venue.algos.open_algos(BTC)] == ["0.005"]

    with capture_logs() as said:
        asyncio.run(run())
    assert [entry["lot_size"] for entry in said if entry["event"] == "terms changed"] == ["0.001"]
