"""The completion service under a log that fails it: every request ends with one answer, however often it starts."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schemas.codec import decode, encode
from schemas.events.model import CompletionFailed, CompletionFailure
from schemas.ids import derive_id
from schemas.values import Money
from services.llm import service, topic
from services.sole_writer import WriterStopped
from streams.log.base import Append, EventLog, LogError, NewRecord
from tests.builders import T0
from tests.llm_desk import answers, ask, new_log, serve
from tests.llm_desk import settings as chosen

STARTS_MAX = 60
KINDS = ("fine", "lost", "unsure", "taken over", "asked again", "answered late")


class Failing:
    """A log whose conditional appends go as scripted, then well."""

    def __init__(self, log: EventLog, script: Sequence[str]) -> None:
        self._log = log
        self._script = deque(script)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def end_offset(self, name: str, partition: int) -> int:
        """Return the end; where scripted after an answer of a former service has landed, as a broker lets it."""
        if name == "completions" and self._script and self._script[0] == "answered late":
            self._script.popleft()
            self._answer_the_newest()
        return self._log.end_offset(name, partition)

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
            topic.CompletionsTopic(self._log, 0, "paper", lambda: T0).claim()
        if kind == "asked again":
            ask(self._log)
        result = Append.UNSURE if kind == "lost" else self._log.append_at(record, expected_offset)
        return Append.UNSURE if kind == "unsure" else result

    def _answer_the_newest(self) -> None:
        """Answer the newest request, if nobody has."""
        if self._log.end_offset("prompts", 0) == 0:
            return
        (last,) = self._log.read("prompts", 0, self._log.end_offset("prompts", 0) - 1, limit=1)
        request = decode(last.value)[0]
        if request.event_id in answers(self._log):
            return
        late = CompletionFailed(
            "paper", request.event_id, "", "p", (), CompletionFailure.TIMEOUT, "late", 0, 0, Money(Decimal(0)), 0, 0
        )
        value = encode(request._replace(event_id=derive_id(request.event_id, "late"), stage="llm"), late)
        self._log.append([NewRecord("completions", 0, b"paper", value, T0)])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(requests=7, script=["fine"] * 3 + ["lost"], place_after=1, read_limit=7, parallel=1)
@example(requests=2, script=["fine", "answered late"], place_after=4, read_limit=7, parallel=1)
@given(
    requests=st.integers(0, 7),
    script=st.lists(st.sampled_from(KINDS), max_size=20),
    place_after=st.integers(1, 4),
    read_limit=st.integers(1, 7),
    parallel=st.integers(1, 4),
)
def test_every_request_ends_with_one_answer(
    monkeypatch: pytest.MonkeyPatch, requests: int, script: list[str], place_after: int, read_limit: int, parallel: int
) -> None:
    monkeypatch.setattr(topic, "PLACE_AFTER", place_after)
    monkeypatch.setattr(topic, "READ_LIMIT", read_limit)
    monkeypatch.setattr(topic, "LOOK_BACK", 0)
    monkeypatch.setattr(service, "READ_LIMIT", read_limit)
    monkeypatch.setattr(service, "PARALLEL_MAX", parallel)
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
