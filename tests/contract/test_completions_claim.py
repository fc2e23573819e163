"""A service's hold on the completions, on every log: one owner at a time, and what it finds there when it begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from schemas.codec import encode
from schemas.envelope import NOT_SEQUENCED, Envelope
from schemas.events.model import CompletionAttempted, CompletionFailed, CompletionFailure
from schemas.values import Micros, Money
from services.llm import topic as module
from services.llm.budget import DAY
from services.llm.topic import COMPLETIONS, CompletionsTopic, Place
from services.sole_writer import AppendInDoubt, Displaced
from streams.log import create_log, open_log
from streams.log.base import Append, EventLog, LogError, NewRecord
from tests.builders import T0

KINDS = ("memory", "sqlite", pytest.param("kafka", marks=pytest.mark.kafka))


@pytest.fixture(params=KINDS)
def logs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[EventLog, EventLog]]:
    """One log as two processes have it open."""
    if request.param == "memory":
        first = second = open_log("memory://")
    else:
        url = f"sqlite:///{tmp_path}/log.db" if request.param == "sqlite" else request.getfixturevalue("kafka_url")
        first, second = open_log(url), open_log(url)
    create_log(first)
    yield first, second
    first.close()
    second.close()


def answer(number: int) -> tuple[CompletionFailed, Envelope]:
    """Return an answer to a request, and the request's envelope."""
    identity = f"request-{number}"
    failed = CompletionFailed(
        "paper", identity, "m", "p", (), CompletionFailure.TIMEOUT, "late", number, 0, Money(Decimal(0)), 1, 1
    )
    return failed, Envelope(identity, "idea", "", "planner", 0, 0, NOT_SEQUENCED, T0, T0, "test", "")


def topic(log: EventLog) -> CompletionsTopic:
    return CompletionsTopic(log, 0, "paper", lambda: Micros(T0))


def claimed(log: EventLog) -> CompletionsTopic:
    """Return a hold on the topic as a service takes it."""
    found = topic(log)
    found.look(since=0)
    found.claim()
    return found


def test_a_start_finds_what_is_answered_and_the_answers_of_today(logs: tuple[EventLog, EventLog]) -> None:
    first = claimed(logs[0])
    first.write(*answer(1))
    first.write(*answer(2))
    held = topic(logs[1]).look(since=0)
    assert (held.place, held.answered) == (None, {"request-1", "request-2"})
    assert sorted(event.prompt_tokens for event, _ in held.answers) == [1, 2]
    later = max(when for _, when in held.answers) + 1
    assert topic(logs[1]).look(since=later).answers == [], "only their names, when older"


