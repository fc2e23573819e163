"""Web sites that answer what a test says, byte by byte where it matters: slow, huge, cut off, hostile.

One server on loopback in the test's own event loop; each path has a reply that may be changed while it runs.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

HEAD_MAX = 65_536


@dataclass(slots=True)
class Reply:
    """One answer. ``chunks``: sent chunked, in place of the body, for as long as the client takes them.

    ``hangs``: nothing is ever sent. ``pause_s``: before every byte of the body. ``raw``: the whole answer as it is.
    """

    body: bytes = b""
    media_type: str = "application/json"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    chunks: Callable[[], Iterable[bytes]] | None = None
    hangs: bool = False
    pause_s: float = 0.0
    raw: bytes | None = None

    def head(self) -> bytes:
        """Return status line and headers."""
        lines = [f"HTTP/1.1 {self.status} Said", f"Content-Type: {self.media_type}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines.append("Transfer-Encoding: chunked" if self.chunks else f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "Connection: close", "", ""]).encode()


class Sites:
    """The running server. ``requests``: the head of every request, in order."""

    def __init__(self, port: int, scheme: str) -> None:
        self.port = port
        self.scheme = scheme
        self.replies: dict[str, Reply] = {}
        self.requests: list[str] = []
        self.everywhere: Reply | None = None

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """Return the URL of a path."""
        return f"{self.scheme}://{host}:{self.port}{path}"

    def asked(self, path: str) -> int:
        """Return how often a path was asked for."""
        return sum(request.split(" ")[1].partition("?")[0] == path for request in self.requests)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(head)
            path = head.split(" ")[1].partition("?")[0]
            reply = self.everywhere or self.replies.get(path) or Reply(status=404)
            await self._send(reply, writer)
        writer.close()

    async def _send(self, reply: Reply, writer: asyncio.StreamWriter) -> None:
        if reply.hangs:
            await asyncio.sleep(3_600)
        writer.write(reply.raw if reply.raw is not None else reply.head())
        for byte in reply.body if reply.pause_s else ():
            await asyncio.sleep(reply.pause_s)
            writer.write(bytes((byte,)))
            await writer.drain()
        if reply.raw is None and not reply.pause_s:
            writer.write(reply.body)
        for chunk in reply.chunks() if reply.chunks else ():
            writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            await writer.drain()
        if reply.chunks:
            writer.write(b"0\r\n\r\n")
        await writer.drain()


@asynccontextmanager
async def sites(*, tls: ssl.SSLContext | None = None) -> AsyncIterator[Sites]:
    """Serve for as long as the block lasts."""
    found: list[Sites] = []
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(found[0].serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls, limit=HEAD_MAX)
    found.append(Sites(server.sockets[0].getsockname()[1], "https" if tls else "http"))
    try:
        yield found[0]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
