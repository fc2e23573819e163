"""The completion service in this process: a log in memory with requests on it, the real litellm, a fake provider."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from schemas.codec import decode, encode
from schemas.envelope import Envelope, Event
from schemas.events.model import CompletionFailed, CompletionReceived, CompletionRequested
from schemas.ids import derive_id
from schemas.settings import TradingSettings
from schemas.values import SECOND, Micros
from services.bootstrap import prepare_log
from services.llm.start import run_service
from services.settings import Settings, load_settings
from streams.log import open_log
from streams.log.base import EventLog, NewRecord
from tests.builders import T0
from tests.fakes.models.openai import KEY
from tests.fakes.models.server import FakeModels

PLAN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "examples" / "plan_trend.json").read_text())
BTC = "BTC-USDT-SWAP"
MODEL = "openai/gpt-4o-mini"
FACTS = json.dumps({"instrument_id": BTC, "mark_price": "80000", "context": []})
PATIENCE_S = 60.0
Completion = CompletionReceived | CompletionFailed


def plan(**changes: Any) -> str:
    """Return the example plan with changes, as a model would write it."""
    return json.dumps({**PLAN, **changes})


def settings(fake: FakeModels | None, **variables: str) -> Settings:
    """Return settings whose model is served by the fake; None: no model. ``variables``: without TAPELINE_LLM_."""
    given = {"TAPELINE_LLM_RETRIES": "1"}
    if fake is not None:
        given |= {
            "TAPELINE_LLM_MODEL": MODEL, "TAPELINE_LLM_API_KEY": KEY, "TAPELINE_LLM_API_BASE": fake.base,
        }  # fmt: skip
    return load_settings(
        environ={**given, **{f"TAPELINE_LLM_{name}": text for name, text in variables.items()}}, env_file=None
    )


def new_log(url: str = "memory://") -> EventLog:
    """Return a recorded log of the past: its market stands still at T0."""
    log = open_log(url)
    prepare_log(log, TradingSettings(), ts_event=T0)
    return log


def ask(log: EventLog, *, facts: str = FACTS, limit_s: float = 60, number: int | None = None, ts: int = T0) -> str:
    """Put a request on the log as the trader does; return its id. ``ts``: the trader's time."""
    seq = log.end_offset("prompts", 0) if number is None else number
    identity = derive_id("request", seq)
    envelope = Envelope(identity, f"idea-{seq}", "bar", "planner", seq, 0, seq, Micros(ts), Micros(ts), "test", "")
    event = CompletionRequested("paper", BTC, facts, (), Micros(ts + int(limit_s * SECOND)), True)
    log.publish([NewRecord("prompts", 0, b"paper", encode(envelope, event), ts)])
    return identity


def on(log: EventLog, kind: type[Any] = Event) -> list[tuple[Envelope, Any]]:
    """Return what is on the topic of completions, of a kind."""
    found = [decode(record.value) for record in log.read("completions", 0, 0, limit=10_000)]
    return [(envelope, event) for envelope, event in found if isinstance(event, kind)]


def answers(log: EventLog) -> dict[str, Completion]:
    """Return the answer to each request; fail where one has two."""
    found = [event for _, event in on(log, CompletionReceived | CompletionFailed)]
    assert len({event.request_id for event in found}) == len(found), "a request with two answers"
    return {event.request_id: event for event in found}


def serve(log: EventLog, chosen: Settings, *, until: Callable[[], bool] | None = None) -> None:
    """Run the service until every request is answered, or a condition holds."""
    done = until or (lambda: len(answers(log)) == log.end_offset("prompts", 0))

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await run_service(log, chosen, stopped=done)

    asyncio.run(bounded())


def answer_of(chosen: Settings, *, limit_s: float = 60) -> Completion:
    """Return the answer a service with these settings gives to one request."""
    log = new_log()
    request = ask(log, limit_s=limit_s)
    serve(log, chosen)
    return answers(log)[request]
