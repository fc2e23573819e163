"""What goes wrong on the way to the venue and back: each fault ends in the right kind of outcome, sent once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from aiohttp import web

from schemas.events.common import MarginMode
from schemas.events.orders import OrderIntended
from services.gateways.okx.venue import Accepted, InDoubt, LeverageSet, Outcome, Refused, VenueUnavailable
from tests.fakes.okx import LIVE_KEY, ApiKey, Fault, Rules
from tests.okx_desk import BTC, Desk, at_desk
from tests.orders_at_okx import amended, intended, market, order_id, stop, target

KINDS: dict[str, tuple[str, Callable[[], OrderIntended], bool]] = {
    "regular": ("trade/order", lambda: intended("o", limit_price="79000"), False),
    "algo": ("trade/order-algo", lambda: stop("o"), True),
}
SILENT = [Fault.DROP_BEFORE, Fault.DROP_AFTER, Fault.HANG_BEFORE, Fault.HANG_AFTER, Fault.GARBAGE_BEFORE,
          Fault.GARBAGE_AFTER]  # fmt: skip
UNSURE = [("50001", 503), ("50004", 400), ("50005", 410), ("50013", 429), ("50026", 500), ("59999", 500)]


async def submitted(desk: Desk, order: OrderIntended) -> Outcome:
    """Return the outcome of one submission."""
    return await desk.client.submit(order, desk.instrument(order))


def count(desk: Desk, path: str) -> int:
    """Return how often a path was asked for."""
    return sum(name == path for name, _ in desk.okx.requests)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", SILENT)
def test_without_an_answer_the_outcome_is_in_doubt_and_only_a_query_tells(kind: str, fault: Fault) -> None:
    path, order, algo = KINDS[kind]

    async def scenario(desk: Desk) -> None:
        await submitted(desk, market("held"))
        before = count(desk, path)
        desk.okx.faults.plan(path, fault)
        outcome = await submitted(desk, order())
        assert isinstance(outcome, InDoubt), outcome
        assert count(desk, path) == before + 1
        found = await desk.client.find_order(order_id("o"), BTC, is_algo=algo)
        assert (found is not None) is fault.executes

    at_desk(scenario, order_timeout_ms=300)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", [Fault.ANSWER_BEFORE, Fault.ANSWER_AFTER])
@pytest.mark.parametrize(("code", "http"), UNSURE)
def test_busy_unavailable_and_server_errors_are_in_doubt(kind: str, fault: Fault, code: str, http: int) -> None:
    path, order, algo = KINDS[kind]

    async def scenario(desk: Desk) -> None:
        await submitted(desk, market("held"))
        desk.okx.faults.plan(path, fault, code=code, http=http)
        outcome = await submitted(desk, order())
        assert isinstance(outcome, InDoubt), outcome
        found = await desk.client.find_order(order_id("o"), BTC, is_algo=algo)
        assert (found is not None) is fault.executes

    at_desk(scenario)


def test_success_with_the_status_of_an_error_is_in_doubt() -> None:
    async def scenario(desk: Desk) -> None:
        desk.okx.faults.plan("trade/order", Fault.ANSWER_BEFORE, code="0", http=502)
        outcome = await submitted(desk, intended("o", limit_price="79000"))
        assert isinstance(outcome, InDoubt)
        desk.okx.faults.plan("account/positions", Fault.ANSWER_BEFORE, code="0", http=502)
        with pytest.raises(VenueUnavailable, match="HTTP 502"):
            await desk.client.positions()

    at_desk(scenario)


@pytest.mark.parametrize(("code", "http"), [("50011", 429), ("50011", 200), ("50061", 200)])
def test_a_rate_limit_is_a_retryable_refusal_and_the_retry_goes_through(code: str, http: int) -> None:
    async def scenario(desk: Desk) -> None:
        order = intended("o", limit_price="79000")
        desk.okx.faults.plan("trade/order", Fault.ANSWER_BEFORE, code=code, http=http)
        outcome = await submitted(desk, order)
        assert isinstance(outcome, Refused)
        assert (outcome.code, outcome.retryable) == (code, True)
        assert isinstance(await submitted(desk, order), Accepted)

    at_desk(scenario)


def test_a_storm_of_orders_meets_the_venues_own_limit() -> None:
    async def scenario(desk: Desk) -> None:
        orders = [intended(f"o{n}", limit_price="79000", quantity="0.01") for n in range(70)]
        outcomes = await asyncio.gather(*(submitted(desk, order) for order in orders))
        refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
        assert sum(isinstance(outcome, Accepted) for outcome in outcomes) == 60
        assert {(outcome.code, outcome.retryable) for outcome in refused} == {("50011", True)}
        assert len(refused) == 10

    at_desk(scenario)


def test_a_storm_of_orders_is_spaced_so_that_the_venue_refuses_none() -> None:
    async def scenario(desk: Desk) -> None:
        orders = [intended(f"o{n}", limit_price="79000", quantity="0.01") for n in range(70)]
        answers = asyncio.gather(*(submitted(desk, order) for order in orders))
        outcomes = await answers
        assert [outcome for outcome in outcomes if not isinstance(outcome, Accepted)] == []
        assert count(desk, "trade/order") == len(desk.okx.venue.trading.open_orders(BTC)) == 70

    at_desk(scenario, paced=True)


def test_an_id_that_is_at_the_venue_is_in_doubt_never_refused() -> None:
    async def scenario(desk: Desk) -> None:
        await submitted(desk, market("held"))
        for order, code in ((intended("o", limit_price="79000"), "51016"), (stop("s"), "51065")):
            assert isinstance(await submitted(desk, order), Accepted)
            again = await submitted(desk, order)
            assert isinstance(again, InDoubt)
            assert again.code == code

    at_desk(scenario)


@pytest.mark.parametrize(("fault", "there"), [(Fault.ROW_AFTER, True), (Fault.ROW_BEFORE, False)])
def test_a_timed_out_algo_order_is_in_doubt_until_it_is_asked_for(fault: Fault, there: bool) -> None:
    async def scenario(desk: Desk) -> None:
        await submitted(desk, market("held"))
        desk.okx.faults.plan("trade/order-algo", fault, code="51149")
        outcome = await submitted(desk, stop("s"))
        assert isinstance(outcome, InDoubt)
        assert (await desk.client.find_order(order_id("s"), BTC, is_algo=True) is not None) is there

    at_desk(scenario)


@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE, Fault.DROP_AFTER, Fault.HANG_AFTER, Fault.GARBAGE_AFTER])
def test_changes_and_cancels_without_an_answer_are_in_doubt_and_may_be_asked_again(fault: Fault) -> None:
    async def scenario(desk: Desk) -> None:
        await submitted(desk, market("held", quantity="2"))
        for order, amend_path, cancel_path in (
            (target("t", quantity="2"), "trade/amend-order", "trade/cancel-order"),
            (stop("s", quantity="2"), "trade/amend-algos", "trade/cancel-algos"),
        ):
            await submitted(desk, order)
            desk.okx.faults.plan(amend_path, fault)
            change = amended(order, quantity="1")
            assert isinstance(await desk.client.amend(change, order, desk.instrument(order)), InDoubt)
            assert isinstance(await desk.client.amend(change, order, desk.instrument(order)), Accepted)
            desk.okx.faults.plan(cancel_path, fault)
            assert isinstance(await desk.client.cancel(order), InDoubt)
            again = await desk.client.cancel(order)
            assert isinstance(again, Refused if fault.executes else Accepted)

    at_desk(scenario, order_timeout_ms=300)


def test_maintenance_leaves_orders_in_doubt() -> None:
    async def scenario(desk: Desk) -> None:
        desk.okx.control.start_maintenance()
        outcome = await submitted(desk, intended("o", limit_price="79000"))
        assert isinstance(outcome, InDoubt)
        assert outcome.code == "50001"
        desk.okx.control.end_maintenance()
        assert await desk.client.find_order(order_id("o"), BTC, is_algo=False) is None

    at_desk(scenario)


def test_with_nobody_listening_nothing_was_sent() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.okx.stop()
        outcome = await submitted(desk, intended("o", limit_price="79000"))
        assert isinstance(outcome, Refused)
        assert (outcome.code, outcome.retryable) == ("NOT_SENT", True)
        with pytest.raises(VenueUnavailable, match="trade/order"):
            await desk.client.find_order(order_id("o"), BTC, is_algo=False)
        await desk.okx.start(desk.okx.port)
        assert isinstance(await submitted(desk, intended("o", limit_price="79000")), Accepted)

    at_desk(scenario)


@pytest.mark.parametrize(
    "key",
    [
        ApiKey("unknown", LIVE_KEY.secret, LIVE_KEY.passphrase),
        ApiKey(LIVE_KEY.key, "wrong", LIVE_KEY.passphrase),
        ApiKey(LIVE_KEY.key, LIVE_KEY.secret, "wrong"),
        ApiKey(LIVE_KEY.key, LIVE_KEY.secret, LIVE_KEY.passphrase, demo=True),
    ],
)
def test_a_wrong_key_is_refused_for_certain(key: ApiKey) -> None:
    async def scenario(desk: Desk) -> None:
        outcome = await submitted(desk, intended("o", limit_price="79000"))
        assert isinstance(outcome, Refused)
        assert outcome.code.startswith("501")
        with pytest.raises(VenueUnavailable, match="HTTP 401"):
            await desk.client.account_config()

    at_desk(scenario, key=key)


@pytest.mark.parametrize("fault", [*SILENT, Fault.ANSWER_BEFORE])
def test_a_question_without_an_answer_raises(fault: Fault) -> None:
    async def scenario(desk: Desk) -> None:
        desk.client._queries.timeout = 300
        for path in ("GET trade/order", "trade/orders-pending", "account/positions", "account/bills", "trade/fills"):
            desk.okx.faults.plan(path, fault, times=2)  # aiohttp repeats a GET once when its connection breaks
        asked = (
            lambda: desk.client.find_order(order_id("o"), BTC, is_algo=False),
            desk.client.open_orders,
            desk.client.positions,
            lambda: desk.client.bills(desk.now()),
            lambda: desk.client.fills(desk.now()),
        )
        for ask in asked:
            with pytest.raises(VenueUnavailable):
                await ask()

    at_desk(scenario)


def test_leverage_counts_only_when_read_back() -> None:
    async def scenario(desk: Desk) -> None:
        client = desk.client
        assert await client.set_leverage(BTC, MarginMode.ISOLATED, 17) == LeverageSet(17)
        assert await client.set_leverage(BTC, MarginMode.ISOLATED, 17) == LeverageSet(17)
        assert count(desk, "account/set-leverage") == 1
        too_high = await client.set_leverage(BTC, MarginMode.ISOLATED, 126)
        assert isinstance(too_high, Refused)
        assert too_high.code == "59102"
        desk.okx.faults.plan("account/set-leverage", Fault.DROP_BEFORE)
        assert isinstance(await client.set_leverage(BTC, MarginMode.ISOLATED, 5), InDoubt)
        desk.okx.faults.plan("account/leverage-info", Fault.DROP_BEFORE, skip=1, times=2)
        assert isinstance(await client.set_leverage(BTC, MarginMode.ISOLATED, 6), InDoubt)
        desk.okx.faults.plan("account/set-leverage", Fault.ANSWER_BEFORE, code="0", http=200)
        unchanged = await client.set_leverage(BTC, MarginMode.ISOLATED, 8)
        assert unchanged == InDoubt("asked for 8, the venue says ['6']")
        assert await client.set_leverage(BTC, MarginMode.CROSS, 3) == LeverageSet(3)

    at_desk(scenario)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirected_order_is_not_sent_again_elsewhere(status: int) -> None:
    async def scenario(desk: Desk) -> None:
        async def moved(request: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": desk.okx.rest_url + request.path})

        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", moved)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            desk.client._orders.urls["api"]["rest"] = f"http://127.0.0.1:{runner.addresses[0][1]}"
            outcome = await submitted(desk, intended("o", limit_price="79000"))
        finally:
            await runner.cleanup()
        assert isinstance(outcome, InDoubt)
        assert count(desk, "trade/order") == 0

    at_desk(scenario)


def test_a_client_that_is_closed_sends_nothing() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.client.close()
        outcome = await submitted(desk, intended("o", limit_price="79000"))
        assert isinstance(outcome, Refused)
        assert outcome.code == "NOT_SENT"
        assert count(desk, "trade/order") == 0

    at_desk(scenario)


def test_a_host_clock_that_is_wrong_is_measured_and_one_that_is_set_means_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(desk: Desk) -> None:
        desk.okx.clock.skew_ms = 90_000
        outcome = await submitted(desk, intended("o", limit_price="79000"))
        assert isinstance(outcome, Refused)
        assert outcome.code == "50102"
        await desk.client.server_time()
        assert abs((desk.client.clock.offset_us or 0) - 90_000_000) < 1_000_000
        assert isinstance(await submitted(desk, intended("p", limit_price="79000")), Accepted)
        for exchange in (desk.client._orders, desk.client._queries):  # set back by decades: what was measured goes on
            monkeypatch.setattr(exchange, "milliseconds", lambda: 0)
        monkeypatch.setattr(desk.client.clock, "_wall", lambda: 0)
        assert isinstance(await submitted(desk, intended("q", limit_price="79000")), Accepted)
        await desk.listen()  # the login's signature follows the same clock

    at_desk(scenario, rules=Rules())
