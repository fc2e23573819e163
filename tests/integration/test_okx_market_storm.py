"""A storm of faults, seeded: cuts, gaps, lost frames, refused requests, stops and kills; what must hold at the end."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from decimal import Decimal

import pytest

from schemas.events.data import TickQuarantined
from schemas.events.market import BookTop, Channel, FeedState, FeedStatus, Trade, VenueBar
from services.bootstrap import build_trader
from services.gateways.okx.market.errors import VenueUnreachable
from services.gateways.okx.market.start import run_market_gateway
from streams.batch import run_batch
from tests.fakes.okx import Fault, Frame
from tests.okx_gateway import BTC, Stand, drive, outputs
from tests.waiting import PATIENCE_S, SCENARIO_S

OPEN, LOST, RESYNCED = FeedState.OPEN, FeedState.LOST, FeedState.RESYNCED
STEPS = 40
CHANNELS = (Channel.TRADES, Channel.BOOK, Channel.MARK, Channel.BARS)


class Runner:
    """One gateway at a time, stopped or killed and started again."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand
        self.start()

    def start(self) -> None:
        self.stop = asyncio.Event()
        stand = self.stand
        run = run_market_gateway(stand.log, stand.settings, stand.options, stopped=self.stop.is_set)
        self.task = asyncio.create_task(run)

    async def again(self, *, kill: bool) -> None:
        """End it, cleanly or not, and start the next one."""
        if kill:
            self.task.cancel()
        await self.end()
        self.start()

    async def end(self) -> None:
        """Stop it and look at how it ended; one that could not even start is allowed: it is started again."""
        self.stop.set()
        await asyncio.wait({self.task}, timeout=PATIENCE_S)
        with suppress(asyncio.CancelledError, VenueUnreachable):
            self.task.result()


async def weather(stand: Stand, runner: Runner, chance: random.Random) -> None:
    """Let one thing happen."""
    okx, market = stand.okx, stand.okx.venue.market(BTC)
    kind = chance.choice(
        ["minute"] * 4 + ["trade"] * 4 + ["book"] * 3
        + ["gap", "cut", "public", "business", "candle", "refuse", "notice", "stop", "kill", "double", "mark"]
    )  # fmt: skip
    if kind == "minute":
        stand.pass_minutes(1)
    elif kind == "trade":
        okx.venue.print_trade(BTC, str(50_000 + chance.randrange(10)), "1", "buy")
    elif kind in ("book", "gap"):
        bids = [(f"{50_000 - chance.randrange(1, 6) / 10:.1f}", str(chance.randrange(1, 99)))]
        market.update_book(bids=bids, silent=kind == "gap")
    elif kind in ("cut", "public", "business"):
        okx.hub.drop("" if kind == "cut" else kind)
    elif kind == "candle":
        okx.faults.plan("candle1m", Frame.LOSE)
    elif kind == "double":
        okx.faults.plan("trades", Frame.DUPLICATE)
    elif kind == "refuse":
        okx.faults.plan("market/candles", Fault.ANSWER_BEFORE, code="50001", times=3)
    elif kind == "notice":
        okx.hub.notice()
    elif kind == "mark":
        okx.venue.set_mark(BTC, str(50_000 + chance.randrange(10)))
    else:
        await runner.again(kill=kind == "kill")
    await asyncio.sleep(chance.choice([0, 0, 0.01, 0.3]))


async def calm(stand: Stand) -> None:
    """Let the gateway come to rest: every channel open, the newest bar and the newest book on the log."""

    def open_again() -> bool:
        return all(stand.said(channel)[-1:] in ([OPEN], [RESYNCED]) for channel in CHANNELS)

    await stand.until(open_again, "the calm")
    for _ in range(2):
        stand.pass_minutes(1)
        await stand.until(lambda: stand.bar_minutes()[-1:] == [-1], "the newest bar")
    market = stand.okx.venue.market(BTC)
    market.update_book(bids=[("49999.9", "777")])
    await stand.until(lambda: stand.of(BookTop)[-1].bids[0].base_quantity == Decimal("7.77"), "the newest book")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_happens_every_bar_is_there_once_and_every_loss_is_told(seed: int) -> None:
    async def scenario(stand: Stand) -> None:
        chance = random.Random(seed)
        stand.seed_bars(30)
        runner = Runner(stand)
        for _ in range(STEPS):
            await weather(stand, runner, chance)
        stand.okx.faults.clear()
        if runner.task.done():
            await runner.again(kill=False)
        await calm(stand)
        await runner.end()
        judge(stand)

    drive(scenario, channels="trades,book,mark,bars", bound_s=3 * SCENARIO_S)


def judge(stand: Stand) -> None:
    minutes = stand.bar_minutes()
    assert minutes == list(range(minutes[0], 0)), "every bar once, in order, none missing"
    assert sum(isinstance(event, VenueBar) for _, event in stand.ticks()) == len(minutes)
    numbers = [int(trade.trade_id) for trade in stand.of(Trade)]
    assert numbers == sorted(set(numbers)), "every trade at most once, in order"
    for channel in CHANNELS:
        said = stand.said(channel)
        assert said == [OPEN, *_turns(len(said) - 1)], (channel, said)
    assert all((e.lost_us or 0) >= 0 for e in stand.of(FeedStatus))
    trader = build_trader(stand.log, 0)
    trader.start()
    run_batch(stand.log, trader)
    aside = [event for event in outputs(stand, "quality") if isinstance(event, TickQuarantined)]
    assert aside == [], aside[:3]


def _turns(count: int) -> list[FeedState]:
    return [(LOST, RESYNCED)[number % 2] for number in range(count)]
