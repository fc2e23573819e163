"""Fetch a body, bounded in every direction: time, redirects, addresses, bytes as sent and bytes once unpacked."""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from typing import Protocol

import httpx

from schemas.values import SECOND
from services.adapters.addresses import check_redirect, origin_of, parse_url, redirected, resolve, shown
from services.adapters.errors import Failure, SourceError

BYTES_MAX = 1 << 20
"""Largest body, as sent and unpacked; the largest of the sources there are (the history of DefiLlama) has 150 KB."""
REDIRECTS_MAX = 3
TIME_LIMIT_S = 10.0
"""For one attempt: name, connection, redirects, whole body."""
AGENT = "tapeline/0.1.0 context adapter"
AGE_DIGITS_MAX = 9
_REDIRECTS = (301, 302, 303, 307, 308)
_ENCODINGS = ("", "identity", "gzip", "x-gzip", "deflate")


@dataclass(frozen=True, slots=True)
class Body:
    """What a source answered. ``media_type``: lower case, without parameters; empty: it did not say.

    ``ts_dated``: when the server says it made the answer, microseconds; ``age_s``: how long a cache says it had it.
    """

    content: bytes
    media_type: str = ""
    charset: str = ""
    ts_dated: int | None = None
    age_s: int = 0


class Fetcher(Protocol):
    """Where a source's body comes from: HTTP, a file, or whatever else is put in its place."""

    @property
    def where(self) -> str:
        """Return the place in words, without secrets."""
        ...

    async def fetch(self) -> Body:
        """Return the body. Raises SourceError."""
        ...


class FileFetcher:
    """An exported file, read anew each time."""

    def __init__(self, path: Path, *, bytes_max: int = BYTES_MAX) -> None:
        self._path = path
        self._bytes_max = bytes_max

    @property
    def where(self) -> str:
        """Return the path."""
        return str(self._path)

    async def fetch(self) -> Body:
        """Return the file's content. Raises SourceError."""
        return Body(await asyncio.to_thread(self._read))

    def _read(self) -> bytes:
        if not self._path.is_file():  # a pipe or a device would be read for ever
            raise SourceError(Failure.UNREACHABLE, f"{self._path}: no such file")
        try:
            with self._path.open("rb") as file:
                content = file.read(self._bytes_max + 1)
        except OSError as error:
            raise SourceError(Failure.UNREACHABLE, f"{self._path}: {error.strerror}") from error
        if len(content) > self._bytes_max:
            raise _too_large(self._bytes_max)
        return content


