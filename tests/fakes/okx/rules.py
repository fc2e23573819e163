"""What a test may choose, where accounts differ or the documentation leaves room; defaults are the worse case."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(slots=True)
class Rules:
    """Switches of one venue."""

    matching: bool = True
    """Orders trade against the book; False: they rest until the test fills them (market orders too)."""
    duplicate_ids_forever: bool = False
    """Refuse a ``clOrdId`` ever seen; False: only that of an open order, so a repeated market order trades twice."""
    attach_after_partial_fill: bool = False
    """A canceled entry that was filled in part gets its TP/SL for that part; the documentation has said both."""
    attached_reduce_only: bool = False
    """Attached TP/SL orders are reduce-only in net mode; False: an orphan can open the opposite position."""
    close_fraction_dies_with_position: bool = True
    """A ``closeFraction`` order is canceled when the position is closed by something else."""
    partial_batch_code: str = "2"
    """Envelope code of a batch of which a part succeeded; "1" has been seen as well."""
    algo_refusal_code: str = "0"
    """Envelope code of a refused algo order; recorded replies say "0" and carry the refusal in ``sCode``."""
    vip: bool = False
    """May subscribe to ``fills`` and the tick-by-tick books."""
    price_band: Decimal = Decimal("0.1")
    """A limit order further than this share of the mark price on the wrong side is refused (51006)."""
    rate_limits: bool = True
    """Count requests as documented."""
    rate_limited_http: int = 429
    """Status of 50011; the documentation lists 429 and 200."""
    sub_account_orders_per_2s: int = 1000
    """New and amended orders of the account, over REST and WebSocket together (50061)."""
    quote_currency_named: bool = False
    """A spot order must name its ``tradeQuoteCcy``, as accounts of some countries must."""
    idle_s: float = 30.0
    """Real seconds without a frame in either direction after which a WebSocket is closed."""
    liquidation_fee: Decimal = Decimal("0.0005")
    """Share of the notional charged when the venue liquidates."""
