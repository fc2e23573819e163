"""Which addresses may be asked: what an operator named, and of everything else only https on the public internet.

A redirect, and a name that resolves to a local address, would otherwise let a source reach into our own network. The
addresses found here are the ones connected to, so that a name cannot answer differently the second time.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpx

from services.adapters.errors import Failure, SourceError

ADDRESSES_MAX = 4
"""Addresses of one name that are tried."""
_PORTS = {"http": 80, "https": 443}
_NAT64 = IPv6Network("64:ff9b::/96")


def shown(url: httpx.URL) -> str:
    """Return a URL as it may be written down: without user, query and fragment, where keys are."""
    port = f":{url.port}" if url.port else ""
    return f"{url.scheme}://{url.host}{port}{url.path}"[:200]


def origin_of(url: httpx.URL) -> tuple[str, str, int | None]:
    """Return scheme, host and port."""
    return url.scheme, url.host, url.port or _PORTS.get(url.scheme)


def parse_url(text: str) -> httpx.URL:
    """Return a URL that can be asked at all. Raises SourceError."""
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise SourceError(Failure.FORBIDDEN, "not a URL") from error
    if url.scheme not in _PORTS or not url.host:
        raise SourceError(Failure.FORBIDDEN, f"{url.scheme or 'no scheme'}: only http and https are asked")
    return url


def redirected(url: httpx.URL, location: str) -> httpx.URL:
    """Return where an answer points on to. Raises SourceError."""
    try:
        target = url.join(location)
    except (httpx.InvalidURL, ValueError) as error:
        raise SourceError(Failure.REDIRECT, "redirected to what is not a URL") from error
    return parse_url(str(target))


def check_redirect(target: httpx.URL, configured: httpx.URL) -> None:
    """Raise SourceError unless a redirect stays where it was configured, or goes to https without a user."""
    if origin_of(target) != origin_of(configured) and (target.scheme != "https" or target.userinfo):
        raise SourceError(Failure.REDIRECT, f"redirected to {shown(target)}: only https is followed")


async def resolve(url: httpx.URL, *, local: bool) -> list[str]:
    """Return the addresses of a URL's host, the first few. ``local``: private ones may be asked too.

    Raises SourceError for a name that has none, or any that is private where that is not allowed.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            url.host, url.port or _PORTS[url.scheme], type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError) as error:
        raise SourceError(Failure.UNREACHABLE, f"{url.host}: no such host", again=True) from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not local and not all(is_public(ip_address(address.partition("%")[0])) for address in addresses):
        raise SourceError(Failure.FORBIDDEN, f"{url.host} is an address of a private network: not asked")
    return addresses[:ADDRESSES_MAX]


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an address is on the public internet, also where an IPv4 one is wrapped in IPv6."""
    if isinstance(address, IPv6Address):
        wrapped = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _NAT64:
            wrapped = IPv4Address(int(address) & 0xFFFF_FFFF)
        if wrapped is not None:
            return is_public(wrapped)
    return address.is_global and not address.is_multicast