def test_a_start_looks_back_to_the_newest_place_and_to_the_beginning_of_the_day(
    logs: tuple[EventLog, EventLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_LIMIT", 2)
    monkeypatch.setattr(module, "LOOK_BACK", 0)
    first = claimed(logs[0])
    first.write(*answer(1))
    first.renew(Place(7, 5))
    first.write(*answer(2))
    claimed(logs[1]).write(*answer(3))
    held = topic(logs[0]).look(since=0)
    assert (held.place, held.answered) == (Place(7, 5), {"request-2", "request-3"})
    assert len(held.answers) == 3, "what was spent today lies before the place too"
    tomorrow = topic(logs[0]).look(since=held.answers[0][1] + DAY)
    assert (tomorrow.place, tomorrow.answered, tomorrow.answers) == (held.place, held.answered, [])


def test_a_start_finds_the_calls_whose_end_nobody_saw(logs: tuple[EventLog, EventLog]) -> None:
    first = claimed(logs[0])
    for number in (1, 2):
        _, envelope = answer(number)
        first.attempt(CompletionAttempted("paper", envelope.event_id, "m", 1, 5000, Money(Decimal("0.01"))), envelope)
    first.write(*answer(1))
    held = topic(logs[1]).look(since=0)
    assert {name: [event.attempt for event in found] for name, found in held.attempts.items()} == {"request-2": [1]}
    second = topic(logs[1])
    second.look(since=0)
    _, envelope = answer(3)
    first.attempt(CompletionAttempted("paper", envelope.event_id, "m", 1, 5000, Money(Decimal("0.01"))), envelope)
    assert [event.request_id for event in second.claim()] == ["request-3"], "also what comes while it starts"
    with pytest.raises(Displaced):
        first.attempt(CompletionAttempted("paper", "request-4", "m", 1, 5000, Money(Decimal("0.01"))), envelope)


def test_a_place_is_due_after_so_many_answers_also_over_a_restart(
    logs: tuple[EventLog, EventLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PLACE_AFTER", 2)
    first = claimed(logs[0])
    first.write(*answer(1))
    assert not first.place_due
    second = claimed(logs[1])
    second.write(*answer(2))
    assert second.place_due
    second.renew(Place(2, 2))
    assert not second.place_due


def test_the_one_that_claims_last_writes_and_the_other_knows_before_it_asks(logs: tuple[EventLog, EventLog]) -> None:
    first = claimed(logs[0])
    assert first.others() == []
    claimed(logs[1])
    with pytest.raises(Displaced, match="another completion service has taken over"):
        first.others()


def test_an_answer_after_the_takeover_ends_its_writer_and_not_the_new_one(logs: tuple[EventLog, EventLog]) -> None:
    first, second = claimed(logs[0]), claimed(logs[1])
    for _ in range(2):
        with pytest.raises(Displaced):
            first.write(*answer(1))
    kept = logs[1].end_offset(COMPLETIONS, 0) == 3  # a broker keeps what it was sent
    second.write(*answer(2))
    assert [found.request_id for found in second.others()] == ["request-1"] * kept
    held = topic(logs[0]).look(since=0)
    assert held.answered == ({"request-1", "request-2"} if kept else {"request-2"})


def test_what_the_former_service_still_answered_the_new_one_takes_in(logs: tuple[EventLog, EventLog]) -> None:
    log = logs[0]
    writer = claimed(log)
    event, envelope = answer(1)
    late = NewRecord(COMPLETIONS, 0, b"paper", encode(envelope, event), T0)
    log.append([late])
    assert [found.request_id for found in writer.others()] == ["request-1"]
    log.append([late])
    if type(log).__name__ == "KafkaLog":  # which keeps our record behind the other one: it is written all the same
        writer.write(*answer(2))
        assert [found.request_id for found in writer.others()] == ["request-1"]
    else:  # where nothing a former service sends can land any more: who wrote this is nobody we know
        with pytest.raises(AppendInDoubt):
            writer.write(*answer(2))
        assert log.end_offset(COMPLETIONS, 0) == 3


class Silent:
    """A log that takes a record and gives no word on it."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.silent = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._log, name)

    def append(self, records: Sequence[NewRecord]) -> list[int]:
        """Append, and say nothing where silent."""
        offsets = self._log.append(records)
        if self.silent:
            raise LogError("no word")
        return offsets

    def append_at(self, record: NewRecord, expected_offset: int) -> Append:
        """Append, and say nothing where silent."""
        result = self._log.append_at(record, expected_offset)
        return Append.UNSURE if self.silent else result


def test_without_the_logs_word_nothing_more_is_written_and_the_next_start_knows() -> None:
    log = open_log("memory://")
    create_log(log)
    silent = Silent(log)
    writer = claimed(silent)  # type: ignore[arg-type]
    silent.silent = True
    with pytest.raises(AppendInDoubt, match="a record is in doubt"):
        writer.write(*answer(1))
    with pytest.raises(AppendInDoubt, match="the claim on the completions was not acknowledged"):
        claimed(silent)  # type: ignore[arg-type]
    assert topic(log).look(since=0).answered == {"request-1"}, "it had landed"
