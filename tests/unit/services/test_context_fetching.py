"""Fetching from sources that are slow, huge, packed, wandering or not who they say: bounded, and named by kind."""

from __future__ import annotations

import asyncio
import datetime
import gzip
import itertools
import ssl
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.adapters.addresses import is_public
from services.adapters.errors import Failure, SourceError
from services.adapters.fetching import REDIRECTS_MAX, Body, FileFetcher, HttpFetcher, unpacked
from tests.builders import T0
from tests.fakes.sites import Reply, Sites, sites

SECRET = "k3y-that-nobody-sees"
SMALL = 100_000
SHORT_S = 0.3
T = TypeVar("T")


def on_site(scenario: Callable[[Sites], Awaitable[T]], *, tls: ssl.SSLContext | None = None) -> T:
    """Run a scenario beside a server."""

    async def run() -> T:
        async with sites(tls=tls) as site:
            return await scenario(site)

    return asyncio.run(run())


async def ask(site: Sites, *, local: bool = True, limit_s: float = 30.0) -> Body | SourceError:
    """Ask for /a with a key in the query; the key is in no message."""
    fetcher = HttpFetcher(
        site.url("/a"), types=("/json",), local=local, query={"auth_token": SECRET}, time_limit_s=limit_s,
        bytes_max=SMALL,
    )  # fmt: skip
    found = await outcome(fetcher)
    assert SECRET not in str(found if isinstance(found, SourceError) else "") + fetcher.where
    return found


async def outcome(fetcher: HttpFetcher) -> Body | SourceError:
    try:
        return await fetcher.fetch()
    except SourceError as error:
        return error


def answered(reply: Reply, *, limit_s: float = 30.0) -> Body | SourceError:
    """Return what becomes of one answer."""

    async def scenario(site: Sites) -> Body | SourceError:
        site.replies["/a"] = reply
        return await ask(site, limit_s=limit_s)

    return on_site(scenario)


def packed(content: bytes, encoding: str = "gzip") -> Reply:
    return Reply(content, headers={"Content-Encoding": encoding})


def to(location: str) -> Reply:
    return Reply(status=302, headers={"Location": location})


@pytest.mark.parametrize(
    ("headers", "dated", "age_s"),
    [
        ({}, None, 0),
        ({"Date": "Wed, 19 Mar 2025 16:00:00 GMT", "Age": "912"}, T0, 912),
        ({"date": "yesterday", "age": "-5"}, None, 0),
        ({"Date": "Wed, 19 Mar 99999 16:00:00 GMT", "Age": "9" * 400}, None, 0),
    ],
)
def test_an_answer_carries_when_it_was_made(headers: dict[str, str], dated: int | None, age_s: int) -> None:
    body = answered(Reply(b"{}", headers=headers))
    assert isinstance(body, Body)
    assert (body.ts_dated, body.age_s) == (dated, age_s)


