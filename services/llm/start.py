"""Start the completion service from settings: models, budget, metrics, and litellm in this process alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence

import structlog

from services.llm.asker import Asker
from services.llm.budget import Amount, Budget
from services.llm.options import ModelAccess, models_of
from services.llm.provider import Provider
from services.llm.service import CompletionService, ServiceCounts
from services.llm.topic import CompletionsTopic
from services.logs import is_secret_key, register_secrets
from services.market_time import market_time, wall_time
from services.metrics.llm import LlmMeter
from services.metrics.serve import serve_metrics
from services.settings import Settings
from streams.log.base import EventLog
from streams.venues import venue_of

SETTINGS_POLL_S = 0.5
_log = structlog.get_logger("tapeline.llm")


async def run_service(log: EventLog, settings: Settings, *, stopped: Callable[[], bool]) -> ServiceCounts:
    """Answer one shard's requests until stopped. Waits for the shard's first settings.

    Raises SettingsError, LogError, Displaced, AppendInDoubt.
    """
    options, shard = settings.service, settings.service.shard
    models = models_of(options)
    register_secrets(value for name, value in os.environ.items() if is_secret_key(name))  # a provider's own variables
    budget = Budget(Amount(options.llm_tokens_per_day, options.llm_cost_per_day))
    meter = LlmMeter(budget, wall=wall_time, configured=bool(models))
    with serve_metrics(meter.metrics.registry, host=options.metrics_host, port=options.metrics_port):
        provider = Provider()
        try:
            _tell(provider, models)
            if not await _begun(log, shard, stopped):
                return ServiceCounts()
            now = _clock(log, shard)
            topic = CompletionsTopic(log, shard, settings.trading.account_id, now)
            asker = Asker(provider, models, options, budget, now=wall_time)
            service = CompletionService(log, shard, asker, topic, now=now, stopped=stopped, told=meter.take)
            await service.run()
            return service.counts
        finally:
            await provider.close()


def _clock(log: EventLog, shard: int) -> Callable[[], int]:
    return lambda: market_time(log, shard)


def _tell(provider: Provider, models: Sequence[ModelAccess]) -> None:
    if not models:
        _log.warning("no model is set: every request is answered so", variable="TAPELINE_LLM_MODEL")
    for access in models:
        if (lacking := provider.missing(access)) is not None:
            _log.warning("model cannot be asked: every request to it fails so", model=access.model, detail=lacking)
            continue
        known = provider.prices(access.model) is not None
        words = "" if known else "its price is unknown: it counts as 0 USD, only the tokens bind"
        _log.info("model", model=access.model, price_known=known, detail=words)


async def _begun(log: EventLog, shard: int, stopped: Callable[[], bool]) -> bool:
    """Wait until somebody has begun the shard; return False when stopped first."""
    while venue_of(log, shard) is None:
        if stopped():
            return False
        await asyncio.sleep(SETTINGS_POLL_S)
    return True


def run_blocking(log: EventLog, settings: Settings, *, stopped: Callable[[], bool]) -> ServiceCounts:
    """Run the service in an event loop of its own."""
    return asyncio.run(run_service(log, settings, stopped=stopped))
