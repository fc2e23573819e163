"""A projector (or a rebuild) to be killed; one line on standard output per committed batch.

``python -m tests.fault.projector_child project|rebuild LOG_URL DSN``
"""

from __future__ import annotations

import sys

from projections.rebuild import rebuild
from projections.writer import Progress, Projector
from services.projection import LogSource
from streams.log import open_log

BATCH = 10


def _tell(progress: Progress) -> None:
    print(progress.topic, progress.offset, flush=True)


def main(what: str, log_url: str, dsn: str) -> None:
    """Do what is asked until caught up."""
    log = open_log(log_url, read_only=True)
    if what == "rebuild":
        rebuild(LogSource(log), dsn, batch=BATCH, on_progress=_tell)
    else:
        with Projector(LogSource(log), dsn, batch=BATCH, on_progress=_tell) as projector:
            projector.run(until_caught_up=True)
    log.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
