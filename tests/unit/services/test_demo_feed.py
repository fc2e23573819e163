"""Which tape a demo takes: the first there is of named files, recordings, OKX's history and the synthetic one."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from schemas.events.market import FeedOrigin
from services.demo import choose_feed
from services.feeds.model import FeedError
from tests.unit.services.test_feeds_bars import BARS, bar_rows, write


@pytest.mark.recorded
def test_named_files_win_over_the_recordings(tmp_path: Path, shared_data: Path) -> None:
    named = write(tmp_path, "BTC-USDT-SWAP_1m_20250319-20250319.csv.gz", BARS, *bar_rows(5))
    feed, where = choose_feed([named], None, lambda _: None)
    assert (feed.origin, where) == (FeedOrigin.RECORDED, named.name)


@pytest.mark.recorded
def test_without_names_the_recordings_are_taken(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPELINE_SHARED_DATA", str(shared_data))
    feed, where = choose_feed([], None, lambda _: None)
    assert (feed.origin, where) == (FeedOrigin.RECORDED, f"recordings in {shared_data}")


def test_the_synthetic_tape_is_taken_by_name_and_goes_alone(tmp_path: Path) -> None:
    feed, where = choose_feed([Path("synthetic")], None, lambda _: None)
    assert (feed.origin, where) == (FeedOrigin.SYNTHETIC, "SYNTHETIC tape shipped with Tapeline, as asked for")
    for beside, says in (([Path("a.csv")], "without other files"), ([], "without --instruments")):
        file = None if beside else tmp_path / "instruments.json"
        with pytest.raises(FeedError, match=f"synthetic: the made-up tape goes alone, {says}"):
            choose_feed([Path("synthetic"), *beside], file, lambda _: None)
    with pytest.raises(FeedError, match="No such file"):
        choose_feed([Path("./none"), Path("./synthetic.csv")], None, lambda _: None)


def test_without_recordings_and_network_the_tape_is_synthetic_and_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(*_: Any, **__: Any) -> None:
        raise socket.gaierror("no network")

    monkeypatch.setenv("TAPELINE_SHARED_DATA", str(tmp_path / "none"))
    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    said: list[str] = []
    feed, where = choose_feed([], None, said.append)
    assert (feed.origin, where.split()[0]) == (FeedOrigin.SYNTHETIC, "SYNTHETIC")
    assert said[0] == "no recordings here; asking OKX for public history", "OKX's history comes before"
    assert len(said) == 2, "and why there is none is said"
