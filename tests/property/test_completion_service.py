"""The completion service under a log that fails it: every request ends with one answer, however often it starts."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.llm import service, topic
from services.sole_writer import WriterStopped
from streams.log.base import Append, EventLog, LogError, NewRecord
from tests.builders import T0
from tests.llm_desk import answers, ask, new_log, serve
from tests.llm_desk import settings as chosen

STARTS_MAX = 60
KINDS = ("fine", "lost", "unsure", "taken over", "asked again")


class Failing:
    """A log whose conditional appends go as scripted, then well."""

    def __init__(self, log: EventLog, script: Sequence[str]) -> None:
        self._log = log
        self._script = deque(script)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def append(self, records: Sequence[NewRecord]) -> list[int]:
        """Append; where scripted without a word on it, or not at all."""
        kind = self._script.popleft() if self._script else "fine"
        offsets = [] if kind == "lost" else self._log.append(records)
        if kind in ("lost", "unsure"):
            raise LogError("no word")
        return offsets

    def append_at(self, record: NewRecord, expected_offset: int) -> Append:
        """Append one; where scripted without a word on it, not at all, or after somebody else has claimed."""
        kind = self._script.popleft() if self._script else "fine"
        if kind == "taken over":
            topic.CompletionsTopic(self._log, 0, "paper", lambda: T0).claim(None)
        if kind == "asked again":
            ask(self._log)
        result = Append.UNSURE if kind == "lost" else self._log.append_at(record, expected_offset)
        return Append.UNSURE if kind == "unsure" else result


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    requests=st.integers(0, 7),
    script=st.lists(st.sampled_from(KINDS), max_size=20),
    place_after=st.integers(1, 4),
    read_limit=st.integers(1, 3),
)
def test_every_request_ends_with_one_answer(
    monkeypatch: pytest.MonkeyPatch, requests: int, script: list[str], place_after: int, read_limit: int
) -> None:
    monkeypatch.setattr(topic, "PLACE_AFTER", place_after)
    monkeypatch.setattr(topic, "READ_LIMIT", read_limit)
    monkeypatch.setattr(service, "READ_LIMIT", read_limit)
    monkeypatch.setattr(service, "POLL_S", 0.0)
    log = new_log()
    for _ in range(requests):
        ask(log)
    failing, starts = Failing(log, script), 0
    while starts == 0 or len(answers(log)) < log.end_offset("prompts", 0):
        starts += 1
        assert starts < STARTS_MAX, "it never gets there"
        try:
            serve(failing, chosen(None))  # type: ignore[arg-type]
        except WriterStopped:
            continue
    ask(log)
    serve(log, chosen(None))
    assert len(answers(log)) == log.end_offset("prompts", 0), "also from the place the runs before left"
