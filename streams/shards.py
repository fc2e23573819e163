"""The shards a worker has in hand: each a trader on a thread of its own, fed one batch at a time.

The event loop stays free for the broker's heartbeats while a trader computes or waits for an acknowledgement. Any
exception in a trader ends the process: Faust would acknowledge the message and go on, and a trader that has stopped
must not be asked again (kernel, section 3).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event, Lock
from typing import Any

from streams.log.base import EventLog, LogError
from streams.owners import twin_before
from streams.trader import Trader
from streams.transports.batching import Batch, Fail

REVOKE_WAIT_S = 25.0
"""How long a revoked shard may take to finish the batch in flight."""
SETTINGS_POLL_S = 0.1
QUEUED_BATCHES = 1
"""Unfinished batches behind which the next may queue up, so that a shard's thread does not wait for the event loop."""

logger = logging.getLogger("tapeline.worker")


class ShardLost(Exception):
    """A shard cannot be given up in time: the batch in flight hangs."""


class Shard:
    """One shard in hand. ``submit`` runs work on the shard's thread, in order; its failure ends the process.

    claims: this process's latest claim of each shard, of which it does not warn.

    The event loop, the watchdog and the shard's own thread use it. ``_lock`` guards the queue and the way from starting
    to live to closing, so that nothing is queued, and nothing goes live, behind a close.
    """

    def __init__(self, number: int, trader: Trader, fail: Fail, claims: dict[int, int] | None = None) -> None:
        self.number = number
        self.trader = trader
        self._claims = {} if claims is None else claims
        self.live = False
        self.moved_at = time.monotonic()
        self._fail = fail
        self._lock = Lock()
        self._closing = Event()
        self._given_up: Future[None] = Future()
        self._abandoned = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"shard-{number}")
        self._queued: deque[Future[object]] = deque()

    def submit(self, work: Callable[..., object], *arguments: object) -> Future[object]:
        """Queue work on the shard's thread."""
        with self._lock:
            future = self._enqueue(work, *arguments)
        future.add_done_callback(self._judge)
        return future

    def offer(self, work: Callable[..., object], *arguments: object, only_idle: bool = False) -> None:
        """Queue work unless the shard is being given up; ``only_idle``: nor when it has other work."""
        with self._lock:
            if self._closing.is_set() or not self.live or (only_idle and self._unfinished()):
                return
            future = self._enqueue(work, *arguments)
        future.add_done_callback(self._judge)

    def _enqueue(self, work: Callable[..., object], *arguments: object) -> Future[object]:
        future = self._thread.submit(work, *arguments)
        self._queued.append(future)
        return future

    def _judge(self, future: Future[object]) -> None:
        if future.cancelled() or (error := future.exception()) is None:
            return
        if self._abandoned:
            logger.warning("shard %d: the recovery given up ended: %s: %s", self.number, type(error).__name__, error)
        else:
            self._fail(f"shard {self.number}", error)

    async def started(self, starting: Future[object]) -> None:
        """Wait until a start has ended or the shard is given up, whichever is sooner."""
        ends: list[asyncio.Future[Any]] = [asyncio.wrap_future(starting), asyncio.wrap_future(self._given_up)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)

    async def drained(self, allowed: int = 0) -> None:
        """Wait until at most ``allowed`` pieces of work are unfinished; being cancelled does not cancel them."""
        while len(unfinished := self.unfinished()) > allowed:
            await asyncio.wait([asyncio.wrap_future(unfinished[0])])

    def unfinished(self) -> list[Future[object]]:
        """Return the pieces of work that are not finished, oldest first."""
        with self._lock:
            return self._unfinished()

    def _unfinished(self) -> list[Future[object]]:
        while self._queued and self._queued[0].done():
            self._queued.popleft()
        return list(self._queued)

    def start(self) -> None:
        """Claim and recover, once there are settings to start from. Runs on the shard's thread."""
        began = time.monotonic()
        while not self.trader.log.end_offset("settings", self.number):
            if self._closing.wait(SETTINGS_POLL_S):
                return
        if self._closing.is_set():
            return
        recovered = self.trader.start()
        self._warn_of_twin()
        with self._lock:
            if self._closing.is_set():
                return
            self.moved_at = time.monotonic()
            self.live = True
        logger.info(
            "shard %d live at step %d: %d steps replayed, %d outputs published again, %.2f s",
            self.number,
            recovered.to_step,
            recovered.to_step - recovered.from_step,
            recovered.republished,
            time.monotonic() - began,
        )

    def _warn_of_twin(self) -> None:
        trader, known = self.trader, self._claims.get(self.number)
        self._claims[self.number] = trader.epoch
        twin = twin_before(trader.log, self.number, trader.epoch, trader.worker, known=known)
        if twin is not None:
            logger.warning("shard %d: %s", self.number, twin)

    def process(self, batch: Batch) -> None:
        """Step through a batch. Runs on the shard's thread."""
        self.trader.process(batch.topic, batch.records)
        self.moved_at = time.monotonic()

    async def close(self, *, finish: bool) -> None:
        """Let the batch in flight end, leave a checkpoint if asked, and give the thread back. Raises ShardLost.

        A recovery under way is left to itself: whoever takes the shard next claims it, and what the old one still
        publishes was committed before and is only a repeat.
        """
        with self._lock:
            self._closing.set()
            live, self.live = self.live, False
            self._abandoned = not live
        if live and finish:
            self.submit(self.trader.finish)
        try:
            if live:
                async with asyncio.timeout(REVOKE_WAIT_S):
                    await self.drained()
        except TimeoutError as error:
            raise ShardLost(f"shard {self.number}: the batch in flight did not end in {REVOKE_WAIT_S} s") from error
        finally:
            self._given_up.set_result(None)
            self._thread.shutdown(wait=False)


