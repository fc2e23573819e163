"""Who is told, on loopback: a webhook, a mail server and Telegram's bot API, each remembering what it was sent."""

from __future__ import annotations

import email
import json
import socketserver
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from email import policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

BODY_BYTES_MAX = 100_000


@dataclass
class Heard:
    """One message. ``by``: webhook, e-mail or Telegram; ``at``: monotonic seconds; ``content``: the webhook's JSON."""

    by: str
    at: float
    text: str
    content: dict[str, Any] = field(default_factory=dict)


class Ears:
    """Three servers and everything they heard, in order."""

    def __init__(self, http: int, smtp: int) -> None:
        self.heard: list[Heard] = []
        self.http = f"http://127.0.0.1:{http}"
        self.smtp = f"127.0.0.1:{smtp}"

    def settings(self) -> dict[str, str]:
        """Return the settings that make Alertmanager tell these ears, by variable."""
        return {
            "TAPELINE_ALERT_WEBHOOK_URL": f"{self.http}/hook",
            "TAPELINE_ALERT_EMAIL_TO": "trader@example.com",
            "TAPELINE_ALERT_EMAIL_FROM": "tapeline@example.com",
            "TAPELINE_ALERT_SMTP": self.smtp,
            "TAPELINE_ALERT_SMTP_TLS": "false",
            "TAPELINE_ALERT_TELEGRAM_TOKEN": "1:bot",
            "TAPELINE_ALERT_TELEGRAM_CHAT": "7",
            "TAPELINE_ALERT_TELEGRAM_URL": self.http,
        }

    def of(self, by: str, words: str) -> list[Heard]:
        """Return what one of them heard with these words in it."""
        return [each for each in list(self.heard) if each.by == by and words in each.text]


@contextmanager
def listening() -> Iterator[Ears]:
    """Run the servers while the block lasts."""
    with ExitStack() as ending:
        http = ThreadingHTTPServer(("127.0.0.1", 0), _Http)
        smtp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Smtp)
        ears = Ears(http.server_port, smtp.server_address[1])
        for server in (http, smtp):
            server.daemon_threads = True
            server.ears = ears  # type: ignore[union-attr]
            thread = Thread(target=server.serve_forever, daemon=True)
            thread.start()
            ending.callback(thread.join)
            ending.callback(server.server_close)
            ending.callback(server.shutdown)
        yield ears


class _Http(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(min(int(self.headers["Content-Length"]), BODY_BYTES_MAX)))
        ears: Ears = self.server.ears  # type: ignore[attr-defined]
        if self.path == "/hook":
            text = "\n".join(alert["annotations"].get("summary", "") for alert in body["alerts"])
            ears.heard.append(Heard("webhook", time.monotonic(), text, body))
            self._answer({})
        elif self.path.startswith("/bot1:bot/"):
            if self.path.endswith("/sendMessage"):
                ears.heard.append(Heard("Telegram", time.monotonic(), body["text"]))
            chat = {"id": 7, "type": "private"}
            self._answer({"ok": True, "result": {"message_id": 1, "date": 1, "chat": chat, "text": ""}})
        else:
            self.send_error(404)

    def _answer(self, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


class _Smtp(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as a sender without authentication needs."""

    def handle(self) -> None:
        self._say("220 loopback")
        while line := self.rfile.readline(1_000).decode().strip():
            verb = line.split()[0].upper()
            if verb == "DATA":
                self._say("354 go on")
                self._take()
                self._say("250 taken")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 loopback")

    def _take(self) -> None:
        lines = list(iter(lambda: self.rfile.readline(10_000), b".\r\n"))
        message = email.message_from_bytes(b"".join(lines), policy=policy.default)
        part = message.get_body(("plain",))
        text = part.get_content() if part is not None else ""
        words = f"Subject: {message['Subject']}\n\n{text}".replace("\r\n", "\n")
        self.server.ears.heard.append(Heard("e-mail", time.monotonic(), words))  # type: ignore[attr-defined]

    def _say(self, words: str) -> None:
        self.wfile.write(words.encode() + b"\r\n")