class HttpFetcher:
    """One URL. ``local``: an operator named it, so it may be on a private network. ``query``: may hold a key.

    ``types``: the ends of media types that are taken; an answer that names none is taken as well. ``tls``: whom to
    trust besides the public authorities' usual list.
    """

    def __init__(
        self,
        url: str,
        *,
        types: tuple[str, ...],
        local: bool = False,
        query: dict[str, str] | None = None,
        time_limit_s: float = TIME_LIMIT_S,
        bytes_max: int = BYTES_MAX,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._url = parse_url(url)
        self._tls = tls
        self._asked = self._url.copy_merge_params(query) if query else self._url
        self._types = types
        self._local = local
        self._time_limit_s = time_limit_s
        self._bytes_max = bytes_max

    @property
    def where(self) -> str:
        """Return the URL without its query."""
        return shown(self._url)

    async def fetch(self) -> Body:
        """Return the body of the answer. Raises SourceError."""
        try:
            async with asyncio.timeout(self._time_limit_s):
                return await self._follow()
        except TimeoutError as error:
            raise SourceError(Failure.TIMEOUT, f"timed out after {self._time_limit_s:g} s", again=True) from error
        except httpx.HTTPError as error:
            raise SourceError(Failure.UNREACHABLE, f"{self.where}: {type(error).__name__}", again=True) from error

    async def _follow(self) -> Body:
        url = self._asked
        for _ in range(REDIRECTS_MAX + 1):
            answer = await self._ask(url)
            if isinstance(answer, Body):
                return answer
            check_redirect(answer, self._url)
            url = answer
        raise SourceError(Failure.REDIRECT, f"more than {REDIRECTS_MAX} redirects")

    async def _ask(self, url: httpx.URL) -> Body | httpx.URL:
        """Return the body, or where the answer points on to; addresses are tried in turn until one connects."""
        local = self._local and origin_of(url) == origin_of(self._url)
        addresses = await resolve(url, local=local)
        for number, address in enumerate(addresses, start=1):
            try:
                return await self._ask_at(url, address)
            except httpx.ConnectError:
                if number == len(addresses):
                    raise
        raise SourceError(Failure.UNREACHABLE, f"{url.host}: no address", again=True)

    async def _ask_at(self, url: httpx.URL, address: str) -> Body | httpx.URL:
        """Ask one address. No connection is kept: two names on one address must not share an encrypted one."""
        headers = {
            "Host": url.netloc.decode("ascii"), "User-Agent": AGENT, "Accept-Encoding": "gzip, deflate",
            "Accept": "*/*",
        }  # fmt: skip
        request = httpx.Request(
            "GET", url.copy_with(host=address), headers=headers, extensions={"sni_hostname": url.host}
        )
        async with httpx.AsyncHTTPTransport(verify=self._tls or _tls(), retries=0) as transport:
            response = await transport.handle_async_request(request)
            try:
                return await self._take(url, response)
            finally:
                await response.aclose()

    async def _take(self, url: httpx.URL, response: httpx.Response) -> Body | httpx.URL:
        if response.status_code in _REDIRECTS:
            return redirected(url, response.headers.get("location", ""))
        if response.status_code != 200:
            again = response.status_code >= 500
            raise SourceError(Failure.STATUS, f"{shown(url)} answered {response.status_code}", again=again)
        media_type, charset = _content_type(response.headers.get("content-type", ""))
        if media_type and not media_type.endswith(self._types):
            raise SourceError(Failure.WRONG_TYPE, f"answered {media_type[:60]}, not {' or '.join(self._types)}")
        assert isinstance(response.stream, httpx.AsyncByteStream)
        encoding = response.headers.get("content-encoding", "").strip().lower()
        content = await unpacked(response.stream, encoding, self._bytes_max)
        dated, age_s = _dated(response.headers)
        return Body(content, media_type, charset, dated, age_s)


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def _content_type(header: str) -> tuple[str, str]:
    media_type, _, parameters = header.partition(";")
    named = {name.strip().lower(): value.strip(" \"'") for name, _, value in _pairs(parameters)}
    return media_type.strip().lower(), named.get("charset", "").lower()


def _dated(headers: httpx.Headers) -> tuple[int | None, int]:
    """Return what the headers Date and Age say; what is no date or no number says nothing. Source: RFC 9110, 9111."""
    age = headers.get("age", "")
    age_s = int(age) if age.isascii() and age.isdigit() and len(age) <= AGE_DIGITS_MAX else 0
    try:
        made = parsedate_to_datetime(headers.get("date", "")).replace(tzinfo=UTC)  # it is always GMT
    except (ValueError, TypeError, OverflowError):
        return None, age_s
    return int(made.timestamp()) * SECOND, age_s


def _pairs(parameters: str) -> list[tuple[str, str, str]]:
    return [part.partition("=") for part in parameters.split(";")]


async def unpacked(stream: AsyncIterator[bytes] | httpx.AsyncByteStream, encoding: str, bytes_max: int) -> bytes:
    """Return a stream's bytes, unpacked; never more than ``bytes_max`` are held, whatever they unpack to.

    Raises SourceError for more, for what is no such encoding, and for one we did not ask for.
    """
    if encoding not in _ENCODINGS:
        raise SourceError(Failure.WRONG_TYPE, f"packed as {encoding[:40]!r}, which was not asked for")
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32) if encoding not in ("", "identity") else None
    content, received = bytearray(), 0
    async for chunk in stream:
        received += len(chunk)
        if received > bytes_max:
            raise _too_large(bytes_max)
        try:
            content += inflater.decompress(chunk, bytes_max - len(content) + 1) if inflater else chunk
        except zlib.error as error:
            raise SourceError(Failure.GARBAGE, f"not {encoding}: it cannot be unpacked") from error
        if len(content) > bytes_max:
            raise _too_large(bytes_max)
    if inflater is not None and not inflater.eof:
        raise SourceError(Failure.GARBAGE, f"{encoding}: cut off in the middle", again=True)
    return bytes(content)


def _too_large(bytes_max: int) -> SourceError:
    return SourceError(Failure.TOO_LARGE, f"more than {bytes_max} bytes")
