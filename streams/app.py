"""The stream runner: builds the Faust app of a worker and runs it until it is stopped or must be started again.

    python -m streams.app --log kafka://HOST:PORT|sqlite:///PATH [--worker-id NAME] [--shards N] [--stages MODULE:NAME]

Exit codes: 0 stopped cleanly; 1 an input cannot be taken or an output not stored, and a restart would not help; 3 the
log cannot be reached; 75 start me again (fenced, unsure, fail-stop, no progress): recovery decides what holds.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import faust.streams
import uvloop
from aiokafka.codec import has_zstd
from faust.worker import Worker

from streams.agents import declare_trader
from streams.core.stage import Stage
from streams.journal import Incurable, TraderStopped
from streams.log import create_log, open_log
from streams.log.base import EventLog, LogError
from streams.log.kafka import KafkaAddress
from streams.pipeline import CODE_VERSION
from streams.shards import Shards
from streams.trader import Trader
from streams.transports import register
from streams.transports.batching import FETCH_RECORDS_MAX, BatchApp, Fail, Positions, broker_url

STOPPED = 1
"""A person has to look first: a restart comes to the same point."""
MISSING = 3
"""A dependency is missing: the log cannot be reached or is of another shape."""
RESTART = 75
"""EX_TEMPFAIL: the supervisor starts the worker again, with a pause that grows."""
STALL_S = 30.0
"""Seconds without progress, with inputs waiting on the log, after which a worker gives up."""
NOISY = ("faust", "mode", "aiokafka", "streams.transports")
"""Loggers of Faust's services, whose news of every start fill a screen: only their warnings are shown."""
REBALANCE_S = 90.0
"""Seconds without shards assigned, from the start or since they were revoked, after which a worker gives up: more than
the broker waits for a slow member (60 s)."""
LOOK_S = 0.5
"""How often the watchdog looks."""
SESSION_S = 10.0
"""After this long without a heartbeat the broker gives a worker's shards to another."""
DEFAULT_STAGES = "streams.pipeline:STAGES"

logger = logging.getLogger("tapeline.worker")


def end_process(where: str, error: BaseException) -> None:
    """Say why and exit at once: no handler, no commit, no acknowledgement comes after this.

    A trader that stopped says itself what is wrong; of anything else, a bug, the traceback is shown.
    """
    bug = None if isinstance(error, TraderStopped) else error
    logger.critical("%s: %s: %s", where, type(error).__name__, error, exc_info=bug)
    for handler in logging.getLogger().handlers:
        handler.flush()
    sys.stderr.flush()
    os._exit(STOPPED if isinstance(error, Incurable) else RESTART)


def build_app(*, log_url: str, worker_id: str, shards: int = 1, positions: Positions | None = None) -> BatchApp:
    """Return a Faust app for a log, without agents. Raises ValueError for a URL no driver of ours serves."""
    if getattr(faust.streams, "_CStreamIterator", None) is None:  # the pure-Python stream acknowledges what it skipped
        raise RuntimeError("faust-streaming has no compiled stream iterator here: install its wheel")
    if log_url.startswith("kafka:") and not has_zstd():
        raise RuntimeError("aiokafka cannot read zstd here: install cramjam")
    register()
    broker = broker_url(log_url)
    prefix = KafkaAddress.parse(log_url).prefix if log_url.startswith("kafka:") else ""
    app = BatchApp(
        f"{prefix}trader",
        broker=broker,
        autodiscover=False,
        web_enabled=False,
        store="memory://",
        processing_guarantee="at_least_once",
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=shards,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=worker_id,
        consumer_max_fetch_size=4 * 1024 * 1024,
        broker_max_poll_records=FETCH_RECORDS_MAX,
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=3.0,
        broker_request_timeout=30.0,
        broker_rebalance_timeout=60.0,
        producer_request_timeout=15.0,
        stream_buffer_maxsize=2,
        stream_wait_empty=False,
        stream_publish_on_commit=False,
    )
    app.topic_prefix = prefix
    if positions is not None:
        app.positions = positions
    return app


class Watchdog(threading.Thread):
    """Twice a second: heartbeats of silent shards, and the end of a worker that no longer gets anywhere.

    That is one with inputs waiting that it does not take, or one whose rebalance does not end.

    A thread of its own, so that it sees a stuck event loop too. ``on_idle``: called once when every input there is
    has been taken.
    """

    def __init__(self, shards: Shards, fail: Fail, *, stall_s: float, on_idle: Callable[[], None] | None) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._shards = shards
        self._fail = fail
        self._stall_s = stall_s
        self._on_idle = on_idle
        self._stopped = threading.Event()
        self._idle_looks = 0

    def run(self) -> None:
        while not self._stopped.wait(LOOK_S):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001  # a watchdog that dies in silence is worse than a restart for nothing
                self._fail("watchdog", error)

    def look(self) -> None:
        """Look once."""
        self._shards.heartbeat()
        moving = self._shards.moving()
        if moving > REBALANCE_S:
            self._fail("rebalance", TimeoutError(f"shards were given up {moving:.0f} s ago and none came back"))
        waiting = self._shards.waiting()
        for shard, seconds in waiting.items():
            if seconds > self._stall_s:
                self._fail(f"shard {shard}", TimeoutError(f"inputs wait, but nothing was taken for {seconds:.0f} s"))
        self._idle_looks = 0 if waiting or not self._shards.live() else self._idle_looks + 1
        on_idle = self._on_idle
        if on_idle is not None and self._idle_looks >= 2:
            self._on_idle = None
            on_idle()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()


