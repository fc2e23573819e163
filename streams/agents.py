"""The one Faust agent: it hands batches to the shards and decides nothing."""

from __future__ import annotations

from typing import Any

from schemas.settings import Venue
from schemas.topics import inputs_of
from streams.shards import Shards
from streams.transports.batching import Batch, BatchApp, PassThrough


def declare_trader(app: BatchApp, shards: Shards) -> None:
    """Declare the agent that takes every input topic, and connect taking and giving up of shards to rebalances."""
    topics = [app.topic_prefix + name for name in inputs_of(Venue.OKX)]  # a paper shard is not fed its own reports

    # acks=False: positions come from the journal, see transports/batching.py.
    @app.agent(app.topic(*topics, schema=PassThrough(), acks=False), name="trader", concurrency=1)
    async def trader(batches: Any) -> None:
        batch: Batch
        async for batch in batches:
            await shards.take(batch)

    @app.on_rebalance_complete.connect(weak=False)
    async def take_shards(*_: Any, **__: Any) -> None:
        await shards.assign({tp.partition for tp in app.consumer.assignment()})

    @app.on_partitions_revoked.connect(weak=False)
    async def give_up_shards(*_: Any, **__: Any) -> None:
        await shards.revoke()

    @app.on_before_shutdown.connect(weak=False)
    async def finish_shards(*_: Any, **__: Any) -> None:
        await shards.revoke(finish=True)
