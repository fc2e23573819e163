"""Find the recorded data that a run takes when nobody names a feed."""

from __future__ import annotations

import os
from pathlib import Path

SHARED_DATA_VARIABLE = "TAPELINE_SHARED_DATA"
"""Environment variable that names the folder of recordings."""

_REPOSITORY = Path(__file__).resolve().parents[2]
_PATTERNS = (
    "okx/candles/{}_1m_20250318-20250417.csv.gz",
    "okx/mark/{}_mark_1h_20250301-20250527.csv.gz",
    "okx/funding/{}_funding_8h_20240820-*.csv.gz",
)
_INSTRUMENTS = ("BTC-USDT-SWAP", "ETH-USDT-SWAP")


def shared_data_dir() -> Path:
    """Return where recordings are expected: $TAPELINE_SHARED_DATA, else ``../shared/data`` beside the checkout."""
    named = os.environ.get(SHARED_DATA_VARIABLE)
    return Path(named) if named else _REPOSITORY.parent / "shared" / "data"


def default_feed(shared_dir: Path | None = None) -> list[Path] | None:
    """Return the recorded files of 30 days of BTC and ETH swaps (1m bars, marks, funding); None if one is missing."""
    folder = shared_dir or shared_data_dir()
    found: list[Path] = []
    for instrument_id in _INSTRUMENTS:
        for pattern in _PATTERNS:
            matches = sorted(folder.glob(pattern.format(instrument_id)))
            if not matches:
                return None
            found.append(matches[0])
    return found
