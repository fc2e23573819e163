"""The batch runner as a process that follows a log: ``python -m tests.fault.batch_worker LOG_URL [--until-idle]``."""

from __future__ import annotations

import sys
from threading import Event

from schemas.topics import INPUTS
from services.bootstrap import build_trader
from streams.batch import run_batch
from streams.log import open_log

FETCH = 200
IDLE_S = 0.005


def main(url: str, *, until_idle: bool) -> None:
    """Take inputs until killed, or until there are no more."""
    log = open_log(url)
    trader = build_trader(log, 0)
    trader.start()
    if until_idle:
        run_batch(log, trader)
        return
    pause = Event()
    while True:
        fetched = 0
        for topic in INPUTS:
            records = log.read(topic, 0, trader.position(topic), limit=FETCH)
            if records:
                trader.process(topic, records)
                fetched += len(records)
        if not fetched:
            trader.heartbeat()
            pause.wait(IDLE_S)


if __name__ == "__main__":
    main(sys.argv[1], until_idle="--until-idle" in sys.argv)
