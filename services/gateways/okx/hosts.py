"""Where OKX is: hosts by region and mode. A key is valid in the region where it was made."""

from __future__ import annotations

from dataclasses import dataclass

REST = {"global": "https://www.okx.com", "eea": "https://eea.okx.com", "us": "https://us.okx.com"}
LIVE = {"global": "wss://ws.okx.com:8443", "eea": "wss://wseea.okx.com:8443", "us": "wss://wsus.okx.com:8443"}
DEMO = {"global": "wss://wspap.okx.com:8443", "eea": "wss://wseeapap.okx.com:8443", "us": "wss://wsuspap.okx.com:8443"}
"""Source: OKX v5, overview: production and demo trading services of each region."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """Base of the REST paths (before ``/api``) and of the WebSocket paths (``.../ws/v5``). ``demo``: paper money."""

    rest: str
    ws: str
    demo: bool


def hosts(region: str, *, demo: bool, rest_url: str = "", ws_url: str = "") -> Hosts:
    """Return the hosts of a region (``global``, ``eea``, ``us``); a URL that is given replaces the region's."""
    return Hosts(rest_url or REST[region], ws_url or (DEMO if demo else LIVE)[region] + "/ws/v5", demo)
