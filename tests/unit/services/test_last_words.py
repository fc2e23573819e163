"""The reason is found in what a process wrote, whatever form its lines have."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.last_words import LENGTH_MAX, last_words, last_words_in

JSON = b'{"event": "shard 0: FailStop: gone", "level": "critical", "ts": "x"}\n'


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (JSON + b'{"event": "closing", "level": "info"}\n', "shard 0: FailStop: gone"),
        (b"2026-01-01 00:00:00,1 CRITICAL tapeline.worker: shard 0: Unsure: no word\nbye\n",
         "tapeline.worker: shard 0: Unsure: no word"),
        (b"warming up\ntapeline: log.db: no such log\n", "log.db: no such log"),
        (b"something\n\nelse\n", "else"),
        (b"[1, 2]\n", "[1, 2]"),
        (b"", "no word"),
        (b"\xff" * 100_000, "\ufffd" * LENGTH_MAX),
    ],
)  # fmt: skip
def test_the_last_error_is_what_was_said(written: bytes, said: str) -> None:
    assert last_words(written) == said


def test_a_log_is_read_from_its_end_only(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    assert last_words_in(path) == "no word"
    path.write_bytes(b"x" * 10_000_000 + b"\n" + JSON)
    assert last_words_in(path) == "shard 0: FailStop: gone"