def without_end() -> itertools.repeat[bytes]:
    return itertools.repeat(b"x" * 10_000)


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        (Reply(status=503), Failure.STATUS, "answered 503"),
        (Reply(status=429), Failure.STATUS, "answered 429"),
        (Reply(b"<html>", "text/html; charset=utf-8"), Failure.WRONG_TYPE, "answered text/html, not /json"),
        (packed(b"{}", "br"), Failure.WRONG_TYPE, "packed as 'br', which was not asked for"),
        (packed(gzip.compress(gzip.compress(b"{}")), "gzip, gzip"), Failure.WRONG_TYPE, "packed as 'gzip, gzip'"),
        (Reply(b"x" * (SMALL + 1)), Failure.TOO_LARGE, "more than 100000 bytes"),
        (Reply(chunks=without_end), Failure.TOO_LARGE, "more than 100000 bytes"),
        (packed(gzip.compress(b"0" * 50_000_000)), Failure.TOO_LARGE, "more than 100000 bytes"),
        (packed(gzip.compress(b"{}" * 999)[:-9]), Failure.GARBAGE, "cut off in the middle"),
        (packed(b"{}"), Failure.GARBAGE, "not gzip"),
        (Reply(raw=b"SSH-2.0-OpenSSH\r\n\r\n"), Failure.UNREACHABLE, "RemoteProtocolError"),
        (Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"), Failure.UNREACHABLE, "RemoteProtocolError"),
        (to("file:///etc/passwd"), Failure.FORBIDDEN, "file: only http and https are asked"),
        (to("https://example.com:port/"), Failure.REDIRECT, "redirected to what is not a URL"),
        (to("http://example.com/"), Failure.REDIRECT, "redirected to http://example.com/: only https is followed"),
        (to("http://127.0.0.1:1/"), Failure.REDIRECT, "only https is followed"),
        (to("https://u:p@192.0.2.1/x?k=v"), Failure.REDIRECT, "redirected to https://192.0.2.1/x: only"),
        (to("https://127.0.0.1/"), Failure.FORBIDDEN, "127.0.0.1 is an address of a private network"),
        (to("https://2130706433/"), Failure.FORBIDDEN, "is an address of a private network"),
        (to("https://[::ffff:10.0.0.1]/"), Failure.FORBIDDEN, "is an address of a private network"),
        (to("https://169.254.169.254/latest"), Failure.FORBIDDEN, "is an address of a private network"),
        (to("/a"), Failure.REDIRECT, f"more than {REDIRECTS_MAX} redirects"),
        (Reply(status=301), Failure.REDIRECT, f"more than {REDIRECTS_MAX} redirects"),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_answer_is_named_by_kind(reply: Reply, kind: Failure, says: str) -> None:
    error = answered(reply)
    assert isinstance(error, SourceError), error
    assert (error.kind, says in str(error)) == (kind, True), str(error)
    assert error.again == (kind is Failure.UNREACHABLE or "503" in says or "cut off" in says)


@pytest.mark.parametrize(
    "reply",
    [Reply(hangs=True), Reply(b"{" + b" " * 9_000, pause_s=0.01), Reply(raw=b"HTTP/1.1 200 OK\r\nX-A: ", hangs=False)],
    ids=["silent", "a byte at a time", "half a head"],
)
def test_a_slow_answer_is_given_up_after_its_time_whatever_it_is_slow_with(reply: Reply) -> None:
    if reply.raw is not None:
        reply = Reply(raw=reply.raw, body=b"y" * 9_000, pause_s=0.01)
    error = answered(reply, limit_s=SHORT_S)
    assert isinstance(error, SourceError)
    assert (error.kind, str(error), error.again) == (Failure.TIMEOUT, "timed out after 0.3 s", True)


def test_a_good_answer_is_taken_plain_packed_and_after_a_redirect_at_home() -> None:
    async def scenario(site: Sites) -> list[bytes]:
        got = []
        deflated = packed(zlib.compress(b'{"c":3}'), "deflate")
        for reply in (Reply(b'{"a":1}'), packed(gzip.compress(b'{"b":2}')), deflated, to("/b"), to(site.url("/b"))):
            site.replies = {"/a": reply, "/b": Reply(b'{"d":4}', "application/problem+json")}
            found = await ask(site) if reply.status == 200 else await _json_or_like(site)
            assert isinstance(found, Body), found
            got.append(found.content)
        assert f"Host: 127.0.0.1:{site.port}".lower() in site.requests[0].lower()
        assert f"/a?auth_token={SECRET}" in site.requests[0]
        assert SECRET not in site.requests[-1], "a redirect is not given the key"
        return got

    assert on_site(scenario) == [b'{"a":1}', b'{"b":2}', b'{"c":3}', b'{"d":4}', b'{"d":4}']


async def _json_or_like(site: Sites) -> Body:
    return await HttpFetcher(site.url("/a"), types=("/json", "+json"), local=True, query={"auth_token": SECRET}).fetch()


def test_a_private_address_nobody_configured_is_not_even_connected_to() -> None:
    async def scenario(site: Sites) -> tuple[Body | SourceError, int]:
        return await ask(site, local=False), len(site.requests)

    error, requests = on_site(scenario)
    assert isinstance(error, SourceError)
    assert (error.kind, requests) == (Failure.FORBIDDEN, 0)


def test_a_bomb_is_never_held_unpacked() -> None:
    bomb = gzip.compress(b"0" * 100_000_000)

    async def chunks() -> AsyncIterator[bytes]:
        yield bomb

    tracemalloc.start()
    with pytest.raises(SourceError, match="more than 200000 bytes"):
        asyncio.run(unpacked(chunks(), "gzip", 200_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("1.1.1.1", True), ("2606:4700::1111", True), ("64:ff9b::808:808", True),
        ("127.0.0.1", False), ("10.1.2.3", False), ("172.16.0.1", False), ("192.168.1.1", False), ("0.0.0.0", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("224.0.0.1", False), ("::1", False), ("::", False),
        ("fe80::1", False), ("fd00::1", False), ("ff02::1", False), ("::ffff:127.0.0.1", False),
        ("2002:7f00:1::", False), ("64:ff9b::7f00:1", False),
    ],
)  # fmt: skip
def test_which_addresses_are_public_also_inside_others(address: str, public: bool) -> None:
    assert is_public(ip_address(address)) is public


def _identity(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's and a client's context of a site that proves to be ``name``."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file = folder / "site.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=str(file))


@pytest.mark.parametrize(("name", "trusted"), [("localhost", True), ("elsewhere.test", False)])
def test_the_certificate_must_be_of_the_name_asked_though_its_address_is_connected_to(
    tmp_path: Path, name: str, trusted: bool
) -> None:
    server, client = _identity(tmp_path, name)

    async def scenario(site: Sites) -> Body | SourceError:
        site.replies["/a"] = Reply(b"{}")
        return await outcome(HttpFetcher(site.url("/a", "localhost"), types=("/json",), local=True, tls=client))

    found = on_site(scenario, tls=server)
    if trusted:
        assert isinstance(found, Body)
    else:
        assert isinstance(found, SourceError)
        assert (found.kind, "ConnectError" in str(found)) == (Failure.UNREACHABLE, True)


def test_a_file_is_read_anew_each_time_and_refused_where_it_is_none_or_too_large(tmp_path: Path) -> None:
    file = tmp_path / "export.csv"

    def fetched() -> str:
        try:
            return asyncio.run(FileFetcher(file, bytes_max=5).fetch()).content.decode()
        except SourceError as error:
            return f"{error.kind}: {error}"

    assert fetched() == f"UNREACHABLE: {file}: no such file"
    for content, found in (("abc", "abc"), ("defgh", "defgh"), ("longer", "TOO_LARGE: more than 5 bytes")):
        file.write_text(content)
        assert fetched() == found
    file.unlink()
    file.mkdir()
    assert fetched() == f"UNREACHABLE: {file}: no such file"
