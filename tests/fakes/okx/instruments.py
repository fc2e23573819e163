"""The instruments the fake lists, as rows of ``/public/instruments``, and their position tiers.

Sizes and ticks are those of recorded replies (2025); tiers are round numbers of the right shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from tests.fakes.okx.numbers import text
from tests.fakes.okx.push import same

LIVE = "live"
BLANK = "alias auctionEndTime expTime maxPlatOILmt openType optType posLmtAmt posLmtPct preMktSwTime stk"


@dataclass(frozen=True, slots=True)
class Tier:
    """One row of ``/public/position-tiers``: positions up to ``size_max`` contracts."""

    tier: int
    size_min: Decimal
    size_max: Decimal
    mmr: Decimal
    imr: Decimal
    lever_max: Decimal


@dataclass(slots=True)
class Instrument:
    """What the venue lists. SWAP sizes are contracts of ``ct_val`` base coin; SPOT sizes are base coin.

    ``market_max``: contracts of a market order, of SPOT its value in USDT; None: the row's field is empty.
    ``has_terms``: before its opening an instrument may have none: the fields of its ticks, lots and sizes are empty.
    """

    inst_id: str
    inst_type: str
    code: int
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    min_size: Decimal
    ct_val: Decimal = Decimal(1)
    lever_max: Decimal = Decimal(100)
    limit_max: Decimal = Decimal(100_000_000)
    market_max: Decimal | None = Decimal(30_000)
    list_time_ms: int = 1_611_916_828_000
    state: str = LIVE
    group: str = "1"
    has_terms: bool = True
    tiers: list[Tier] = field(default_factory=list)

    @property
    def is_swap(self) -> bool:
        """Is it a perpetual?"""
        return self.inst_type == "SWAP"

    @property
    def settle(self) -> str:
        """Currency of profit and loss."""
        return self.quote

    @property
    def family(self) -> str:
        """``instFamily`` and index name."""
        return f"{self.base}-{self.quote}"

    def notional(self, size: Decimal, price: Decimal) -> Decimal:
        """Return the value of ``size`` at ``price`` in quote coin; linear contracts only."""
        return size * self.ct_val * price

    def row(self) -> dict[str, object]:
        """Return the venue's row."""
        swap = self.is_swap
        terms = {} if self.has_terms else dict.fromkeys(("tickSz", "lotSz", "minSz", "maxLmtSz", "maxMktSz"), "")
        row = same(BLANK) | {
            "baseCcy": "" if swap else self.base,
            "category": "1",
            "contTdSwTime": str(self.list_time_ms),
            "ctMult": "1" if swap else "",
            "ctType": "linear" if swap else "",
            "ctVal": text(self.ct_val) if swap else "",
            "ctValCcy": self.base if swap else "",
            "futureSettlement": False,
            "groupId": self.group,
            "instFamily": self.family if swap else "",
            "instId": self.inst_id,
            "instIdCode": self.code,
            "instType": self.inst_type,
            "lever": text(self.lever_max) if swap else "10",
            "listTime": str(self.list_time_ms),
            "lotSz": text(self.lot),
            "maxIcebergSz": f"{self.limit_max}.0000000000000000",
            "maxLmtAmt": "20000000",
            "maxLmtSz": text(self.limit_max),
            "maxMktAmt": "" if swap else "1000000",
            "maxMktSz": text(self.market_max),
            "maxStopSz": text(self.market_max),
            "maxTriggerSz": f"{self.limit_max}.0000000000000000",
            "maxTwapSz": f"{self.limit_max}.0000000000000000",
            "minSz": text(self.min_size),
            "quoteCcy": "" if swap else self.quote,
            "ruleType": "normal",
            "settleCcy": self.quote if swap else "",
            "state": self.state,
            "tickSz": text(self.tick),
            "tradeQuoteCcyList": [] if swap else [self.quote],
            "uly": self.family if swap else "",
        }
        return row | terms

    def tier_rows(self) -> list[dict[str, str]]:
        """Return the rows of ``/public/position-tiers``."""
        return [
            {
                "baseMaxLoan": "",
                "imr": text(tier.imr),
                "instFamily": self.family,
                "instId": "" if self.is_swap else self.inst_id,
                "maxLever": text(tier.lever_max),
                "maxSz": text(tier.size_max),
                "minSz": text(tier.size_min),
                "mmr": text(tier.mmr),
                "optMgnFactor": "0",
                "quoteMaxLoan": "",
                "tier": str(tier.tier),
                "uly": self.family,
            }
            for tier in self.tiers
        ]

    def tier_of(self, size: Decimal) -> Tier:
        """Return the tier a position of that size falls in; the last one for anything larger."""
        return next((tier for tier in self.tiers if size <= tier.size_max), self.tiers[-1])


def _tiers(scale: int) -> list[Tier]:
    shape = ((1, 0, 1000, "0.004", "0.01", "100"), (2, 1000, 5000, "0.005", "0.015", "66.66"))
    rest = ((3, 5000, 20000, "0.0075", "0.02", "50"), (4, 20000, 60000, "0.01", "0.025", "40"))
    return [
        Tier(tier, Decimal(low * scale), Decimal(high * scale), Decimal(mmr), Decimal(imr), Decimal(lever))
        for tier, low, high, mmr, imr, lever in shape + rest
    ]


def default_instruments() -> dict[str, Instrument]:
    """Return BTC, ETH and SOL perpetuals in USDT and the BTC and ETH spot pairs, by id."""
    rows = (
        Instrument("BTC-USDT-SWAP", "SWAP", 10459, "BTC", "USDT", *_sizes("0.1", "0.01", "0.01"), Decimal("0.01")),
        Instrument("ETH-USDT-SWAP", "SWAP", 10461, "ETH", "USDT", *_sizes("0.01", "0.01", "0.01"), Decimal("0.1")),
        Instrument("SOL-USDT-SWAP", "SWAP", 10470, "SOL", "USDT", *_sizes("0.01", "0.01", "0.01"), Decimal(1)),
        Instrument("BTC-USDT", "SPOT", 101, "BTC", "USDT", *_sizes("0.1", "0.00000001", "0.00001")),
        Instrument("ETH-USDT", "SPOT", 102, "ETH", "USDT", *_sizes("0.01", "0.000001", "0.0001")),
    )
    for row in rows:
        row.market_max = row.market_max if row.is_swap else Decimal(1_000_000)
        row.tiers = _tiers(1) if row.is_swap else _tiers(10)[:1]
    return {row.inst_id: row for row in rows}


def _sizes(tick: str, lot: str, least: str) -> tuple[Decimal, Decimal, Decimal]:
    return Decimal(tick), Decimal(lot), Decimal(least)
