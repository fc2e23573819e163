"""Kafka, where journal and outputs are two writes: a worker ends, sleeps or meets another exactly between them.

Whatever happens there, the log must end up as the one an undisturbed run leaves, and verify must reproduce it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.codec import decode
from schemas.events.journal import Claimed
from schemas.topics import CHECKPOINTS, INPUTS, JOURNAL, OUTPUTS
from streams.batch import run_batch
from streams.journal import JournalState, read_journal
from streams.log import create_log, open_log
from streams.log.base import EventLog, NewRecord
from streams.log.kafka import KafkaAddress
from streams.log.memory import MemoryLog
from streams.reader import SeqReader
from streams.recovery import CHECKPOINTS_TRIED, Recovered
from streams.trader import Trader
from streams.verify import topic_digest, verify
from tests.fault.between_worker import RESTART
from tests.toy import STAGES, fill, mark

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
ROOT = Path(__file__).parent.parent.parent
PATIENCE_S = 60.0
TICKS = [(number * 7) % 11 for number in range(200)]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def log(kafka_url: str) -> Iterator[EventLog]:
    opened = open_log(kafka_url)
    fill(opened, TICKS)
    yield opened
    opened.close()


@pytest.fixture
def start(kafka_url: str) -> Iterator[Start]:
    """Starts workers with a fault and kills whatever is left of them at the end."""
    started: list[subprocess.Popen[str]] = []

    def start_one(mode: str, number: int = 0) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.fault.between_worker", mode, kafka_url, str(number)]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start_one
    for worker in started:
        worker.kill()
        worker.communicate()


def ended(worker: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end of a worker; return its exit code and its words."""
    _, words = worker.communicate(timeout=PATIENCE_S)
    return worker.returncode, words


def committed(log: EventLog) -> dict[str, int]:
    """Return the next seq of every output topic as the counted commits imply it."""
    found = dict.fromkeys(OUTPUTS, 0)
    for counted in read_journal(log, 0, JournalState(), log.end_offset(JOURNAL, 0)):
        for outputs in counted.commit.outputs:
            found[outputs.topic] = outputs.first_seq + outputs.count
    return found


def published(log: EventLog) -> dict[str, int]:
    """Return the next seq of every output topic as a reader of it accepts it."""
    found = {}
    for topic in OUTPUTS:
        reader = SeqReader(log, topic, 0)
        while reader.lag():
            reader.poll(1000)
        found[topic] = reader.seq
    return found


def ticks_taken(log: EventLog) -> int:
    """Return how many ticks the counted commits cover."""
    counted = read_journal(log, 0, JournalState(), log.end_offset(JOURNAL, 0))
    return sum(run.count for each in counted for run in each.commit.runs if run.topic == "ticks")


def records(log: EventLog) -> int:
    return sum(log.end_offset(topic, 0) for topic in OUTPUTS)


def copied(log: EventLog) -> MemoryLog:
    """Return everything but the checkpoints in memory, where verify does not pay Kafka's price for a seek."""
    memory = MemoryLog()
    create_log(memory)
    for topic in (*INPUTS, JOURNAL, *OUTPUTS):
        found = log.read(topic, 0, 0, limit=log.end_offset(topic, 0))
        assert [record.offset for record in found] == list(range(len(found)))
        memory.append([NewRecord(topic, 0, record.key, record.value, 1) for record in found])
    return memory


def judge(log: EventLog, start: Start) -> None:
    """Let an undisturbed worker take one more tick, then assert that nothing of the faults can be seen."""
    log.append([mark(len(TICKS), 4)])
    code, words = ended(start("run"))
    assert code == 0, words
    found = copied(log)
    report = verify(found, 0, STAGES)
    assert report.difference is None, report.difference
    assert report.inputs["ticks"] == len(TICKS) + 1
    memory = MemoryLog()
    fill(memory, [*TICKS, 4])
    batch = Trader(memory, 0, STAGES, worker="batch", code_version="1")
    batch.start()
    run_batch(memory, batch)
    for topic in OUTPUTS:
        assert topic_digest(found, 0, topic) == topic_digest(memory, 0, topic), topic


def test_killed_between_the_acknowledgement_and_the_publication(log: EventLog, start: Start) -> None:
    for mode, number in (("kill", 3), ("half", 2), ("half", 4), ("kill", 1)):
        code, words = ended(start(mode, number))
        assert code == -signal.SIGKILL, words
        assert published(log) != committed(log), f"{mode} at {number} left nothing unpublished: it missed the window"
    judge(log, start)


def test_stopped_between_the_acknowledgement_and_the_publication_until_another_took_over(
    log: EventLog, start: Start
) -> None:
    sleeper = start("stop", 3)
    _, status = os.waitpid(sleeper.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), f"ended instead: {status}"
    assert published(log) != committed(log)
    code, words = ended(start("run"))
    assert code == 0, words
    assert published(log) == committed(log)
    before = records(log)

    sleeper.send_signal(signal.SIGCONT)

    code, words = ended(sleeper)
    assert code == RESTART, words
    assert "Fenced" in words
    assert records(log) > before, "the sleeper published nothing: it did not stop in the window"
    assert published(log) == committed(log)
    judge(log, start)