def run_worker(
    *,
    log_url: str,
    stages: Sequence[Stage[Any]],
    worker_id: str = "worker-0",
    shards: int = 1,
    code_version: str = CODE_VERSION,
    stall_s: float = STALL_S,
    until_idle: bool = False,
    watch: Callable[[Shards], None] | None = None,
) -> int:
    """Run the Faust worker on a log until it is stopped; return 0, or RESTART when the app crashed.

    worker_id: unique among the workers of a log and the same after a restart, which then keeps its shards.
    until_idle: stop cleanly once every input on the log has been taken; LogError where a shard has no settings, which
    would be waited for without end.
    watch: called once with the shards of this worker, for metrics.
    A trader that stops ends the process with RESTART from inside.
    """
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # a fetch takes a dozen turns of the loop to its trader
    log = open_log(log_url)
    create_log(log, shards=shards)
    look_for_settings(log, shards, needed=until_idle)

    def make_trader(shard: int) -> Trader:
        return Trader(log, shard, stages, worker=worker_id, code_version=code_version)

    held = Shards(log, make_trader, end_process)
    if watch is not None:
        watch(held)
    app = build_app(log_url=log_url, worker_id=worker_id, shards=shards, positions=held)
    app.fail = end_process
    declare_trader(app, held)
    watchdog = Watchdog(held, end_process, stall_s=stall_s, on_idle=_terminate_self if until_idle else None)
    watchdog.start()
    code = _run(app)
    watchdog.stop()
    watchdog.join()  # it asks the log
    log.close()
    return code


def look_for_settings(log: EventLog, shards: int, *, needed: bool) -> None:
    """Say that nothing can be taken yet where a shard has no settings. Raises LogError where they are ``needed``."""
    empty = [shard for shard in range(shards) if not log.end_offset("settings", shard)]
    if empty and needed:
        raise LogError(
            f"shard {empty[0]} has no settings yet: nothing can be taken; `tapeline feed import` writes them"
        )
    if empty:
        which = "new, empty log" if len(empty) == shards else f"shard {empty[0]} is new and empty"
        logger.info("%s: waiting for a feed (`tapeline feed import FILE`, `tapeline gateway okx-market`)", which)


def _terminate_self() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


class _Worker(Worker):
    """Faust's worker without the second it sleeps before it closes its loop."""

    async def _sentinel_task(self) -> None:
        """Return at once: everything of ours has been waited for."""


def _run(app: BatchApp) -> int:
    worker = _Worker(app, quiet=True, override_logging=False, redirect_stdouts=False)
    worker.spinner = None
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        return 0 if end.code in (0, None) else RESTART


def load_stages(name: str) -> Sequence[Stage[Any]]:
    """Return the stages a ``module:attribute`` name points at: a sequence, or a function that returns one."""
    module, _, attribute = name.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    stages: Sequence[Stage[Any]] = found() if callable(found) else found
    return stages


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a worker from the command line."""
    parser = argparse.ArgumentParser(prog="python -m streams.app", description="The Faust worker alone.")
    parser.add_argument("--log", required=True, help="kafka://HOST:PORT[/PREFIX] or sqlite:///PATH")
    parser.add_argument("--worker-id", default="worker-0", help="unique per worker, the same after a restart")
    parser.add_argument("--shards", type=int, default=1, help="partitions of every topic, fixed for ever")
    parser.add_argument("--stages", default=DEFAULT_STAGES, help="module:attribute of the stages")
    parser.add_argument("--stall", type=float, default=STALL_S, help="seconds without progress before exit 75")
    parser.add_argument("--until-idle", action="store_true", help="stop once every input has been taken")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.Formatter.converter = time.gmtime
    try:
        return run_worker(
            log_url=chosen.log,
            stages=load_stages(chosen.stages),
            worker_id=chosen.worker_id,
            shards=chosen.shards,
            stall_s=chosen.stall,
            until_idle=chosen.until_idle,
        )
    except LogError as error:
        print(f"worker: {error}", file=sys.stderr)
        return MISSING


if __name__ == "__main__":
    raise SystemExit(main())
