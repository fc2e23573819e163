"""Where OKX is: hosts by region and mode. A key is valid in the region where it was made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

REST = {"global": "https://www.okx.com", "eea": "https://eea.okx.com", "us": "https://us.okx.com"}
LIVE = {"global": "wss://ws.okx.com:8443", "eea": "wss://wseea.okx.com:8443", "us": "wss://wsus.okx.com:8443"}
DEMO = {"global": "wss://wspap.okx.com:8443", "eea": "wss://wseeapap.okx.com:8443", "us": "wss://wsuspap.okx.com:8443"}
"""Source: OKX v5, overview: production and demo trading services of each region."""
WITHOUT_SWAPS = frozenset({"eea"})
"""Regions that list no USDT swaps (their ids answer 60018); the perpetuals there are other products."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """Base of the REST paths (before ``/api``) and of the WebSocket paths (``.../ws/v5``). ``demo``: paper money."""

    rest: str
    ws: str
    demo: bool


def hosts(region: str, *, demo: bool, rest_url: str = "", ws_url: str = "") -> Hosts:
    """Return the hosts of a region (``global``, ``eea``, ``us``); a URL that is given replaces the region's."""
    return Hosts(rest_url or REST[region], ws_url or (DEMO if demo else LIVE)[region] + "/ws/v5", demo)


def unlisted_swaps(region: str, instrument_ids: Iterable[str]) -> str | None:
    """Return what is wrong with trading these instruments in a region; None: nothing."""
    swaps = [name for name in instrument_ids if name.endswith("-SWAP")]
    if region not in WITHOUT_SWAPS or not swaps:
        return None
    return (
        f"OKX_REGION={region}: OKX lists no USDT swaps there (60018), only spot pairs can be traded; "
        f"take {', '.join(swaps)} out of TAPELINE_INSTRUMENTS_ALLOWED"
    )
