"""What the control side logs of a command: one line that carries the command's id as correlation id."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from schemas.events.common import TradingState
from schemas.events.control import ClosePosition, PauseTrading
from services.control.commands import CommandDesk
from services.logs import configure_logs
from streams.log.memory import MemoryLog
from tests.answering import SILENT, answering, prepare


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level, stream = root.handlers[:], root.level, io.StringIO()
    configure_logs(stream=stream)
    yield stream
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def lines_of(stream: io.StringIO) -> list[dict[str, object]]:
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [line for line in said if line["logger"] == "tapeline.control"]


def test_a_command_and_its_outcome_are_one_line_under_the_id_that_leads_to_the_log(written: io.StringIO) -> None:
    log = MemoryLog()
    prepare(log)
    desk = CommandDesk(log, shard=0, account_id="paper")
    with answering(log):
        answer = desk.ask(PauseTrading("paper", TradingState.REDUCING, "lunch"), wait_s=30)
    (line,) = lines_of(written)
    assert line["correlation_id"] == answer.command_id
    assert (line["command"], line["outcome"], line["refused"]) == ("PauseTrading", "CommandHandled", None)


def test_a_command_nobody_answers_is_logged_without_an_outcome(written: io.StringIO) -> None:
    log = MemoryLog()
    prepare(log)
    answer = CommandDesk(log, shard=0, account_id="paper").ask(ClosePosition("paper", SILENT), wait_s=0.01)
    (line,) = lines_of(written)
    assert (line["correlation_id"], line["outcome"]) == (answer.command_id, None)
