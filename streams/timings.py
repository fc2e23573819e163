"""How long a trader's steps take, stage by stage: one step in SAMPLE runs with a clock around every stage.

The core knows no clock, so the runner puts one around the stages' functions. All other steps run as they are: the path
of a tick carries one comparison more.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from streams.core.kernel import Kernel, Output
from streams.core.stage import Stage

SAMPLE = 251
"""A prime, so that inputs which come in turn are all looked at in the end."""
BOUNDS_S = (0.000_01, 0.000_03, 0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Upper bounds of the buckets, in seconds; one more takes what is longer."""

Clock = Callable[[], float]


@dataclass(slots=True)
class Durations:
    """Counted durations: by bucket, and their sum in seconds."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    total_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.buckets[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds


class StepTimings:
    """The durations of one trader: ``stages`` by name and whole ``steps``, both of the sampled ones; every ``commits``.

    A stage's duration is that of all its calls in a step. clock: seconds that only go forward.
    """

    def __init__(self, stages: Sequence[Stage[Any]], *, clock: Clock = time.perf_counter) -> None:
        self.stages = {stage.name: Durations() for stage in stages}
        self.steps = Durations()
        self.commits = Durations()
        self.clock = clock
        self._spent: dict[str, float] = {}
        self._timed = tuple(self._with_clock(stage) for stage in stages)

    def step(self, kernel: Kernel, topic: str, data: bytes) -> list[Output]:
        """Take an input through the kernel with the clock. Raises what the kernel raises."""
        self._spent.clear()
        with kernel.through(self._timed):
            began = self.clock()
            outputs = kernel.step(topic, data)
            self.steps.add(self.clock() - began)
        for name, seconds in self._spent.items():
            self.stages[name].add(seconds)
        return outputs

    def _with_clock(self, stage: Stage[Any]) -> Stage[Any]:
        return replace(
            stage, decide=self._clocked(stage.name, stage.decide), evolve=self._clocked(stage.name, stage.evolve)
        )

    def _clocked(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        clock, spent = self.clock, self._spent

        def call(state: Any, message: Any) -> Any:
            began = clock()
            result = function(state, message)
            spent[name] = spent.get(name, 0.0) + clock() - began
            return result

        return call
