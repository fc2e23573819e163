"""Which recorded OKX payloads there are, and who reads them; nothing may be left out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PRIVATE = {
    "order": [
        "gocryptotrader/wsOrders.json",
        "nautilus/http_get_orders_history.json", "nautilus/http_get_orders_pending.json",
        "nautilus/http_get_orders_pending_with_attached_tp_sl.json", "nautilus/http_get_spread_orders.json",
        "nautilus/ws_orders.json", "nautilus/ws_orders_adl.json", "nautilus/ws_orders_fok.json",
        "nautilus/ws_orders_ioc.json", "nautilus/ws_orders_liquidation.json",
        "nautilus/ws_orders_optimal_limit_ioc.json", "nautilus/ws_orders_option.json",
        "nautilus/ws_orders_trigger.json", "nautilus/ws_sprd_orders.json",
    ],
    "algo_order": [
        "nautilus/http_get_orders_algo_history.json", "nautilus/http_get_orders_algo_pending.json",
        "nautilus/http_get_orders_algo_pending_attached_oco.json",
        "nautilus/http_get_orders_algo_pending_close_fraction.json", "nautilus/ws_orders_algo.json",
    ],
    "execution": [
        "nautilus/http_get_spread_trades.json", "nautilus/http_transaction_detail.json",
        "nautilus/http_transaction_detail_empty_fee.json",
    ],
    "holding": ["nautilus/http_get_positions.json"],
    "closed_position": ["nautilus/http_get_account_positions-history.json"],
    "balances": [
        "nautilus/http_get_account_balance.json", "nautilus/ws_account.json", "nautilus/ws_account_empty.json"
    ],
    "balance": ["nautilus/http_balance_detail_new_fields.json", "nautilus/http_balance_detail_old_fields.json"],
    "fee_rates": ["nautilus/http_get_trade_fee_response.json"],
    "position_mode": ["nautilus/http_set_position_mode_response.json"],
}  # fmt: skip
"""Every recorded private payload, by the function that reads its rows."""
OUTCOMES = {
    "errors/http_401_invalid_access_key.json",
    "errors/http_429_rate_limit.json",
    "errors/http_place_order_rejected.json",
    "nautilus/http_cancel_algo_order_response.json",
    "nautilus/http_place_algo_order_rejected.json",
    "nautilus/http_place_algo_order_response.json",
    "nautilus/http_place_order_response.json",
}
"""Read in test_outcomes."""
PUBLIC = {
    "nautilus/" + name + ".json"
    for name in (
        "http_get_candlesticks", "http_get_candlesticks_full", "http_get_funding_rate_history", "http_get_index_price",
        "http_get_instruments_futures", "http_get_instruments_margin", "http_get_instruments_option",
        "http_get_instruments_spot", "http_get_instruments_swap", "http_get_mark_price", "http_get_option_summary",
        "http_get_order_book", "http_get_position_tiers", "http_get_spreads", "http_get_trades", "ws_bbo_tbt",
        "ws_books_snapshot", "ws_books_update", "ws_candle", "ws_funding_rate", "ws_instruments", "ws_opt_summary",
        "ws_tickers", "ws_trades",
    )
} | {"gocryptotrader/wsAllTrades.json"}  # fmt: skip
"""Market data: the market gateway's."""
SHAPES = {"nautilus/common_optional_string_to_u64.json"}
"""Not a payload but a note on how OKX leaves a field out."""


@dataclass
class Recorded:
    """The folder of recorded payloads."""

    folder: Path

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Return the rows of a reply, of pushed messages (one a line), or of a bare row."""
        raw = (self.folder / name).read_text()
        try:
            whole = [json.loads(raw)]
        except ValueError:
            whole = [json.loads(line) for line in raw.splitlines() if line.strip()]
        return [row for entry in whole for row in entry.get("data", [entry])]

    def row(self, name: str) -> dict[str, Any]:
        """Return the only row of a payload recorded by nautilus."""
        (row,) = self.rows(f"nautilus/{name}.json")
        return row
