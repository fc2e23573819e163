"""The demo on a real broker, as ``make demo-kafka`` runs it: Faust worker, projector, proof and review."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.services.test_feeds_bars import BARS, bar_rows, write

ROOT = Path(__file__).parents[2]


@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.slow
def test_the_demo_on_kafka_ends_with_a_review_and_a_proof(home: Path, kafka_url: str) -> None:
    feed = write(home, "BTC-USDT-SWAP_1m_20250319-20250319.csv.gz", BARS, *bar_rows(600))
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", "demo", "--folder", str(home / "demo"), "--log", kafka_url,
         "--feed", str(feed)],
        cwd=home, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "BTC-USDT-SWAP: 600 bars" in done.stdout
    proof = next(line for line in done.stdout.splitlines() if line.startswith("Proof:"))
    assert "603 steps recomputed" in proof, "settings, the feed's status, the instrument, 600 bars"
    assert proof.endswith(", 0 differences")