class Shards:
    """All shards of this worker. ``make_trader``: a new, unstarted trader for a shard number."""

    def __init__(self, log: EventLog, make_trader: Callable[[int], Trader], fail: Fail) -> None:
        self._log = log
        self._make_trader = make_trader
        self._fail = fail
        self._shards: dict[int, Shard] = {}
        self._claims: dict[int, int] = {}
        self._moving_since: float | None = time.monotonic()

    async def assign(self, numbers: Collection[int]) -> None:
        """Take shards: claim, recover, publish what is missing. Returns when all of them are live."""
        await self._give_up(finish=False)  # a rebalance that overtook another may have left shards in hand
        self._moving_since = None
        logger.info("shards assigned: %s", sorted(numbers))
        fresh = [Shard(number, self._make_trader(number), self._fail, self._claims) for number in sorted(numbers)]
        self._shards.update({shard.number: shard for shard in fresh})
        starts = [(shard, shard.submit(shard.start)) for shard in fresh]
        for shard, starting in starts:
            await shard.started(starting)

    async def revoke(self, *, finish: bool = False) -> None:
        """Give every shard up, batches in flight included. ``finish``: a clean stop, leaving checkpoints."""
        if finish:
            self._moving_since = None
        elif self._moving_since is None:
            self._moving_since = time.monotonic()
        await self._give_up(finish=finish)

    async def _give_up(self, *, finish: bool) -> None:
        held, self._shards = self._shards, {}
        for shard in held.values():
            try:
                await shard.close(finish=finish)
            except ShardLost as error:
                self._fail(f"shard {shard.number}", error)

    async def take(self, batch: Batch) -> None:
        """Hand a batch to its shard, behind at most one unfinished one. A shard no longer in hand ignores it."""
        shard = self._shards.get(batch.partition)
        if shard is not None and shard.live and batch.topic in shard.trader.inputs:
            await shard.drained(QUEUED_BATCHES)
            shard.offer(shard.process, batch)

    def next_offset(self, topic: str, partition: int) -> int | None:
        """Return where reading an input goes on; None while its shard is not live here."""
        shard = self._shards.get(partition)
        if shard is None or not shard.live or topic not in shard.trader.inputs:
            return None
        return shard.trader.position(topic)

    def takes(self, topic: str, partition: int) -> bool:
        """Return whether a topic is read for a partition's shard: not the reports a paper shard wrote itself."""
        shard = self._shards.get(partition)
        return shard is None or not shard.live or topic in shard.trader.inputs

    def heartbeat(self) -> None:
        """Let idle traders commit inputs that caused nothing. Called from the watchdog's thread."""
        for shard in list(self._shards.values()):
            shard.offer(shard.trader.heartbeat, only_idle=True)

    def moving(self) -> float:
        """Return for how many seconds shards were revoked, or not yet assigned, without the rebalance's end; else 0."""
        since = self._moving_since
        return 0.0 if since is None else time.monotonic() - since

    def waiting(self) -> dict[int, float]:
        """Return the live shards with inputs on the log that were not taken, and for how many seconds they stand."""
        found = {}
        for shard in list(self._shards.values()):
            if shard.live and self._behind(shard):
                found[shard.number] = time.monotonic() - shard.moved_at
            else:
                shard.moved_at = time.monotonic()
        return found

    def live(self) -> list[int]:
        """Return the shards that are live."""
        return [shard.number for shard in list(self._shards.values()) if shard.live]

    def traders(self) -> list[Trader]:
        """Return the traders of the live shards."""
        return [shard.trader for shard in list(self._shards.values()) if shard.live]

    def _behind(self, shard: Shard) -> bool:
        try:
            trader = shard.trader
            return any(self._log.end_offset(topic, shard.number) > trader.position(topic) for topic in trader.inputs)
        except LogError as error:
            logger.warning("shard %d: the log does not answer: %s", shard.number, error)
            return False
