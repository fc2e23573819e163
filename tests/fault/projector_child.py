"""A projector to be killed: ``python -m tests.fault.projector_child LOG_URL DSN``; one line per committed batch."""

from __future__ import annotations

import sys

from projections.writer import Progress, Projector
from services.projection import LogSource
from streams.log import open_log

BATCH = 10


def _tell(progress: Progress) -> None:
    print(progress.topic, progress.offset, flush=True)


def main(log_url: str, dsn: str) -> None:
    """Project until caught up."""
    log = open_log(log_url, read_only=True)
    with Projector(LogSource(log), dsn, batch=BATCH, on_progress=_tell) as projector:
        projector.run(until_caught_up=True)
    log.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
