"""A trader that dies, stops or waits between the journal's acknowledgement and the publication of the outputs.

    python -m tests.fault.between_worker MODE KAFKA_URL NUMBER

MODE at the NUMBER-th commit with outputs: ``kill`` (SIGKILL), ``half`` (SIGKILL with half of the outputs published),
``stop`` (SIGSTOP). ``run``: nothing of it. ``pair``: waits for a line on standard input before its claim, and for
another one after it. Takes every tick there is and leaves; exit code 75: fenced or in doubt.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from threading import Event

from schemas.topics import JOURNAL
from streams.journal import TraderStopped
from streams.log.base import Append, NewRecord
from streams.log.kafka import KafkaAddress, KafkaLog
from streams.trader import Trader
from tests.toy import STAGES

FETCH = 7
CHECKPOINT_INPUTS = 15
RESTART = 75


class WideLog(KafkaLog):
    """The Kafka log with something in the window between commit and publication, where faults rarely hit by chance."""

    def __init__(self, address: KafkaAddress, mode: str, number: int) -> None:
        super().__init__(address)
        self._mode = mode
        self._left = number

    def commit(self, journal: NewRecord, expected_offset: int, outputs: Sequence[NewRecord]) -> Append:
        result = self.append_at(journal, expected_offset)
        if result is Append.ACCEPTED and outputs:
            self._left -= 1
            if self._left == 0:
                self._fault(outputs)
            self.publish(outputs)
        return result

    def _fault(self, outputs: Sequence[NewRecord]) -> None:
        if self._mode == "half":
            self.publish(outputs[: len(outputs) // 2])
        if self._mode in ("kill", "half"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self._mode == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
            Event().wait(0.2)  # should the signal reach another thread first, this one must not run on meanwhile


class PairLog(KafkaLog):
    """The Kafka log whose user waits to be told before its claim and after it."""

    def append(self, records: Sequence[NewRecord]) -> list[int]:
        claim = records[0].topic == JOURNAL
        if claim:
            _wait("ready")
        offsets = super().append(records)
        if claim:
            _wait("claimed")
        return offsets


def _wait(word: str) -> None:
    print(word, flush=True)
    sys.stdin.readline()


def main(mode: str, url: str, number: int) -> int:
    """Recover, take every tick there is, and leave a checkpoint."""
    address = KafkaAddress.parse(url)
    log = PairLog(address) if mode == "pair" else WideLog(address, mode, number)
    trader = Trader(log, 0, STAGES, worker=mode, code_version="1", checkpoint_inputs=CHECKPOINT_INPUTS)
    try:
        trader.start()
        while records := log.read("ticks", 0, trader.position("ticks"), limit=FETCH):
            trader.process("ticks", records)
        trader.finish()
    except TraderStopped as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return RESTART
    log.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
