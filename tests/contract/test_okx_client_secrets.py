"""No part of the key reaches a log line, an error or an outcome, at any level, whatever the venue says."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest
import structlog

from services.gateways.okx.exchange import Credentials
from services.gateways.okx.venue import Refused, VenueUnavailable
from services.logs import configure_logs
from tests.fakes.okx import LIVE_KEY, ApiKey, Fault
from tests.okx_desk import Desk, at_desk
from tests.orders_at_okx import intended, stop

PARTS = (LIVE_KEY.key, LIVE_KEY.secret, LIVE_KEY.passphrase)


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """Everything that is logged at DEBUG; no secret is registered: only looks and names protect it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logs(level="DEBUG", stream=stream)
    yield stream
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def test_signed_requests_and_logins_are_not_logged(output: io.StringIO) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.listen()
        await desk.submit(intended("a", limit_price="79000"))
        desk.okx.faults.plan("trade/order-algo", Fault.DROP_AFTER)
        await desk.client.submit(stop(), desk.instrument(stop()))
        desk.okx.hub.drop()
        await desk.until(lambda: len(desk.links()) == 3)
        logging.getLogger("ccxt.base.exchange").warning("headers %s", {"OK-ACCESS-KEY": LIVE_KEY.key})
        logging.getLogger("ccxt.base.exchange").debug("Request: %s", {"OK-ACCESS-SIGN": "c2lnbmF0dXJl"})

    at_desk(scenario)
    logged = output.getvalue()
    assert "okx private stream" in logged
    assert [part for part in (*PARTS, "OK-ACCESS-SIGN") if part in logged] == []


def test_a_refusal_that_names_the_key_does_not_carry_it_on() -> None:
    async def scenario(desk: Desk) -> None:
        outcome = await desk.client.submit(intended("a"), desk.instrument(intended()))
        assert isinstance(outcome, Refused)
        assert outcome.code == "50110"
        assert "IP whitelist" in outcome.detail
        with pytest.raises(VenueUnavailable, match="50110") as caught:
            await desk.client.positions()
        said = f"{outcome} {caught.value} {caught.value.__cause__}"
        assert [part for part in PARTS if part in said] == []

    at_desk(scenario, known=(replace(LIVE_KEY, address="10.9.8.7"),))


def test_credentials_do_not_show_themselves() -> None:
    key: ApiKey = LIVE_KEY
    shown = repr(Credentials(key.key, key.secret, key.passphrase)) + str(Credentials(*PARTS))
    assert [part for part in PARTS if part in shown] == []
