"""Golden case G8: MAE and MFE on bars, through the account stage with bars and the fills the venue makes of them."""

from __future__ import annotations

from decimal import Decimal

from schemas.events.account import TradeClosed
from schemas.events.common import ExitReason, OrderPurpose, OrderType
from streams.core.account import STAGE
from tests.account_events import MAKER, approved, bar, buy, intended, sell, snapshot
from tests.builders import MINUTE, T0, btc_swap, message, settings_changed
from tests.spec import given

BARS = (
    "80000/80300/79700/80200",
    "80200/80900/80100/80800",
    "80800/80850/79500/79900",
    "79900/81500/79850/81400",
)


def test_g8_the_exit_bar_counts_only_up_to_the_target() -> None:
    spec = given(
        STAGE,
        settings_changed(),
        btc_swap(),
        snapshot(),
        approved("10", stop="79200", targets=("81200",)),
        intended(OrderPurpose.ENTRY, "BUY"),
    )
    for index, ohlc in enumerate(BARS, start=1):
        closes = T0 + index * MINUTE
        spec.when(bar(ohlc, closes=closes), ts=closes)
        if index == 1:
            spec.when(message(buy("10", "80000"), ts=closes))
            spec.when(message(intended(OrderPurpose.STOP, "SELL", type=OrderType.STOP, trigger="79200"), ts=closes))
            target = intended(OrderPurpose.TARGET, "SELL", type=OrderType.LIMIT, limit="81200")
            spec.when(message(target, ts=closes))
    exit_fill = sell("10", "81200", fee_rate=MAKER, purpose=OrderPurpose.TARGET, reason=ExitReason.TARGET_1)
    (closed,) = spec.when(exit_fill, ts=T0 + 4 * MINUTE).of(TradeClosed)
    seen = closed.excursion_last
    assert seen is not None
    assert (seen.mae, seen.mae_pct, seen.mae_r) == (500, Decimal("0.625"), Decimal("0.625"))
    assert (seen.mfe, seen.mfe_r) == (1200, Decimal("1.5"))
    assert closed.exit_efficiency == 1
    assert closed.excursion_mark is None
