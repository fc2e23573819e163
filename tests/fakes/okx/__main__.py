"""Run the fake as a process of its own, with a market that moves: ``python -m tests.fakes.okx --port 8799``.

For a whole stack on one machine without a network. It prints one line of JSON with its addresses and keys, then serves
until it is told to stop (SIGTERM or SIGINT).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from decimal import Decimal
from pathlib import Path

from tests.fakes.okx import DEMO_KEY, LIVE_KEY, ApiKey, FakeOkx
from tests.fakes.okx.tape import Bar, MovingMarket, Tape, made_up_bars, read_bars

DAY_MIN = 1440


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.okx", description="A fake OKX on loopback.")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0: a free one")
    parser.add_argument("--history-min", type=int, default=10 * DAY_MIN, help="closed minutes known at the start")
    parser.add_argument("--step-ms", type=int, default=500, help="how often the market moves")
    parser.add_argument("--seed", type=int, default=1, help="of the made-up markets")
    parser.add_argument(
        "--candles",
        action="append",
        default=[],
        metavar="INSTRUMENT=FILE",
        help="recorded 1m candles (csv.gz) for an instrument instead of a made-up market",
    )
    return parser.parse_args(given)


def bars_of(okx: FakeOkx, options: argparse.Namespace) -> dict[str, list[Bar]]:
    """Return the minutes of every instrument: recorded where a file is named, made up elsewhere."""
    files = dict(entry.split("=", 1) for entry in options.candles)
    unknown = sorted(set(files) - set(okx.venue.instruments))
    if unknown:
        raise SystemExit(f"--candles: the fake does not list {', '.join(unknown)}")
    bars = {}
    for number, (inst_id, instrument) in enumerate(okx.venue.instruments.items()):
        if inst_id in files:
            bars[inst_id] = read_bars(Path(files[inst_id]), instrument.ct_val if instrument.is_swap else Decimal(1))
        else:
            price = okx.venue.market(inst_id).last
            bars[inst_id] = made_up_bars(price, instrument.tick, 2 * DAY_MIN, options.seed + number)
    return bars


async def serve(options: argparse.Namespace) -> None:
    """Serve and move the market until told to stop."""
    okx, stopping = FakeOkx(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    tapes = [Tape(okx.venue, inst_id, bars) for inst_id, bars in bars_of(okx, options).items()]
    market = MovingMarket(okx.venue, tapes, options.history_min)
    await okx.start(options.port)
    print(
        json.dumps({"rest": okx.rest_url, "ws": okx.ws_url, "live": _told(LIVE_KEY), "demo": _told(DEMO_KEY)}),
        flush=True,
    )
    while not stopping.is_set():
        market.step()
        try:
            async with asyncio.timeout(options.step_ms / 1000):
                await stopping.wait()
        except TimeoutError:
            continue
    await okx.stop()


def _told(key: ApiKey) -> dict[str, str]:
    return {"key": key.key, "secret": key.secret, "passphrase": key.passphrase}


if __name__ == "__main__":
    asyncio.run(serve(arguments()))
