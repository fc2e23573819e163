"""The trading client: what ``venue.py`` promises, spoken to OKX. Sends once, sorts every answer, decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

import aiohttp
import ccxt
import structlog

from schemas.events.common import MarginMode, PositionSide
from schemas.events.market import InstrumentDefined, InstrumentKind
from schemas.events.orders import AmendIntended, OrderIntended
from schemas.ids import is_client_order_id
from schemas.values import Micros, Price, Quantity
from services.gateways.okx import fields, replies, requests
from services.gateways.okx.asking import FAILURES, Questions, read_all
from services.gateways.okx.clock import VenueClock
from services.gateways.okx.exchange import DEADLINE, Credentials, OkxExchange, VenueReply, exchange
from services.gateways.okx.facts import (
    AccountConfig,
    ClosedPosition,
    FeeRates,
    OrderStatus,
    PositionMode,
    VenueBalance,
    VenueBill,
    VenueExecution,
    VenueHolding,
    VenueOrder,
)
from services.gateways.okx.hosts import Hosts
from services.gateways.okx.outcomes import read_outcome
from services.gateways.okx.pace import ORDERS, NoTurn, Pace
from services.gateways.okx.requests import ENTRY_TAG, NotSendable, Request
from services.gateways.okx.stream import PrivateStream
from services.gateways.okx.updates import Reader, Remembered, identity
from services.gateways.okx.venue import (
    SEND_DEADLINE_US,
    InDoubt,
    LeverageSet,
    Outcome,
    Refused,
    Update,
    VenueClient,
    VenueUnavailable,
)

ORDER_TIMEOUT_MS = 5000
QUERY_TIMEOUT_MS = 10_000
ALGO_KINDS = ("conditional", "oco", "trigger", "move_order_stop")
"""Algo orders that are asked for; iceberg, TWAP and chase orders are not ours and protect nothing."""
DAY_US = 86_400_000_000
RECENT_FILLS_US = 3 * DAY_US - 3_600_000_000
RECENT_BILLS_US = 7 * DAY_US - 3_600_000_000
"""How far back the short endpoints reach, less an hour. Source: OKX v5, transaction and bills details."""
CLOCK_SAMPLES = 3

log = structlog.get_logger(__name__)


class OkxClient:
    """A VenueClient. Orders have a connection pool of their own, so that no query delays them."""

    def __init__(self, orders: OkxExchange, queries: OkxExchange, mode: PositionMode, pace: Pace) -> None:
        self._orders, self._queries, self._mode, self._pace = orders, queries, mode, pace
        self._questions, self._reader = Questions(queries, pace), Reader()
        self._makers = Remembered[dict[str, str]]()
        self.position_mode, self.clock = mode, VenueClock()
        orders.now = queries.now = self.clock.now
        self._stream = PrivateStream(queries, self._reader.read, self.clock.now, self._keep_time)

    # --- requests

    async def submit(self, order: OrderIntended, instrument: InstrumentDefined) -> Outcome:
        """See VenueClient."""
        now = self.clock.now()
        if order.valid_until is not None and now >= order.valid_until:
            return Refused("PAST_VALID_UNTIL", f"valid_until={order.valid_until}, the venue's clock says {now}")
        try:
            request = requests.place(order, instrument, self._mode)
        except NotSendable as error:
            return Refused("NOT_SENDABLE", str(error))
        return await self._send(request, order.instrument_id, order.valid_until or now + SEND_DEADLINE_US)

    async def amend(self, change: AmendIntended, order: OrderIntended, instrument: InstrumentDefined) -> Outcome:
        """See VenueClient."""
        try:
            request = requests.amend(change, order, instrument)
        except NotSendable as error:
            return Refused("NOT_SENDABLE", str(error))
        return await self._send(request, order.instrument_id, self.clock.now() + SEND_DEADLINE_US)

    async def cancel(self, order: OrderIntended) -> Outcome:
        """See VenueClient."""
        return await self._send(requests.cancel(order), order.instrument_id, None)

    async def _send(self, request: Request, instrument_id: str, deadline: int | None) -> Outcome:
        """Send once, in its turn. ``deadline``: UTC microseconds by the venue's clock; None: a cancel is never late."""
        try:
            await self._turn(request, instrument_id, counts=deadline is not None)
        except NoTurn as error:
            return _unanswered(error)
        if deadline is not None and self.clock.now() >= deadline:
            return Refused("PAST_VALID_UNTIL", f"deadline={deadline} went by while its turn was waited for")
        parameters = request.parameters
        if deadline is not None and not request.algo:
            assert isinstance(parameters, dict)
            parameters = {**parameters, DEADLINE: deadline // 1000}
        try:
            reply = await self._orders.request(request.path, ["private"], "POST", parameters)
        except VenueReply as error:
            return read_outcome(error.reply, algo=request.algo, http_status=error.http_status)
        except FAILURES as error:
            return _unanswered(error)
        return read_outcome(reply, algo=request.algo)

    async def _turn(self, request: Request, instrument_id: str, *, counts: bool) -> None:
        if counts:
            await self._pace.turn(ORDERS)
        await self._pace.turn(f"POST {request.path}", "" if request.algo else instrument_id)

    # --- orders and fills

    async def find_order(self, client_order_id: str, instrument_id: str, *, is_algo: bool) -> VenueOrder | None:
        """See VenueClient."""
        if not is_algo:
            return await self._order({"instId": instrument_id, "clOrdId": client_order_id})
        path = "trade/order-algo"
        rows = await self._questions.rows(path, {"algoClOrdId": client_order_id})
        if not rows:
            return None
        algo = max(read_all(path, rows, replies.algo_order), key=lambda order: order.ts_created)
        self._reader.owners.learn(algo.venue_order_id, client_order_id)
        if algo.status not in (OrderStatus.TRIGGERED, OrderStatus.FILLED):
            return algo
        children = [await self._order({"instId": instrument_id, "ordId": child}) for child in algo.child_order_ids]
        return _with_children(algo, [child for child in children if child is not None])

    async def _order(self, parameters: dict[str, str]) -> VenueOrder | None:
        rows = await self._questions.rows("trade/order", parameters)
        orders = read_all("trade/order", rows, lambda row: replies.order(row, self._reader.owners.get))
        return max(orders, key=lambda order: order.ts_created, default=None)

    async def open_orders(self) -> Sequence[VenueOrder]:
        """See VenueClient."""
        rows = await self._questions.pages("trade/orders-pending", {}, "ordId")
        found = read_all("trade/orders-pending", rows, lambda row: replies.order(row, self._reader.owners.get))
        for kind in ALGO_KINDS:
            rows = await self._questions.pages("trade/orders-algo-pending", {"ordType": kind}, "algoId")
            found += read_all("trade/orders-algo-pending", rows, replies.algo_order)
        return sorted(found, key=lambda order: (order.ts_created, order.venue_order_id))

    async def fills(self, since: Micros) -> Sequence[VenueExecution]:
        """See VenueClient."""
        recent = self.clock.now() - since < RECENT_FILLS_US
        path = "trade/fills" if recent else "trade/fills-history"
        rows = []
        for product in ({},) if recent else ({"instType": "SWAP"}, {"instType": "SPOT"}):
            rows += await self._questions.pages(path, {**product, "begin": str(since // 1000)}, "billId")
        named = [await self._with_owner(row) for row in rows]
        once = {identity(fill): fill for fill in read_all(path, named, replies.execution)}
        return sorted(once.values(), key=lambda fill: (fill.ts_event, fill.trade_id))

    async def _with_owner(self, row: fields.Row) -> fields.Row:
        """Return a fill's row with the algo order it came from and who made it: the row names only the child.

        The child has no client order id, or one that OKX made (seen live by others; demo leaves it empty).
        """
        order_id = fields.text(row, "ordId")
        if is_client_order_id(fields.text(row, "clOrdId")) or not order_id:
            return row
        owner = self._reader.owners.get(order_id)
        if owner is not None:
            return {**row, "algoClOrdId": owner}
        if order_id not in self._makers:
            rows = await self._questions.rows("trade/order", {"instId": fields.text(row, "instId"), "ordId": order_id})
            made = {name: fields.text(rows[0], name) if rows else "" for name in ("algoClOrdId", "category")}
            self._makers.learn(order_id, made)
        return {**row, **self._makers[order_id]}

    # --- account

    async def positions(self) -> Sequence[VenueHolding]:
        """See VenueClient."""
        rows = await self._questions.rows("account/positions")
        return [held for held in read_all("account/positions", rows, replies.holding) if held.quantity]

    async def balances(self) -> Sequence[VenueBalance]:
        """See VenueClient."""
        row = await self._questions.row("account/balance")
        return read_all("account/balance", [row], replies.balances)[0]

    async def bills(self, since: Micros) -> Sequence[VenueBill]:
        """See VenueClient."""
        recent = self.clock.now() - since < RECENT_BILLS_US
        path = "account/bills" if recent else "account/bills-archive"
        rows = await self._questions.pages(path, {"begin": str(since // 1000)}, "billId")
        return read_all(path, rows[::-1], replies.bill)

    async def account_config(self) -> AccountConfig:
        """See VenueClient."""
        row = await self._questions.row("account/config")
        return read_all("account/config", [row], replies.account_config)[0]

    async def fee_rates(self, kind: InstrumentKind, instrument_ids: Sequence[str] = ()) -> FeeRates:
        """See VenueClient."""
        row = await self._questions.row("account/trade-fee", {"instType": kind.value})
        groups = {await self._fee_group(kind, name) for name in instrument_ids}
        return read_all("account/trade-fee", [row], partial(replies.fee_rates, groups=groups))[0]

    async def _fee_group(self, kind: InstrumentKind, instrument_id: str) -> str:
        """Return the fee group of an instrument; empty: not known."""
        wanted = {"instType": kind.value, "instId": instrument_id}
        rows = await self._questions.rows("public/instruments", wanted, public=True)
        return next((str(row.get("groupId") or "") for row in rows if row.get("instId") == instrument_id), "")

    async def closed_positions(self, since: Micros) -> Sequence[ClosedPosition]:
        """See VenueClient."""
        path = "account/positions-history"
        rows = await self._questions.pages(
            path, {"instType": "SWAP"}, "uTime", enough=lambda row: fields.first_moment(row, "uTime") < since
        )
        closed = read_all(path, rows, replies.closed_position)
        return sorted((row for row in closed if row.ts_updated >= since), key=lambda row: row.ts_updated)

    async def set_leverage(
        self,
        instrument_id: str,
        margin_mode: MarginMode,
        margin_leverage: int,
        *,
        position_side: PositionSide | None = None,
    ) -> LeverageSet | Refused | InDoubt:
        """See VenueClient."""
        wanted = {"instId": instrument_id, "mgnMode": margin_mode.value.lower()}
        side = ""
        if self._mode is PositionMode.LONG_SHORT and margin_mode is MarginMode.ISOLATED:
            if position_side is None:
                return Refused("NOT_SENDABLE", "position_side: needed in long/short mode with isolated margin")
            side = position_side.value.lower()
        try:
            if await self._leverage(wanted, side) == {Decimal(margin_leverage)}:
                return LeverageSet(Quantity(Decimal(margin_leverage)))
            refusal = await self._change_leverage({**wanted, "lever": str(margin_leverage)}, side)
            if refusal is not None:
                return refusal
            found = await self._leverage(wanted, side)
        except VenueUnavailable as error:
            return InDoubt(str(error))
        if found != {Decimal(margin_leverage)}:
            return InDoubt(f"asked for {margin_leverage}, the venue says {sorted(map(str, found))}")
        return LeverageSet(Quantity(Decimal(margin_leverage)))

    async def _leverage(self, wanted: dict[str, str], side: str) -> set[Decimal | None]:
        path = "account/leverage-info"
        rows = await self._questions.rows(path, wanted)
        kept = [row for row in rows if not side or row.get("posSide") == side]
        return set(read_all(path, kept, lambda row: fields.decimal(row, "lever")))

    async def _change_leverage(self, wanted: dict[str, str], side: str) -> Refused | InDoubt | None:
        parameters = {**wanted, "posSide": side} if side else wanted
        try:
            await self._pace.turn("POST account/set-leverage")
            await self._queries.request("account/set-leverage", ["private"], "POST", parameters)
        except VenueReply as error:
            outcome = read_outcome(error.reply, algo=False, http_status=error.http_status)
            return outcome if isinstance(outcome, Refused | InDoubt) else InDoubt(str(error))
        except FAILURES as error:
            return _unanswered(error)
        return None

    async def cancel_all_after(self, timeout_s: int) -> Micros | None:
        """See VenueClient."""
        if timeout_s and not 10 <= timeout_s <= 120:
            raise ValueError(f"timeout_s={timeout_s}: must be 0 or between 10 and 120")
        path = "trade/cancel-all-after"
        parameters = {"timeOut": str(timeout_s), "tag": ENTRY_TAG}
        try:
            await self._pace.turn(f"POST {path}")
            reply = await self._queries.request(path, ["private"], "POST", parameters)
            row = reply["data"][0]
        except (*FAILURES, LookupError, TypeError) as error:
            raise VenueUnavailable(f"{path}: {type(error).__name__}: {str(error)[:200]}") from error
        return read_all(path, [row], replies.switch_time)[0]

    # --- clock and connections

    async def server_time(self) -> Micros:
        """See VenueClient; the client's own clock follows."""
        samples = []
        for _ in range(CLOCK_SAMPLES):
            before = self.clock.steady()
            row = await self._questions.row("public/time", public=True)
            said = read_all("public/time", [row], lambda row: fields.first_moment(row, "ts"))[0]
            samples.append((before, int(said), self.clock.steady()))
        self.clock.learn(samples)
        return self.clock.now()

    async def _keep_time(self) -> None:
        """Measure the clock again, now and then; an attempt that fails leaves the last measure."""
        try:
            await self.server_time()
        except VenueUnavailable as error:
            log.info("okx clock not measured", detail=str(error))

    def updates(self) -> AsyncIterator[Update]:
        """See VenueClient."""
        return self._stream.updates()

    async def close(self) -> None:
        """See VenueClient."""
        await self._stream.close()
        await asyncio.gather(self._orders.close(), self._queries.close())


if TYPE_CHECKING:
    _is_a_venue_client: type[VenueClient] = OkxClient


def connect(
    credentials: Credentials,
    hosts: Hosts,
    mode: PositionMode,
    *,
    order_timeout_ms: int = ORDER_TIMEOUT_MS,
    paced: bool = True,
) -> OkxClient:
    """Return a client of an account; nothing is sent yet. Ask ``server_time`` first: signatures follow that clock.

    ``paced``: requests are spaced within OKX's limits, each endpoint by itself.
    """
    return OkxClient(
        exchange(credentials, hosts, timeout_ms=order_timeout_ms),
        exchange(credentials, hosts, timeout_ms=QUERY_TIMEOUT_MS),
        mode,
        Pace() if paced else Pace({}),
    )


def _unanswered(error: BaseException) -> Refused | InDoubt:
    """Return what a request without an answer came to: in doubt, unless it certainly never left this machine."""
    if isinstance(error, NoTurn):
        return Refused("NOT_SENT", str(error), retryable=True)
    if isinstance(error.__cause__, aiohttp.ClientConnectorError) or isinstance(error, ccxt.ExchangeClosedByUser):
        return Refused("NOT_SENT", f"no connection: {str(error.__cause__ or error)[:200]}", retryable=True)
    return InDoubt(f"{type(error).__name__}: {str(error)[:200]}")


def _with_children(algo: VenueOrder, children: list[VenueOrder]) -> VenueOrder:
    """Return a triggered algo order with what became of the orders it placed; without any it stays as it is."""
    if not children:
        return algo
    filled = sum((child.filled_quantity for child in children), Decimal(0))
    value = sum((child.filled_quantity * (child.avg_price or Decimal(0)) for child in children), Decimal(0))
    statuses = {child.status for child in children}
    status = statuses.pop() if len(statuses) == 1 else OrderStatus.PARTIALLY_FILLED
    return replace(
        algo,
        status=OrderStatus.TRIGGERED if status is OrderStatus.RESTING else status,
        filled_quantity=Quantity(filled),
        avg_price=Price((value / filled).quantize(Decimal("1e-12"))) if filled else None,
        ts_updated=max(child.ts_updated for child in children),
    )