def test_stopped_there_while_the_heir_is_at_work(log: EventLog, start: Start) -> None:
    sleeper, heir = start("stop", 2), start("pair")
    assert os.WIFSTOPPED(os.waitpid(sleeper.pid, os.WUNTRACED)[1])
    hear(heir, "ready")
    tell(heir)
    hear(heir, "claimed")
    sleeper.send_signal(signal.SIGCONT)  # its repeats and its void commit meet the heir's recovery
    tell(heir)

    assert ended(sleeper)[0] == RESTART
    code, words = ended(heir)
    assert code in (0, RESTART), words  # a void commit takes up an offset: the heir may have to start again
    judge(log, start)


def test_two_claimers_at_once(log: EventLog, start: Start) -> None:
    for _ in range(2):
        left = len(TICKS) - ticks_taken(log)  # the first pair may take everything; then nobody has to commit
        pair = [start("pair"), start("pair")]
        for word in ("ready", "claimed"):
            for worker in pair:
                hear(worker, word)
            for worker in pair:
                tell(worker)
        ends = [ended(worker) for worker in pair]
        codes = [code for code, _ in ends]
        assert RESTART in codes or not left, ends  # the older claim cannot count any more
        assert set(codes) <= {0, RESTART}, ends
    assert adjacent_claims(log) >= 2
    judge(log, start)


def hear(worker: subprocess.Popen[str], word: str) -> None:
    assert worker.stdout is not None
    assert worker.stdout.readline() == f"{word}\n"


def tell(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin is not None
    worker.stdin.write("\n")
    worker.stdin.flush()


def adjacent_claims(log: EventLog) -> int:
    """Return how often a claim follows a claim at once in the journal."""
    events = [decode(record.value)[1] for record in log.read(JOURNAL, 0, 0, limit=10_000)]
    return sum(isinstance(a, Claimed) and isinstance(b, Claimed) for a, b in pairwise(events))


# -- checkpoints are only a cache ---------------------------------------------------------------------------------


def recovered(url: str) -> Recovered:
    """Start a trader on the log and leave it; return what its recovery found."""
    log = open_log(url)
    found = Trader(log, 0, STAGES, worker="looks", code_version="1").start()
    log.close()
    return found


def put(log: EventLog, value: bytes, count: int = 1) -> None:
    log.append([NewRecord(CHECKPOINTS, 0, b"", value, 1)] * count)


@pytest.fixture
def newest(kafka_url: str, log: EventLog, start: Start) -> bytes:
    """The newest checkpoint of a log with many, from which recovery starts."""
    code, words = ended(start("run"))
    assert code == 0, words
    assert log.end_offset(CHECKPOINTS, 0) > CHECKPOINTS_TRIED
    found = recovered(kafka_url)
    assert found.from_step == found.to_step
    return log.read(CHECKPOINTS, 0, log.end_offset(CHECKPOINTS, 0) - 1, limit=1)[0].value


def test_torn_checkpoints_cost_time_only(kafka_url: str, log: EventLog, newest: bytes, start: Start) -> None:
    put(log, newest[: len(newest) // 2], CHECKPOINTS_TRIED + 1)

    assert recovered(kafka_url).from_step == 0
    judge(log, start)
    assert recovered(kafka_url).from_step > 0  # the clean stop has left a good one


def test_a_corrupted_checkpoint_is_refused_for_an_older_one(
    kafka_url: str, log: EventLog, newest: bytes, start: Start
) -> None:
    for place in range(len(newest) // 4, len(newest), len(newest) // 4):
        put(log, newest[:place] + bytes([newest[place] ^ 0x10]) + newest[place + 1 :])

    found = recovered(kafka_url)
    assert (found.from_step, found.republished) == (found.to_step, 0)
    judge(log, start)


def test_deleted_checkpoints_cost_time_only(kafka_url: str, log: EventLog, newest: bytes, start: Start) -> None:
    end = log.end_offset(CHECKPOINTS, 0)
    address = KafkaAddress.parse(kafka_url)
    place = TopicPartition(address.prefix + CHECKPOINTS, 0, end)
    admin = AdminClient({"bootstrap.servers": address.servers})
    for future in admin.delete_records([place]).values():
        future.result(PATIENCE_S)

    assert recovered(kafka_url).from_step == 0
    judge(log, start)
    assert recovered(kafka_url).from_step > 0


def test_a_checkpoint_topic_made_anew_costs_time_only(
    kafka_url: str, log: EventLog, newest: bytes, start: Start
) -> None:
    address = KafkaAddress.parse(kafka_url)
    admin = AdminClient({"bootstrap.servers": address.servers})
    for future in admin.delete_topics([address.prefix + CHECKPOINTS]).values():
        future.result(PATIENCE_S)
    create_log(log)

    assert recovered(kafka_url).from_step == 0
    judge(log, start)
    assert recovered(kafka_url).from_step > 0
