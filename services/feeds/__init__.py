"""Recorded and public market data as ticks: one iterator in feed order, whatever the files.

Importers read; they decide nothing. What a file cannot say is left out, what it says badly is set aside and counted.
"""

from services.feeds.default import SHARED_DATA_VARIABLE, default_feed, shared_data_dir
from services.feeds.feed import PRODUCER, WARMUP, Feed, FeedSummary, open_feed
from services.feeds.instruments import load_instruments, shipped_instruments
from services.feeds.model import FeedError, FileCount, Tick
from services.feeds.okx_history import fetch_okx_history
from services.feeds.synthetic import names_synthetic, synthetic_feed

__all__ = [
    "PRODUCER",
    "SHARED_DATA_VARIABLE",
    "WARMUP",
    "Feed",
    "FeedError",
    "FeedSummary",
    "FileCount",
    "Tick",
    "default_feed",
    "fetch_okx_history",
    "load_instruments",
    "names_synthetic",
    "open_feed",
    "shared_data_dir",
    "shipped_instruments",
    "synthetic_feed",
]
