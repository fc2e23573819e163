"""The trader of one shard over an event log: recover, step through inputs, commit first, publish second.

Both runners drive this one class: ``start`` once, then ``process`` for every batch of input records. After any
TraderStopped the object is dead; only a new one, which recovers from the log, may go on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from schemas.codec import decode
from schemas.events.journal import CheckpointTaken, Claimed, Run
from schemas.settings import Venue
from schemas.topics import CHECKPOINTS, JOURNAL, inputs_of
from streams.core.kernel import Digest, Kernel, KernelError, Output, compress, digest_outputs, state_digest
from streams.core.stage import Stage
from streams.journal import FailStop, Fenced, Incurable, Unsure, commit_of, output_records, trader_record
from streams.log.base import RECORD_BYTES_MAX, Append, EventLog, LogError, StoredRecord
from streams.owners import taken_by
from streams.recovery import Recovered, input_positions, output_positions, recover
from streams.timings import SAMPLE, StepTimings
from streams.venues import venue_of

logger = logging.getLogger("tapeline.trader")

COMMIT_INPUTS_MAX = 10_000
"""Inputs after which a commit is written even without outputs: bounds recovery."""
COMMIT_OUTPUTS_MAX = 4_000
"""Outputs after which a batch is committed: bounds memory and the size of one publication."""
HEARTBEAT_S = 1.0
"""Silent seconds, with inputs consumed, after which a commit without outputs is written."""
CHECKPOINT_INPUTS = 20_000
CHECKPOINT_WORK_S = 1.0
"""A checkpoint follows this many inputs or this much work since the last one: a recovery repeats no more than that."""


class Trader:
    """One shard's kernel, its place in the inputs and its journal.

    worker: a name for people. code_version: stamped on outputs. Not thread-safe: one caller at a time.
    """

    def __init__(
        self,
        log: EventLog,
        shard: int,
        stages: Sequence[Stage[Any]],
        *,
        worker: str,
        code_version: str,
        checkpoint_inputs: int = CHECKPOINT_INPUTS,
    ) -> None:
        self.log = log
        self.shard = shard
        self.kernel = Kernel(stages, code_version=code_version)
        self.timings = StepTimings(stages)
        self.worker = worker
        self.code_version = code_version
        self.positions: dict[str, int] = {}
        self.began: dict[str, int] = {}
        """Where reading began, by topic, when this trader took the shard."""
        self.outputs_total = 0
        self._checkpoint_inputs = checkpoint_inputs
        self._epoch = -1
        self._next_journal_offset = -1
        self._chain = ""
        self._since_checkpoint = 0
        self._checkpointed = 0  # steps the newest checkpoint covers
        self._work_s = 0.0
        self._broken = False  # a stage raised in the middle of a step: the state is half done
        self._stopped = ""  # why the last write did not land as it must
        self._begin_batch()

    # -- life -----------------------------------------------------------------------------------------------------

    def start(self) -> Recovered:
        """Claim the shard, rebuild the state the log implies, publish what is missing; then take the first settings.

        Raises TraderStopped (Fenced, Unsure, FailStop); LogError when the log has no settings to start from.
        """
        venue = self._venue()
        claim = Claimed(self.worker, self.code_version, inputs_of(venue))
        try:
            (self._epoch,) = self.log.append([self._record(JOURNAL, claim)])
        except LogError as error:
            raise Unsure(f"shard {self.shard}: the claim was not acknowledged: {error}") from error
        began = time.monotonic()
        recovered = recover(self.log, self.shard, self.kernel, self._epoch)
        self._work_s = time.monotonic() - began
        self._since_checkpoint = recovered.to_step - recovered.from_step
        self._checkpointed = recovered.from_step
        self.kernel.code_version = self.code_version
        self.positions = recovered.positions
        self.began = dict(recovered.positions)
        self._chain = recovered.chain
        self._next_journal_offset = self._epoch + 1
        self._begin_batch()
        if recovered.recorded_by not in ("", self.code_version):
            logger.warning(
                "shard %d: code %s goes on at step %d where %s stopped",
                self.shard, self.code_version, recovered.to_step, recovered.recorded_by,
            )  # fmt: skip
        if self.kernel.counters.step == 0:
            self._take_first_settings()
        return recovered

    def _venue(self) -> Venue:
        venue = venue_of(self.log, self.shard)
        if venue is None:
            raise LogError(f"shard {self.shard}: the settings topic is empty; `tapeline feed import` writes the first")
        return venue

    def _take_first_settings(self) -> None:
        """Step through the first settings before anything else: no stage decides without limits in force."""
        self.process("settings", self.log.read("settings", self.shard, 0, limit=1))

    @property
    def epoch(self) -> int:
        """The journal offset of this trader's claim; -1 before ``start``."""
        return self._epoch

    @property
    def inputs(self) -> tuple[str, ...]:
        """The topics this shard takes, in the order a runner polls them; empty before ``start``."""
        return tuple(self.positions)

    def position(self, topic: str) -> int:
        """Return the offset of the next input to take from a topic."""
        return self.positions[topic]

    # -- inputs ---------------------------------------------------------------------------------------------------

    def process(self, topic: str, records: Sequence[StoredRecord]) -> int:
        """Take a fetched batch of one input topic; commit and publish what it caused; return how many outputs.

        Records below the position are dropped: they were taken before. Raises FailStop when one is missing, Fenced or
        Unsure when the commit did not land where it must.
        """
        before, began = self.outputs_total, time.monotonic()
        for record in records:
            position = self.positions[topic]
            if record.offset < position:
                continue
            if record.offset > position:
                raise FailStop(
                    f"shard {self.shard}, step {self.kernel.counters.step}: {topic} offset {position} is missing, "
                    f"{record.offset} was delivered; an input was lost or skipped"
                )
            outputs = self._step(topic, record)
            if outputs:
                self._outputs += outputs
            self._inputs_digest.add(record.value)
            self.positions[topic] = position + 1
            self._count(topic)
            if len(self._outputs) >= COMMIT_OUTPUTS_MAX or self._inputs >= COMMIT_INPUTS_MAX:
                self._commit()
        self._work_s += time.monotonic() - began
        if self._outputs or self._overdue():
            self._commit()
        return self.outputs_total - before

    def _step(self, topic: str, record: StoredRecord) -> list[Output]:
        try:
            if self.kernel.counters.step % SAMPLE:
                return self.kernel.step(topic, record.value)
            return self.timings.step(self.kernel, topic, record.value)
        except KernelError as error:
            self._broken = True
            raise Incurable(
                f"shard {self.shard}: {topic} offset {record.offset} cannot be taken: {error}. A restart comes to the "
                f"same point; `tapeline log cat {topic} --from-offset {record.offset} --limit 1` shows the record"
            ) from error
        except BaseException as error:
            self._broken = True
            error.add_note(f"shard {self.shard}, step {self.kernel.counters.step}: {topic} offset {record.offset}")
            raise

    def heartbeat(self) -> None:
        """Commit consumed inputs that caused nothing, if a second has passed; call it when no input comes."""
        if self._inputs and self._overdue():
            self._commit()

    def finish(self) -> None:
        """Commit what is left and leave a checkpoint: a clean stop, after which a new code version may start.

        Where everything is committed but not checkpointed, a commit of no steps carries the state's digest.
        """
        if self.kernel.counters.step > self._checkpointed:
            self._since_checkpoint = max(self._since_checkpoint, self._checkpoint_inputs)
            self._commit(even_of_nothing=True)

    # -- commit ---------------------------------------------------------------------------------------------------

    def _commit(self, *, even_of_nothing: bool = False) -> None:
        if self._broken:
            raise FailStop(f"shard {self.shard}: step {self.kernel.counters.step} was broken off; nothing is committed")
        last_step = self.kernel.counters.step - 1
        if last_step < self._first_step and not even_of_nothing:
            return
        self._refuse_oversized()
        self._since_checkpoint += self._inputs
        state = self.kernel.state_json() if self._checkpoint_due() else None
        commit = commit_of(
            epoch=self._epoch,
            first_step=self._first_step,
            last_step=last_step,
            runs=[Run(topic, count) for topic, count in self._runs],
            inputs_digest=self._inputs_digest.hex(),
            outputs=self._outputs,
            outputs_digest=digest_outputs(self._outputs),
            previous_chain=self._chain,
            state_digest=None if state is None else state_digest(state),
        )
        self._append(self._record(JOURNAL, commit), output_records(self._outputs, self.shard))
        self._chain = commit.chain
        self.outputs_total += len(self._outputs)
        if state is not None:
            self._checkpoint(state)
        self._begin_batch()

    def _refuse_oversized(self) -> None:
        """Stop ahead of a commit whose outputs no log would take: committed, they would hold the shard for ever."""
        for output in self._outputs:
            size = len(output.key) + len(output.value)
            if size > RECORD_BYTES_MAX:
                envelope, event = decode(output.value)
                raise Incurable(
                    f"shard {self.shard}: {type(event).__name__} {envelope.event_id} (step {envelope.step}, stage "
                    f"{envelope.stage}) for topic {output.topic} has {size} bytes, at most {RECORD_BYTES_MAX} can be "
                    "stored: nothing of its batch was committed; a bug in the stage, report it"
                )

    def _append(self, journal: Any, outputs: Any) -> None:
        """Write a commit and its outputs. After one that did not land as it must, this object writes nothing more."""
        if self._stopped:
            raise FailStop(f"shard {self.shard}: this trader has stopped, only a new one may write: {self._stopped}")
        began, offset = self.timings.clock(), self._next_journal_offset
        self._stopped = f"the write of journal offset {offset} was broken off"
        try:
            result = self.log.commit(journal, offset, outputs)
        except LogError as error:
            self._stopped = f"committed, but the outputs were not all acknowledged: {error}"
            raise Unsure(f"shard {self.shard}: {self._stopped}") from error
        if result is Append.FENCED:
            self._stopped = f"journal offset {offset} is taken: {taken_by(self.log, self.shard, offset, self.worker)}"
            raise Fenced(f"shard {self.shard}: {self._stopped}")
        if result is Append.UNSURE:
            self._stopped = f"no word whether journal offset {offset} was written"
            raise Unsure(f"shard {self.shard}: {self._stopped}")
        self._stopped = ""
        self._next_journal_offset += 1
        self.timings.commits.add(self.timings.clock() - began)

    def _checkpoint_due(self) -> bool:
        return self._since_checkpoint >= self._checkpoint_inputs or self._work_s >= CHECKPOINT_WORK_S

    def _checkpoint(self, state: bytes) -> None:
        """Cache the state just committed; the outputs are acknowledged by now."""
        self._since_checkpoint = 0
        self._work_s = 0.0
        positions = output_positions(self.log, self.shard, self.kernel.counters.seqs)
        if positions is None:
            return  # more late repeats of another owner than we look behind: no place to resume from, no checkpoint now
        checkpoint = CheckpointTaken(
            step=self.kernel.counters.step - 1,
            chain=self._chain,
            journal_offset=self._next_journal_offset - 1,
            inputs=input_positions(self.positions),
            outputs=positions,
            state=compress(state),
            state_digest=state_digest(state),
        )
        try:
            self.log.append([self._record(CHECKPOINTS, checkpoint)])
            self._checkpointed = checkpoint.step + 1
        except LogError as error:  # it is a cache: without it the next recovery takes longer, and that is all
            logger.warning(
                "shard %d: the checkpoint at step %d was not written: %s", self.shard, checkpoint.step, error
            )

    # -- batch ----------------------------------------------------------------------------------------------------

    def _begin_batch(self) -> None:
        self._first_step = self.kernel.counters.step
        self._runs: list[list[Any]] = []  # [topic, count], counted up per input
        self._inputs = 0
        self._inputs_digest = Digest()
        self._outputs: list[Output] = []
        self._committed_at = time.monotonic()

    def _count(self, topic: str) -> None:
        self._inputs += 1
        if self._runs and self._runs[-1][0] == topic:
            self._runs[-1][1] += 1
        else:
            self._runs.append([topic, 1])

    def _overdue(self) -> bool:
        return self._inputs > 0 and time.monotonic() - self._committed_at >= HEARTBEAT_S

    def _record(self, topic: str, event: Any) -> Any:
        counters = self.kernel.counters
        return trader_record(
            topic, self.shard, event, step=counters.step, ts_event=counters.clock, code_version=self.code_version
        )
