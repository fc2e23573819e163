"""The token of the control side: compared by hash in constant time, and in logs only as the start of its hash."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from hashlib import sha256
from io import StringIO

import pytest
from starlette.requests import Request

from services.control.router import REFUSALS_LOGGED, token_check
from services.errors import ApiError
from services.logs import configure_logs

TOKEN, WRONG = "correct-horse-battery-staple", "a-token-of-somebody-else"


@pytest.fixture
def written() -> Iterator[StringIO]:
    """What is logged, as the API's process logs it."""
    text, handlers = StringIO(), logging.getLogger().handlers[:]
    configure_logs(secrets=[TOKEN], stream=text)
    yield text
    logging.getLogger().handlers[:] = handlers


def _request(host: str = "10.0.0.1") -> Request:
    """Return a call from an address; one address is answered 401 a few times only."""
    return Request({"type": "http", "method": "POST", "path": "/risk/pause", "headers": [], "client": (host, 1)})


def _named(token: str) -> str:
    return f"sha256:{sha256(token.encode()).hexdigest()[:12]}"


def test_callers_are_logged_by_their_tokens_hash_and_a_flood_of_them_is_bounded(written: StringIO) -> None:
    check = token_check(TOKEN)
    for number, token in enumerate((WRONG, TOKEN[:-1], None, *[WRONG] * (3 * REFUSALS_LOGGED))):
        with pytest.raises(ApiError, match="missing or wrong token"):
            check(_request(f"10.0.0.{number}"), token)
    check(_request(), TOKEN)
    said = [(each["event"], each["caller"]) for each in map(json.loads, written.getvalue().splitlines())]
    assert said[:4] == [
        ("control is on", _named(TOKEN)),
        ("refused", _named(WRONG)),
        ("refused", _named(TOKEN[:-1])),
        ("refused", "none"),
    ]
    assert REFUSALS_LOGGED < len(said) < 2 * REFUSALS_LOGGED
    for token in (TOKEN, TOKEN[:-1], WRONG):
        assert token not in written.getvalue()


def test_without_a_token_nobody_gets_in_and_nothing_is_on(written: StringIO) -> None:
    check = token_check(None)
    for token in (None, "", WRONG):
        with pytest.raises(ApiError, match="TAPELINE_API_TOKEN"):
            check(_request(), token)
    assert written.getvalue() == ""
