"""How old a fact may be before it is stale: one answer for every stage that asks.

Source: domain definitions, section 1: three of the cadences its feed declares; trades 5 s.
"""

from __future__ import annotations

from typing import Final

from schemas.events.market import Channel
from schemas.values import SECOND

STALE_CADENCES: Final = 3
TRADES_AGE_MAX: Final = 5 * SECOND
AGE_MAX: Final[dict[Channel, int]] = {
    Channel.TRADES: TRADES_AGE_MAX,
    Channel.QUOTES: TRADES_AGE_MAX,
    Channel.BOOK: TRADES_AGE_MAX,
    Channel.MARK: 30 * SECOND,
    Channel.INDEX: 30 * SECOND,
}
"""Age limit in microseconds of what no feed declared a cadence for. A quote or book counts like a trade, an index like
a mark. Source for the mark: OKX v5 mark-price channel, every 200 ms while it moves and every 10 s while it does not;
three of those 10 s."""


def age_max(channel: Channel, cadence_us: int | None) -> int:
    """Return the age in microseconds past which a channel's newest message is stale. ``cadence_us`` None: undeclared.

    Raises KeyError for a channel that has no limit of its own and needs a declared cadence.
    """
    return AGE_MAX[channel] if cadence_us is None else STALE_CADENCES * cadence_us
