"""Fake OKX: a venue on loopback, REST v5 and WebSocket, that the real ccxt client talks to unpatched.

Written from the venue's documentation and recorded replies, never from our gateway's tables: it is what the gateway is
judged by. It keeps one account (spot, perpetuals, both position modes), an order book per instrument, algo orders,
bills, and it goes wrong on demand.

In an async test::

    async with FakeOkx() as okx:
        client = ccxt.pro.okx(okx.ccxt_config(LIVE_KEY))
        ...
        okx.venue.set_mark("BTC-USDT-SWAP", "49000")

From synchronous tests, or for other processes (``okx.rest_url``, ``okx.ws_url``)::

    with serving() as okx:
        okx.run(lambda: okx.venue.print_trade("BTC-USDT-SWAP", "49900", "3", "sell"))

``okx.venue``    prices, books, prints, fills: ``set_price``, ``set_book``, ``print_trade``, ``fill``, ``order``; its
                 ``market(id)`` has the sequence of the book: ``keep_alive``, ``reset_sequence``,
                 ``update_book(silent=True)``, and ``set_candle``, ``set_funding``.
``okx.control``  funding, liquidation, ADL, trades by hand, vanished orders, instrument changes, maintenance.
``okx.faults``   a plan of what goes wrong: ``okx.faults.plan("trade/order", Fault.DROP_AFTER)`` carries the next order
                 out and loses the answer; ``plan("orders", Frame.DUPLICATE)`` doubles a frame.
``okx.hub``      connections: ``drop``, ``stall``, ``notice``, ``subscribed``.
``okx.clock``    ``advance(hours=2)`` lets time pass at the venue; ``skew_ms`` makes clocks differ.
``tape``         a market that moves by itself along recorded or made-up minutes, with history; as a process of its own:
                 ``python -m tests.fakes.okx --port 8799`` prints its addresses and keys and serves until SIGTERM.
``okx.rules``    choices where accounts differ or the documentation leaves room (``Rules``).

Where the documentation is silent or sources disagree the worse case is the default; ``Rules`` lists them.
"""

from tests.fakes.okx.auth import DEMO_KEY, LIVE_KEY, ApiKey
from tests.fakes.okx.clock import Clock
from tests.fakes.okx.errors import VenueError
from tests.fakes.okx.faults import Fault, Frame
from tests.fakes.okx.rules import Rules
from tests.fakes.okx.server import FakeOkx, serving
from tests.fakes.okx.venue import Venue

__all__ = [
    "DEMO_KEY",
    "LIVE_KEY",
    "ApiKey",
    "Clock",
    "FakeOkx",
    "Fault",
    "Frame",
    "Rules",
    "Venue",
    "VenueError",
    "serving",
]
