"""The review of everything on a log so far, in words; while a trader goes on, of what is there at that moment."""

from __future__ import annotations

from services.program import program
from services.review.labels import Language
from services.review.run import fold_run
from services.review.summary import render
from streams.log.base import EventLog
from streams.pipeline import CODE_VERSION, stages
from streams.verify import verify


def review_log(log: EventLog, shard: int, url: str, *, lang: str, prove: bool) -> tuple[str, bool | None]:
    """Return the summary and whether the run is proven; None: nobody asked. ``url``: the log's, for commands in it."""
    language: Language = "zh" if lang == "zh" else "en"
    proof = verify(log, shard, stages(), code_version=CODE_VERSION) if prove else None
    look = f"{program()} log cat ticks --type LineQuarantined --log {url}"
    summary = render(fold_run(log, shard), language=language, proof=proof, look=look)
    return summary, None if proof is None else proof.proven
