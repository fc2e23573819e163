"""Order operations as REST and WebSocket share them: rows in, a reply with one result per row out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.fakes.okx import checks
from tests.fakes.okx.errors import VenueError
from tests.fakes.okx.limits import RateLimits
from tests.fakes.okx.orders import Algo, Order
from tests.fakes.okx.push import Row
from tests.fakes.okx.venue import Venue

BULK = 20
FAILED, PARTLY = "All operations failed", "Bulk operation partially succeeded"
WHOLE = ("50014", "51000", "50015")
"""Refused as a whole when a single order is asked for: a malformed request."""


@dataclass(slots=True)
class Reply:
    """What an endpoint answers: ``data`` and the envelope."""

    data: Sequence[object] = ()
    code: str = "0"
    message: str = ""
    fields: Row = field(default_factory=dict)

    def body(self) -> Row:
        """Return the reply as the wire shows it."""
        return {"code": self.code, "data": list(self.data), "msg": self.message} | self.fields


def micros() -> str:
    """Return this machine's time in microseconds, as ``inTime`` and ``outTime`` show it."""
    return str(time.time_ns() // 1000)


class Operations:
    """Trading requests against one venue, with their limits."""

    def __init__(self, venue: Venue, limits: RateLimits) -> None:
        """Work on this venue."""
        self.venue, self.limits = venue, limits

    def run(self, endpoint: str, rows: Sequence[Row], *, single: bool, deadline: str = "") -> Reply:
        """Carry out ``trade/<endpoint>`` for these rows; ``single``: not a batch."""
        began = micros()
        if len(rows) > BULK:
            raise VenueError("51111", BULK)
        self._count(endpoint, rows)
        one = {"order": self._place, "batch-orders": self._place, "amend-order": self._amend}
        act = one.get(endpoint) or (self._amend if "amend" in endpoint else self._cancel)
        results = [self._one(act, row, deadline if act != self._cancel else "", single=single) for row in rows]
        reply = self._envelope(results)
        reply.fields = {"inTime": began, "outTime": micros()}
        return reply

    def _envelope(self, results: list[Row]) -> Reply:
        failed = sum(row["sCode"] != "0" for row in results)
        if not failed:
            return Reply(results)
        if failed == len(results):
            return Reply(results, "1", FAILED)
        return Reply(results, self.venue.rules.partial_batch_code, PARTLY)

    def _count(self, endpoint: str, rows: Sequence[Row]) -> None:
        for inst_id in sorted({self._instrument(row) for row in rows}):
            times = sum(self._instrument(row) == inst_id for row in rows)
            self.limits.count(f"trade/{endpoint}", inst_id, times)
        if "cancel" not in endpoint:
            self.limits.count_orders(len(rows))

    def _instrument(self, row: Row) -> str:
        # WebSocket rows name the instrument by ``instIdCode``; the row is completed in place.
        if "instId" not in row and "instIdCode" in row:
            found = (i.inst_id for i in self.venue.instruments.values() if str(i.code) == str(row["instIdCode"]))
            row["instId"] = next(found, "")
        return str(row.get("instId", ""))

    def _one(self, act: Callable[[Row], Row], row: Row, deadline: str, *, single: bool) -> Row:
        try:
            checks.check_deadline(self.venue, deadline)
            return act(row) | {"sCode": "0", "sMsg": "", "ts": str(self.venue.clock.now_ms())}
        except VenueError as refused:
            if single and refused.code in WHOLE:
                raise
            ids = {
                "ordId": str(row.get("ordId", "")),
                "clOrdId": str(row.get("clOrdId", "")),
                "tag": str(row.get("tag", "")),
            }
            return ids | {
                "sCode": refused.code,
                "sMsg": refused.message,
                "subCode": "",
                "ts": str(self.venue.clock.now_ms()),
            }

    def _place(self, row: Row) -> Row:
        order = self.venue.trading.place(row)
        return _ids(order) | {"tag": order.asked("tag"), "subCode": ""}

    def _amend(self, row: Row) -> Row:
        return _ids(self.venue.trading.amend(row)) | {"reqId": str(row.get("reqId", "")), "subCode": ""}

    def _cancel(self, row: Row) -> Row:
        return _ids(self.venue.trading.cancel(row))

    # --- algo orders

    def algo(self, action: str, rows: Sequence[Row]) -> Reply:
        """Carry out ``order-algo``, ``cancel-algos`` or ``amend-algos``; a refusal sits in the row (``Rules``)."""
        for row in rows:
            self.limits.count(f"trade/{action}", str(row.get("instId", "")))
        algos = self.venue.algos
        act = {"order-algo": algos.place, "cancel-algos": algos.cancel, "amend-algos": algos.amend}[action]
        results = [self._one_algo(act, row) for row in rows]
        refused = bool(results) and all(row["sCode"] != "0" for row in results)
        return Reply(results, self.venue.rules.algo_refusal_code if refused else "0")

    def _one_algo(self, act: Callable[[Row], Algo], row: Row) -> Row:
        try:
            algo = act(row)
        except VenueError as refused:
            ids = {"algoId": str(row.get("algoId", "")), "algoClOrdId": str(row.get("algoClOrdId", ""))}
            return ids | {"clOrdId": "", "tag": "", "sCode": refused.code, "sMsg": refused.message}
        ids = {"algoId": algo.algo_id, "algoClOrdId": algo.asked("algoClOrdId"), "tag": algo.asked("tag")}
        return ids | {"clOrdId": "", "sCode": "0", "sMsg": ""}


def refused_rows(rows: Sequence[Row], refusal: VenueError) -> Reply:
    """Return what the venue answers if it refuses every row for the same reason."""
    named = ("ordId", "clOrdId", "tag", "algoId", "algoClOrdId")
    words: Row = {"sCode": refusal.code, "sMsg": refusal.message, "subCode": ""}
    return Reply([{name: str(row.get(name, "")) for name in named} | words for row in rows], "1", FAILED)


def _ids(order: Order) -> Row:
    return {"ordId": order.ord_id, "clOrdId": order.asked("clOrdId")}
