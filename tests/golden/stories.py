"""Short stories through all ten stages: what went in and everything that came out, kept line by line in this folder.

``make golden`` writes ``<case>/in.jsonl`` and ``out.jsonl`` anew; a change of any decision, number or reason shows
there as a diff to be reviewed. Each line is the JSON form of a record, outputs in the order they were emitted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from schemas.codec import decode
from schemas.envelope import Envelope, Event
from schemas.events.control import ClosePosition, ExecutePlan, KillSwitch, ResumeTrading
from schemas.json_form import from_json, to_json
from streams.core.kernel import Kernel
from streams.pipeline import stages
from tests.rig import Rig

FOLDER = Path(__file__).parent
QUIET = "80000/80000/80000/80000"
ACCOUNT = "paper"


class Story(Rig):
    """A rig of all stages with one quiet bar behind it."""

    def __init__(self, **settings: object) -> None:
        super().__init__(stages=stages(), rules_enabled="false", **settings)
        self.bar(QUIET)

    def plan(self, stop: str = "79200", *, break_even_at_r: str | None = None, **document: Any) -> None:
        """Ask for an operator's plan: by default a long at market with a stop 1 % below."""
        follow = {} if break_even_at_r is None else {"break_even_at_r": break_even_at_r}
        plan: dict[str, Any] = {
            "schema_version": 1,
            "instrument_id": "BTC-USDT-SWAP",
            "position_side": "LONG",
            "strategy": "trend",
            "entry": {"type": "MARKET"},
            "stop": {"trigger_price": stop, **follow},
            "valid_for_s": 900,
            "max_holding_s": 86400,
            "rationale": {"summary": "a golden story"},
        }
        self.feed(ExecutePlan(ACCOUNT, json.dumps({**plan, **document})))


def stopped_out() -> Story:
    """A long at market, protected, loses what was approved."""
    story = Story()
    story.plan()
    for bar in ("80000/80100/79900/80050", "80050/80060/79150/79300", "79300/79400/79200/79300"):
        story.bar(bar)
    return story


def targets_and_break_even() -> Story:
    """Half is taken at the first target, the stop goes to break-even, the rest ends there."""
    story = Story()
    targets = [{"limit_price": "80800", "fraction": "0.5"}, {"limit_price": "82400", "fraction": "0.5"}]
    story.plan(break_even_at_r="1", targets=targets)
    for bar in ("80000/80100/79900/80050", "80050/81000/80040/80900", "80900/80950/79900/79950"):
        story.bar(bar)
    return story


def denied() -> Story:
    """Plans that risk does not let through, and one that is no plan."""
    story = Story()
    story.plan(stop="80100")
    story.plan(stop="60000")
    story.plan(instrument_id="DOGE-USDT-SWAP")
    story.feed(ExecutePlan(ACCOUNT, '{"schema_version": 1, "size": "all of it"}'))
    story.plan()
    story.plan()
    return story


def killed_while_open() -> Story:
    """The operator stops everything in the middle of a trade, and resumes."""
    story = Story()
    story.plan()
    story.bar("80000/80100/79900/80050")
    story.feed(KillSwitch(ACCOUNT, flatten=True, reason="a golden story"))
    story.bar("80050/80060/79950/80000")
    story.plan(stop="79000")
    story.feed(ResumeTrading(ACCOUNT))
    story.feed(ClosePosition(ACCOUNT, "BTC-USDT-SWAP"))
    story.bar(QUIET)
    return story


def halted_by_drawdown() -> Story:
    """A gap through the stop costs more than the drawdown allowed: trading halts until it is resumed with a reason."""
    story = Story(drawdown_warn_pct="1", drawdown_halt_pct="1.5")
    story.plan()
    story.bar("80000/80100/79900/80050")
    story.bar("78000/78100/77900/78000")
    story.plan(stop="77000")
    story.feed(ResumeTrading(ACCOUNT, "reviewed"))
    story.bar("78000/78000/78000/78000")
    story.plan(stop="77000")
    return story


STORIES: tuple[Callable[[], Story], ...] = (
    stopped_out,
    targets_and_break_even,
    denied,
    killed_while_open,
    halted_by_drawdown,
)


def replayed(lines: Iterable[str]) -> list[str]:
    """Return the lines of what comes out where these lines go in."""
    kernel, out = Kernel(stages(), code_version="golden"), list[str]()
    for line in lines:
        form = json.loads(line)
        outputs = kernel.step_event(*from_json(form["event"], form))
        out += [_line(*decode(output.value)) for output in outputs]
    return out


def told(story: Story) -> list[str]:
    """Return the lines of a story's inputs."""
    return [_line(message.envelope, message.event) for message in story.inputs]


def read(case: str, name: str) -> list[str]:
    """Return the lines kept of a case; ``name``: in or out."""
    return (FOLDER / case / f"{name}.jsonl").read_text().splitlines()


def _line(envelope: Envelope, event: Event) -> str:
    return json.dumps(to_json(envelope, event), allow_nan=False)


def _write(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def main() -> int:
    """Write every case anew."""
    for story in STORIES:
        lines = told(story())
        _write(FOLDER / story.__name__ / "in.jsonl", lines)
        _write(FOLDER / story.__name__ / "out.jsonl", replayed(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
