"""Who may speak: API keys, the signature over the exact bytes sent, the environment, permissions.

Source: "Overview: REST API authentication" and "WebSocket: login" of the v5 documentation.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from tests.fakes.okx.clock import Clock
from tests.fakes.okx.errors import VenueError

SIMULATED = "x-simulated-trading"
LOGIN_PATH = "GET/users/self/verify"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of the account. ``permissions`` as the venue lists them; ``address`` the bound IPs, comma-separated."""

    key: str
    secret: str
    passphrase: str
    demo: bool = False
    permissions: str = "read_only,trade"
    address: str = ""
    label: str = "tapeline"


LIVE_KEY = ApiKey("11111111-2222-3333-4444-555555555555", "0123456789ABCDEF0123456789ABCDEF", "Live-Passphrase-1")
DEMO_KEY = ApiKey(
    "99999999-8888-7777-6666-555555555555", "FEDCBA9876543210FEDCBA9876543210", "Demo-Passphrase-1", demo=True
)


def sign(secret: str, message: str) -> str:
    """Return base64(HMAC-SHA256(secret, message))."""
    return base64.b64encode(hmac.new(secret.encode(), message.encode(), sha256).digest()).decode()


class Doorman:
    """Checks requests and logins against the keys there are."""

    def __init__(self, clock: Clock, keys: tuple[ApiKey, ...] = (LIVE_KEY, DEMO_KEY)) -> None:
        """Know these keys."""
        self.clock = clock
        self.keys = {row.key: row for row in keys}

    def admit(self, headers: Mapping[str, str], method: str, path_query: str, body: str) -> ApiKey:
        """Return the key a REST request is signed with; refuses as the venue does, in its order."""
        for name, code in (("KEY", "50103"), ("SIGN", "50106"), ("TIMESTAMP", "50107"), ("PASSPHRASE", "50104")):
            if not headers.get(f"OK-ACCESS-{name}"):
                raise VenueError(code)
        key = self.keys.get(headers["OK-ACCESS-KEY"])
        if key is None:
            raise VenueError("50111")
        if key.demo != (headers.get(SIMULATED) == "1"):
            raise VenueError("50101")
        timestamp = headers["OK-ACCESS-TIMESTAMP"]
        if not self.clock.accepts(_iso_ms(timestamp)):
            raise VenueError("50102")
        if headers["OK-ACCESS-PASSPHRASE"] != key.passphrase:
            raise VenueError("50105")
        wanted = sign(key.secret, timestamp + method + path_query + body)
        if not hmac.compare_digest(wanted, headers["OK-ACCESS-SIGN"]):
            raise VenueError("50113")
        return key

    def login(self, arguments: Mapping[str, str], *, demo: bool) -> ApiKey:
        """Return the key of a WebSocket login; its timestamp is in seconds."""
        timestamp = str(arguments.get("timestamp", ""))
        key = self.keys.get(str(arguments.get("apiKey", "")))
        if key is None:
            raise VenueError("60005")
        if key.demo != demo:
            raise VenueError("60032")
        if not timestamp.replace(".", "", 1).isdigit():
            raise VenueError("60004")
        if not self.clock.accepts(int(float(timestamp) * 1000)):
            raise VenueError("60006")
        if arguments.get("passphrase") != key.passphrase:
            raise VenueError("60024")
        if not hmac.compare_digest(sign(key.secret, timestamp + LOGIN_PATH), str(arguments.get("sign", ""))):
            raise VenueError("60007")
        return key


def permit(key: ApiKey, permission: str) -> None:
    """Refuse a key without the permission."""
    if permission not in key.permissions.split(","):
        raise VenueError("50120")


def _iso_ms(timestamp: str) -> int:
    try:
        moment = datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%S.%f%z")
    except ValueError as e:
        raise VenueError("50112") from e
    return int(moment.timestamp() * 1000)
