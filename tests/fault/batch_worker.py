"""The batch runner as a process that follows a log: ``python -m tests.fault.batch_worker LOG_URL``."""

from __future__ import annotations

import sys
import time

from schemas.topics import INPUTS
from services.bootstrap import build_trader
from streams.log import open_log

FETCH = 200
IDLE_S = 0.005


def main(url: str) -> None:
    """Take inputs until killed."""
    log = open_log(url)
    trader = build_trader(log, 0)
    trader.start()
    while True:
        fetched = 0
        for topic in INPUTS:
            records = log.read(topic, 0, trader.position(topic), limit=FETCH)
            if records:
                trader.process(topic, records)
                fetched += len(records)
        if not fetched:
            trader.heartbeat()
            time.sleep(IDLE_S)


if __name__ == "__main__":
    main(sys.argv[1])
