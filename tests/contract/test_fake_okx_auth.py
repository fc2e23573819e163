"""The fake OKX refuses as the venue does: keys, signatures, clocks, environments, permissions."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import aiohttp
import ccxt
import pytest

from tests.contract.okx_client import SWAP, client_of, drive
from tests.fakes.okx import DEMO_KEY, LIVE_KEY, ApiKey, FakeOkx
from tests.fakes.okx.auth import sign

UNKNOWN = replace(LIVE_KEY, key="00000000-0000-0000-0000-000000000000")
WRONG_SECRET = replace(LIVE_KEY, secret="0" * 32)
WRONG_PASSPHRASE = replace(LIVE_KEY, passphrase="Wrong-Passphrase-1")
REFUSALS = [
    (UNKNOWN, "50111", "60005"),
    (WRONG_PASSPHRASE, "50105", "60024"),
    (WRONG_SECRET, "50113", "60007"),
    (DEMO_KEY, "50101", "60032"),
]


@pytest.mark.parametrize(("key", "rest", "ws"), REFUSALS)
def test_a_wrong_key_is_refused(key: ApiKey, rest: str, ws: str) -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        wrong = client_of(okx, key)
        wrong.markets, wrong.markets_by_id, wrong.symbols = client.markets, client.markets_by_id, client.symbols
        try:
            with pytest.raises(ccxt.AuthenticationError, match=rest):
                await wrong.private_get_account_balance()
            with pytest.raises(ccxt.AuthenticationError, match=ws):
                await wrong.watch_balance()
        finally:
            await wrong.close()

    drive(scenario)


def test_what_the_front_door_refuses_has_no_data() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        async with aiohttp.ClientSession() as session, session.get(f"{okx.rest_url}/api/v5/account/balance") as reply:
            assert reply.status == 401
            assert await reply.json() == {"code": "50103", "msg": 'Request header "OK-ACCESS-KEY" cannot be empty.'}
        async with aiohttp.ClientSession() as session, session.get(f"{okx.rest_url}/api/v5/no/such/path") as reply:
            assert (reply.status, (await reply.json())["code"]) == (404, 404)

    drive(scenario)


@pytest.mark.parametrize(("skew_ms", "refused"), [(29_000, False), (31_000, True), (-31_000, True)])
def test_a_request_expires_thirty_seconds_from_the_venues_clock(skew_ms: int, refused: bool) -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        okx.clock.skew_ms = skew_ms
        assert abs(await client.fetch_time() - client.milliseconds() - skew_ms) < 1000
        if not refused:
            assert (await client.fetch_balance())["USDT"]["total"] == 10000
            return
        with pytest.raises(ccxt.InvalidNonce, match="50102"):
            await client.fetch_balance()
        with pytest.raises(ccxt.InvalidNonce, match="60006"):
            await client.watch_balance()

    drive(scenario)


def test_time_that_passes_at_the_venue_makes_nobodys_signature_old() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        okx.clock.advance(hours=3)
        assert (await client.fetch_balance())["USDT"]["total"] == 10000

    drive(scenario)


def test_a_changed_body_breaks_the_signature() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        path, body = "/api/v5/account/set-position-mode", json.dumps({"posMode": "net_mode"})
        stamp = client.iso8601(client.milliseconds())
        headers = {
            "OK-ACCESS-KEY": LIVE_KEY.key,
            "OK-ACCESS-PASSPHRASE": LIVE_KEY.passphrase,
            "OK-ACCESS-TIMESTAMP": stamp,
            "OK-ACCESS-SIGN": sign(LIVE_KEY.secret, f"{stamp}POST{path}{body}"),
        }
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.post(okx.rest_url + path, data=body) as reply:
                assert (await reply.json())["code"] == "0"
            async with session.post(okx.rest_url + path, data=body + " ") as reply:
                assert (reply.status, (await reply.json())["code"]) == (401, "50113")

    drive(scenario)


def test_a_demo_key_works_in_the_sandbox_only() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        demo = client_of(okx, DEMO_KEY)
        demo.set_sandbox_mode(True)
        try:
            assert (await demo.fetch_balance())["USDT"]["total"] == 10000
            assert (await demo.watch_balance())["USDT"]["total"] == 10000
        finally:
            await demo.close()

    drive(scenario)


def test_a_key_does_what_its_permissions_and_addresses_allow() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        okx.doorman.keys[LIVE_KEY.key] = replace(LIVE_KEY, permissions="read_only")
        assert (await client.private_get_account_config())["data"][0]["perm"] == "read_only"
        with pytest.raises(ccxt.ExchangeError, match="50120"):
            await client.create_order(SWAP, "market", "buy", 1, None, {"tdMode": "isolated"})
        okx.doorman.keys[LIVE_KEY.key] = replace(LIVE_KEY, address="203.0.113.5")
        with pytest.raises(ccxt.PermissionDenied, match="50110"):
            await client.fetch_balance()
        okx.doorman.keys[LIVE_KEY.key] = replace(LIVE_KEY, address="127.0.0.1")
        assert (await client.private_get_account_config())["data"][0]["ip"] == "127.0.0.1"

    drive(scenario)
