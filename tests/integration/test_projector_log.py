"""A database belongs to one log: another's is refused by name, its copy goes on."""

from __future__ import annotations

from threading import Event as Alarm

import pytest

from schemas.codec import encode
from schemas.events.journal import Claimed
from schemas.topics import TOPICS
from services.projection import MeteredProjector, OtherLog
from streams.log.base import NewRecord
from streams.log.memory import MemoryLog
from tests.builders import T0
from tests.events import envelope, sample

pytestmark = pytest.mark.postgres


def claimed_log(name: str) -> MemoryLog:
    log = MemoryLog()
    log.create_topics({topic.name: 1 for topic in TOPICS})
    log.append([NewRecord("journal", 0, b"", encode(envelope(name, T0, ts_event=T0), sample(Claimed, 1)), T0)])
    return log


def test_tables_of_another_log_are_refused_and_those_of_its_copy_are_not(database: str) -> None:
    with MeteredProjector(claimed_log("one"), database) as projector:
        projector.run(until_caught_up=True, stop=Alarm())
    with MeteredProjector(claimed_log("one"), database) as projector:
        projector.run(until_caught_up=True, stop=Alarm())
    empty = MemoryLog()
    empty.create_topics({topic.name: 1 for topic in TOPICS})
    for other in (claimed_log("two"), empty):
        with pytest.raises(OtherLog, match="filled from another log"):
            MeteredProjector(other, database)
