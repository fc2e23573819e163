"""Algo orders: stops, targets, triggers and trailing stops, which wait outside the book until a price is reached."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from tests.fakes.okx import checks
from tests.fakes.okx.errors import VenueError
from tests.fakes.okx.instruments import Instrument
from tests.fakes.okx.numbers import ZERO, is_multiple, parse, text
from tests.fakes.okx.orders import Algo, Order
from tests.fakes.okx.push import Push, Row

if TYPE_CHECKING:
    from tests.fakes.okx.venue import Venue

SOURCES = {"conditional": "7", "oco": "7", "trigger": "6", "move_order_stop": "25"}
"""``source`` of the order an algo places, by its type."""
LEGS = (("tp", "buy"), ("sl", "buy"), ("tp", "sell"), ("sl", "sell"))
WRONG_SIDE = {
    "last": dict(zip(LEGS, ("51277", "51278", "51279", "51280"), strict=True)),
    "mark": dict(zip(LEGS, ("51300", "51302", "51303", "51304"), strict=True)),
    "index": dict(zip(LEGS, ("51305", "51306", "51307", "51308"), strict=True)),
}
"""Refusal of a trigger price on the wrong side, by price type, leg and side."""
AMENDABLE = {
    "newSz": "sz",
    "newSlTriggerPx": "slTriggerPx",
    "newSlOrdPx": "slOrdPx",
    "newSlTriggerPxType": "slTriggerPxType",
    "newTpTriggerPx": "tpTriggerPx",
    "newTpOrdPx": "tpOrdPx",
    "newTpTriggerPxType": "tpTriggerPxType",
    "newTriggerPx": "triggerPx",
    "newOrdPx": "orderPx",
    "newTriggerPxType": "triggerPxType",
}


class Algos:
    """The algo orders of one account, by id; the venue owns it."""

    def __init__(self, venue: Venue) -> None:
        """Start with none; ``attach_failures`` holds (code, reason) for the next attached orders to fail with."""
        self.venue = venue
        self.algos: dict[str, Algo] = {}
        self.attach_failures: list[tuple[str, str]] = []

    def find(self, algo_id: str = "", client_id: str = "") -> Algo | None:
        """Return the algo by id, else the latest with that client id; None if unknown."""
        if algo_id:
            return self.algos.get(algo_id)
        return next((a for a in reversed(self.algos.values()) if a.asked("algoClOrdId") == client_id), None)

    def open_algos(self, inst_id: str = "") -> list[Algo]:
        """Return the ones that can still trigger, oldest first."""
        return [a for a in self.algos.values() if a.is_open and (not inst_id or a.instrument.inst_id == inst_id)]

    def row(self, algo: Algo) -> Row:
        """Return its row as of now."""
        return algo.row(self.venue.market(algo.instrument.inst_id).last)

    # --- place

    def place(self, raw: Row) -> Algo:
        """Accept an algo order; raises what the venue refuses."""
        request = checks.flatten(raw)
        request.setdefault("orderPx", request.get("ordPx", ""))
        checks.require(request, "instId", "tdMode", "side", "ordType")
        instrument = self.venue.instrument(request["instId"])
        if request["ordType"] not in SOURCES:
            raise VenueError("51000", "ordType")
        if request["side"] not in {"buy", "sell"}:
            raise VenueError("51000", "side")
        checks.check_ids(request, "algoClOrdId")
        if request.get("algoClOrdId") and self.holds(request["algoClOrdId"]):
            raise VenueError("51065")
        checks.check_trading(instrument, request["ordType"])
        checks.check_mode(self.venue, instrument, request)
        checks.check_quote_currency(self.venue, instrument, request)
        self._check_size(instrument, request)
        self._check_prices(instrument, request)
        return self._add(instrument, request)

    def _add(self, instrument: Instrument, request: dict[str, str], parent: str = "") -> Algo:
        now = self.venue.clock.now_ms()
        lever = self.venue.account.lever(instrument.inst_id, request["tdMode"], request.get("posSide", "net"))
        algo = Algo(self.venue.next_id(), instrument, request, now, now, lever, parent)
        if request["ordType"] == "trigger":
            algo.rises = Decimal(request["triggerPx"]) > self._price(algo, "triggerPxType")
        algo.held_once = bool(self._held(algo))
        self.algos[algo.algo_id] = algo
        self._tell(algo)
        return algo

    def holds(self, client_id: str) -> bool:
        """Is the client id taken?"""
        found = self.find(client_id=client_id)
        return found is not None and (found.is_open or self.venue.rules.duplicate_ids_forever)

    def _check_size(self, instrument: Instrument, request: dict[str, str]) -> None:
        fraction = request.get("closeFraction")
        if request["ordType"] == "trigger":
            self._check_trigger_flags(request)
        if fraction is None or fraction == "":
            checks.require(request, "sz")
            last = self.venue.market(instrument.inst_id).last
            checks.read_size(instrument, request, market_price=last if request.get("slOrdPx") == "-1" else None)
            return
        if request.get("sz"):
            raise VenueError("50024", "sz", "closeFraction")
        if fraction != "1" or request["ordType"] not in {"conditional", "oco"}:
            raise VenueError("51000", "closeFraction")
        if self.venue.account.level == "4":
            raise VenueError("51332")
        if not instrument.is_swap:
            raise VenueError("51327")
        if request.get("posSide", "net") == "net" and request.get("reduceOnly") != "true":
            raise VenueError("51328")
        if {request.get("slOrdPx", "-1"), request.get("tpOrdPx", "-1")} != {"-1"}:
            raise VenueError("51330")
        if any(self._same_whole(other, request) for other in self.open_algos(instrument.inst_id)):
            raise VenueError("51088")

    @staticmethod
    def _check_trigger_flags(request: dict[str, str]) -> None:
        # Two adapters measured it on the real venue: neither flag works on a trigger order.
        if request.get("reduceOnly") == "true":
            raise VenueError("51205")
        if request.get("closeFraction") and not request.get("sz"):
            raise VenueError("51000", "sz")

    def _same_whole(self, other: Algo, request: dict[str, str]) -> bool:
        same = all(other.asked(name, "net") == request.get(name, "net") for name in ("tdMode", "posSide"))
        return other.closes_all and same

    def _check_prices(self, instrument: Instrument, request: dict[str, str]) -> None:
        kind = request["ordType"]
        if kind == "trigger":
            self._check_trigger(instrument, request, "triggerPx", "orderPx", "triggerPxType")
        elif kind == "move_order_stop":
            if not (request.get("callbackRatio") or request.get("callbackSpread")):
                raise VenueError("50015", "callbackRatio", "callbackSpread")
        else:
            legs = [leg for leg in ("tp", "sl") if request.get(f"{leg}TriggerPx")]
            if not legs or (kind == "oco" and len(legs) != 2):
                raise VenueError("50014", "slTriggerPx")
            for leg in legs:
                self._check_trigger(instrument, request, f"{leg}TriggerPx", f"{leg}OrdPx", f"{leg}TriggerPxType")
                self._check_side(instrument, request, leg)

    def _check_trigger(
        self, instrument: Instrument, request: dict[str, str], trigger: str, order: str, kind: str
    ) -> None:
        request[kind] = request.get(kind) or "last"
        price, limit = parse(request.get(trigger)), parse(request.get(order))
        if price is None or price <= 0 or not is_multiple(price, instrument.tick):
            raise VenueError("51000", trigger)
        if limit is None or (limit != -1 and (limit <= 0 or not is_multiple(limit, instrument.tick))):
            raise VenueError("51000", order)
        if request[kind] not in WRONG_SIDE:
            raise VenueError("51000", kind)
        if not instrument.is_swap and request[kind] != "last":
            raise VenueError("51415")

    def _check_side(self, instrument: Instrument, request: dict[str, str], leg: str) -> None:
        # A selling stop lies below the market and its target above; a buying one the other way round.
        trigger = Decimal(request[f"{leg}TriggerPx"])
        now = self._market_price(instrument.inst_id, request[f"{leg}TriggerPxType"])
        above = (leg == "tp") == (request["side"] == "sell")
        if (trigger <= now) if above else (trigger >= now):
            codes = WRONG_SIDE[request[f"{leg}TriggerPxType"]]
            raise VenueError(codes[leg, request["side"]])

    # --- amend and cancel

    def amend(self, raw: Row) -> Algo:
        """Change sizes and trigger prices of an open algo order."""
        request = checks.flatten(raw)
        algo = self._addressed(request, "51503")
        if request.get("newTriggerPx") and not request.get("newOrdPx"):
            raise VenueError("50014", "newOrdPx")
        changed = {field: request[name] for name, field in AMENDABLE.items() if request.get(name)}
        watched = {f"{name}Type": "last" for name in ("slTriggerPx", "tpTriggerPx", "triggerPx") if name in changed}
        wanted = (
            algo.request | watched | changed
        )  # a type left out is the default, the worse reading of the venue's page
        self._check_size_amended(algo, wanted)
        self._check_prices(algo.instrument, wanted)
        algo.request, algo.updated_ms = wanted, self.venue.clock.now_ms()
        self._tell(algo, amendResult="0", reqId=request.get("reqId", ""))
        return algo

    def _check_size_amended(self, algo: Algo, wanted: dict[str, str]) -> None:
        if not algo.closes_all:
            checks.read_size(algo.instrument, wanted)
        elif wanted.get("sz"):
            raise VenueError("51524")

    def cancel(self, raw: Row) -> Algo:
        """Cancel an open algo order."""
        algo = self._addressed(checks.flatten(raw), "51400")
        self._end(algo)
        return algo

    def _addressed(self, request: dict[str, str], otherwise: str) -> Algo:
        checks.require(request, "instId")
        algo_id, client_id = request.get("algoId", ""), request.get("algoClOrdId", "")
        if not algo_id and not client_id:
            raise VenueError("50015", "algoId", "algoClOrdId")
        algo = self.find(algo_id, client_id)
        if algo is None or not algo.is_open or algo.instrument.inst_id != request["instId"]:
            raise VenueError(otherwise)
        return algo

    def _end(self, algo: Algo) -> None:
        algo.state, algo.updated_ms = "canceled", self.venue.clock.now_ms()
        self._tell(algo)

    # --- attached orders

    def attach(self, order: Order) -> None:
        """Generate the TP/SL orders of an entry that is filled completely; until then there are none."""
        for row in order.attached:
            if self.attach_failures:
                row["failCode"], row["failReason"] = self.attach_failures.pop(0)
                self.venue.tell(
                    Push("orders", [order.push_row()], order.instrument.inst_id, order.instrument.inst_type)
                )
                continue
            self._add(order.instrument, self._attached_request(order, row), order.ord_id)

    def _attached_request(self, order: Order, row: Row) -> dict[str, str]:
        both = row["tpTriggerPx"] and row["slTriggerPx"]
        hedged = order.asked("posSide", "net") != "net"
        names = ("tpTriggerPx", "tpOrdPx", "tpTriggerPxType", "slTriggerPx", "slOrdPx", "slTriggerPxType")
        request = {name: str(row[name]) for name in names}
        return request | {
            "instId": order.instrument.inst_id,
            "tdMode": order.asked("tdMode"),
            "posSide": order.asked("posSide", "net"),
            "side": "sell" if order.side == "buy" else "buy",
            "ordType": "oco" if both else "conditional",
            "sz": str(row["sz"]) or text(order.filled),
            "algoClOrdId": str(row["attachAlgoClOrdId"]),
            "reduceOnly": "true" if self.venue.rules.attached_reduce_only and not hedged else "false",
        }

    # --- trigger

    def sweep(self, inst_id: str) -> None:
        """Trigger what a price reached; cancel whole-position orders whose position is gone."""
        for algo in self.open_algos(inst_id):
            if algo.is_open:
                self._consider(algo)
        for algo in self.open_algos(inst_id):
            if algo.closes_all:
                self._follow_position(algo)

    def _follow_position(self, algo: Algo) -> None:
        held = bool(self._held(algo))
        if algo.held_once and not held and self.venue.rules.close_fraction_dies_with_position:
            self._end(algo)
        algo.held_once = algo.held_once or held

    def _consider(self, algo: Algo) -> None:
        kind = algo.asked("ordType")
        if kind == "trigger":
            reached = self._price(algo, "triggerPxType") - Decimal(algo.asked("triggerPx"))
            if reached >= 0 if algo.rises else reached <= 0:
                self._trigger(algo, "", algo.asked("orderPx"))
        elif kind == "move_order_stop":
            self._trail(algo)
        else:
            for leg in ("sl", "tp"):
                if algo.asked(f"{leg}TriggerPx") and self._leg_reached(algo, leg):
                    self._trigger(algo, leg, algo.asked(f"{leg}OrdPx"))
                    return

    def _leg_reached(self, algo: Algo, leg: str) -> bool:
        trigger, now = Decimal(algo.asked(f"{leg}TriggerPx")), self._price(algo, f"{leg}TriggerPxType")
        falls = (leg == "sl") == (algo.side == "sell")
        return now <= trigger if falls else now >= trigger

    def _trail(self, algo: Algo) -> None:
        # The extreme follows the market once the activation price was seen; the callback fires it.
        now, sells = self._market_price(algo.instrument.inst_id, "last"), algo.side == "sell"
        active = parse(algo.asked("activePx"))
        if algo.extreme is None and active is not None and (now < active if sells else now > active):
            return
        best = now if algo.extreme is None else (max if sells else min)(algo.extreme, now)
        algo.extreme = best
        spread = parse(algo.asked("callbackSpread")) or best * Decimal(algo.asked("callbackRatio", "0"))
        if now <= best - spread if sells else now >= best + spread:
            self._trigger(algo, "sl", "-1")

    def _trigger(self, algo: Algo, leg: str, price: str) -> None:
        now = self.venue.clock.now_ms()
        algo.triggered_ms = algo.updated_ms = now
        algo.actual_side = leg
        algo.state = "effective"
        try:
            order = self.venue.trading.place(
                self._order_request(algo, price), source=SOURCES[algo.asked("ordType")], algo=algo
            )
        except VenueError as refused:
            algo.state, algo.fail_code = "order_failed", refused.code
        else:
            algo.actual_size, algo.actual_price = order.filled, order.average
        self._tell(algo)

    def _order_request(self, algo: Algo, price: str) -> Row:
        size = text(self._held(algo)) if algo.closes_all else algo.asked("sz")
        if size == "0":
            raise VenueError("51169")
        request: Row = {name: algo.asked(name) for name in ("instId", "tdMode", "side", "tag", "ccy", "tgtCcy")}
        request |= {
            "clOrdId": f"O{algo.algo_id}",  # made by the venue, as seen on live accounts
            "posSide": algo.asked("posSide", "net"),
            "sz": size,
            "reduceOnly": algo.asked("reduceOnly", "false"),
        }
        return request | ({"ordType": "market"} if price == "-1" else {"ordType": "limit", "px": price})

    def _held(self, algo: Algo) -> Decimal:
        key = (algo.instrument.inst_id, algo.asked("tdMode"), algo.asked("posSide", "net"))
        held = self.venue.account.position(*key)
        return abs(held.size) if held else ZERO

    def _price(self, algo: Algo, kind: str) -> Decimal:
        return self._market_price(algo.instrument.inst_id, algo.asked(kind, "last"))

    def _market_price(self, inst_id: str, kind: str) -> Decimal:
        market = self.venue.market(inst_id)
        return {"last": market.last, "mark": market.mark, "index": market.index}[kind]

    def _tell(self, algo: Algo, **extra: str) -> None:
        rows = [self.row(algo) | extra]
        self.venue.tell(Push("orders-algo", rows, algo.instrument.inst_id, algo.instrument.inst_type))
