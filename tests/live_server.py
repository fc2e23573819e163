"""The API on a real socket of loopback, in a thread: what a client sees is what a user sees."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import uvicorn
from fastapi import FastAPI

START_S = 20


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Serve the application on a free port and yield its base URL."""
    started = Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started.set()

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    thread = Thread(target=server.run, kwargs={"sockets": [listening]}, name="api")
    thread.start()
    try:
        assert started.wait(START_S), "the API did not start"
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(START_S)
        listening.close()
