"""The server: one thread a connection, each request answered by the next thing scripted."""

from __future__ import annotations

import gzip
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from tests.fakes.models.anthropic import ANTHROPIC
from tests.fakes.models.ollama import OLLAMA
from tests.fakes.models.openai import DEEPSEEK, OPENAI, error
from tests.fakes.models.wire import Body

USAGE = {"prompt_tokens": 1000, "completion_tokens": 200}
WIRES = {
    "/v1/chat/completions": OPENAI, "/chat/completions": DEEPSEEK, "/v1/messages": ANTHROPIC, "/api/chat": OLLAMA,
}  # fmt: skip
"""Which format is spoken where. What is asked for elsewhere is only ever answered with something bad."""


@dataclass(frozen=True)
class Says:
    """An answer. ``text``: what the model writes, or how it makes that of the request."""

    text: str | Callable[[Body], str]
    finish_reason: str = "stop"
    usage: Mapping[str, int] | None = field(default_factory=lambda: USAGE)


@dataclass(frozen=True)
class Fails:
    """An error status with the documented body; ``message`` may quote the request's key."""

    status: int
    kind: str = "server_error"
    message: str = "The server had an error"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sends:
    """Bytes as they are, ``times`` over, ``pause_s`` apart. ``compressed``: gzip, and said so."""

    body: bytes
    times: int = 1
    pause_s: float = 0.0
    compressed: bool = False


class Hangs:
    """No answer until the server is closed."""


class Drops:
    """The connection is closed without a word."""


Scripted = Says | Fails | Sends | Hangs | Drops


class FakeModels:
    """A running server. ``asked``: bodies of the requests that were let in, oldest first.

    ``seen``: path and headers of every request. ``problems``: what requests got wrong. ``refused``: keys.
    """

    def __init__(self) -> None:
        self.script: deque[Scripted] = deque()
        self.always: Scripted = Fails(500, message="nothing is scripted")
        self.asked: list[dict[str, Any]] = []
        self.refused: list[str] = []
        self.problems: list[str] = []
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.closing = Event()
        server = self

        class Handler(_Handler):
            fake = server

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.host = f"http://127.0.0.1:{self._http.server_port}"
        self.base = f"{self.host}/v1"

    def clear(self) -> None:
        """Forget what is scripted and what was asked."""
        for kept in (self.script, self.asked, self.refused, self.problems, self.seen):
            kept.clear()
        self.always = Fails(500, message="nothing is scripted")

    def next(self) -> Scripted:
        """Return what comes next."""
        return self.script.popleft() if self.script else self.always

    def run(self) -> None:
        """Serve until ``close``."""
        self._http.serve_forever(poll_interval=0.02)

    def close(self) -> None:
        """Let hanging requests go and stop."""
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    fake: FakeModels
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: Any) -> None:
        """Write nothing."""

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.fake.seen.append((self.path, headers))
        wire = WIRES.get(self.path)
        if wire is None:
            self._misbehave(self.fake.next(), error)
            return
        given = wire.key_of(headers)
        if wire.key is not None and given != wire.key:
            self.fake.refused.append(given)
            words = f"Incorrect API key provided: {given}. You can find your API key in settings."
            self._json(401, wire.error(words, "authentication_error"))
            return
        body: dict[str, Any] = json.loads(raw)
        if (problem := wire.problem_of(body, headers)) is not None:
            self.fake.problems.append(problem[1])
            self._json(problem[2], wire.error(problem[1], "invalid_request_error"))
            return
        self.fake.asked.append(body)
        scripted = self.fake.next()
        if isinstance(scripted, Says):
            text = scripted.text if isinstance(scripted.text, str) else scripted.text(body)
            self._json(200, wire.completion(body, text, scripted.finish_reason, scripted.usage))
        else:
            self._misbehave(scripted, wire.error)

    def _misbehave(self, scripted: Scripted, error: Callable[[str, str], dict[str, Any]]) -> None:
        match scripted:
            case Fails():
                self._json(scripted.status, error(scripted.message, scripted.kind), scripted.headers)
            case Sends():
                self._send(scripted)
            case Hangs():
                self.fake.closing.wait()
                self.close_connection = True
            case _:
                self.close_connection = True

    def _json(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _send(self, scripted: Sends) -> None:
        piece = gzip.compress(scripted.body * scripted.times) if scripted.compressed else scripted.body
        times = 1 if scripted.compressed else scripted.times
        self.send_response(200)
        self.send_header("content-type", "application/json")
        if scripted.compressed:
            self.send_header("content-encoding", "gzip")
        self.send_header("content-length", str(len(piece) * times))
        self.end_headers()
        try:
            for _ in range(times):
                self.wfile.write(piece)
                self.wfile.flush()
                if scripted.pause_s and self.fake.closing.wait(scripted.pause_s):
                    break
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client has had enough, which is what it is tested for
        self.close_connection = True


@contextmanager
def fake_models() -> Iterator[FakeModels]:
    """Run a server for as long as the block lasts."""
    fake = FakeModels()
    thread = Thread(target=fake.run, name="fake-models")
    thread.start()
    try:
        yield fake
    finally:
        fake.close()
        thread.join(10)
