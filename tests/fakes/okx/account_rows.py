"""Account, balance and position rows as the wire shows them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from tests.fakes.okx.account import Position
from tests.fakes.okx.numbers import ZERO, short, text
from tests.fakes.okx.push import Row, same

if TYPE_CHECKING:
    from tests.fakes.okx.venue import Venue

DETAIL_BLANK = (
    "accAvgPx borrowFroz clSpotInUseAmt crossLiab interest isoLiab liab maxLoan maxSpotInUseAmt mgnRatio openAvgPx "
    "spotBal spotInUseAmt spotUpl spotUplRatio totalPnl totalPnlRatio uplLiab"
)
DETAIL_ZERO = "fixedBal isoUpl mmr notionalLever rewardBal smtSyncEq spotCopyTradingEq spotIsoBal stgyEq twap"
ACCOUNT_BLANK = (
    "adjEq availEq borrowFroz imr mgnRatio mmr notionalUsd notionalUsdForBorrow notionalUsdForFutures "
    "notionalUsdForOption notionalUsdForSwap ordFroz upl"
)
POSITION_BLANK = (
    "baseBal baseBorrowed baseInterest bizRefId bizRefType clSpotInUseAmt deltaBS deltaPA gammaBS gammaPA interest "
    "liab liabCcy maxSpotInUseAmt nonSettleAvgPx optVal pendingCloseOrdLiabVal posCcy quoteBal quoteBorrowed "
    "quoteInterest settledPnl spotInUseAmt spotInUseCcy thetaBS thetaPA vegaBS vegaPA"
)


def account_row(venue: Venue, currency: str = "") -> Row:
    """Return the row of ``/account/balance`` and of the account channel."""
    currencies = [name for name in venue.account.cash if not currency or name in currency.split(",")]
    details = [detail_row(venue, name) for name in currencies]
    total = sum((Decimal(str(row["eqUsd"])) for row in details), ZERO)
    isolated = sum((Decimal(str(row["isoEq"])) for row in details), ZERO)
    row: Row = same(ACCOUNT_BLANK)
    return row | {"details": details, "isoEq": text(isolated), "totalEq": text(total), "uTime": _now(venue)}


def detail_row(venue: Venue, currency: str) -> Row:
    """Return one currency: ``eq`` = cash + isolated margin + unrealised profit."""
    cash = venue.account.cash.get(currency, ZERO)
    held = [p for p in venue.account.open_positions() if p.instrument.settle == currency]
    isolated = sum((p.margin for p in held), ZERO)
    profit = sum((unrealised(venue, p) for p in held), ZERO)
    price = venue.usd_price(currency)
    equity, free = cash + isolated + profit, venue.available(currency)
    row: Row = same(DETAIL_BLANK) | same(DETAIL_ZERO, "0")
    return row | {
        "autoLendStatus": "off",
        "autoLendMtAmt": "0",
        "availBal": text(free),
        "availEq": text(free),
        "cashBal": text(cash),
        "ccy": currency,
        "coinUsdPrice": text(price),
        "colBorrAutoConversion": "0",
        "colRes": "0",
        "collateralEnabled": False,
        "collateralRestrict": False,
        "disEq": text(equity * price),
        "eq": text(equity),
        "eqUsd": text(equity * price),
        "frozenBal": text(cash + isolated - free if cash + isolated > free else ZERO),
        "imr": text(sum((p.initial_margin(_mark(venue, p)) for p in held if p.margin_mode == "cross"), ZERO)),
        "isoEq": text(isolated),
        "ordFrozen": text(venue.frozen(currency)),
        "uTime": _now(venue),
        "upl": text(profit),
    }


def unrealised(venue: Venue, held: Position) -> Decimal:
    """Return the profit of a position at the mark price."""
    return held.profit(abs(held.size), _mark(venue, held))


def maintenance(venue: Venue, held: Position) -> Decimal:
    """Return the maintenance margin of a position at the mark price."""
    size = abs(held.size)
    return held.instrument.notional(size, _mark(venue, held)) * held.instrument.tier_of(size).mmr


def position_row(venue: Venue, held: Position) -> Row:
    """Return the row of ``/account/positions`` and of its channel; a closed one shows ``pos`` "0"."""
    instrument, market = held.instrument, venue.market(held.instrument.inst_id)
    mark, size = market.mark, abs(held.size)
    profit, value = unrealised(venue, held), instrument.notional(size, mark)
    needed = maintenance(venue, held)
    margin = held.initial_margin(mark)
    ratio = text((profit / margin).quantize(Decimal("0.000001"))) if margin else "0"
    return (
        same(POSITION_BLANK)
        | _realised(held)
        | {
            "adl": "1" if size else "",
            "availPos": text(size),
            "avgPx": short(held.average) if size else "",
            "cTime": str(held.created_ms),
            "ccy": instrument.settle,
            "idxPx": text(market.index),
            "imr": text(margin) if held.margin_mode == "cross" else "",
            "instId": instrument.inst_id,
            "instType": instrument.inst_type,
            "last": text(market.last),
            "lever": text(held.lever),
            "liqPx": text(_liquidation_price(venue, held)) if size else "",
            "margin": text(held.margin) if held.margin_mode == "isolated" else "",
            "markPx": text(mark),
            "mgnMode": held.margin_mode,
            "mgnRatio": text(((margin + profit) / needed).quantize(Decimal("0.0001"))) if needed else "",
            "mmr": text(needed),
            "notionalUsd": text(value),
            "pos": text(held.size),
            "posId": held.pos_id,
            "posSide": held.side,
            "tradeId": held.trade_id,
            "uTime": str(held.updated_ms),
            "upl": text(profit),
            "uplLastPx": text(held.profit(size, market.last)),
            "uplRatio": ratio,
            "uplRatioLastPx": ratio,
            "usdPx": text(venue.usd_price(instrument.settle)),
        }
    )


def _realised(held: Position) -> Row:
    average = short(held.average) if held.size else ""
    return {
        "avgPx": average,
        "bePx": average,
        "closeOrderAlgo": [],
        "fee": text(held.fee),
        "fundingFee": text(held.funding),
        "lever": text(held.lever),
        "liqPenalty": text(held.penalty),
        "pnl": text(held.pnl),
        "realizedPnl": text(held.realized),
    }


def balance_row(venue: Venue, currency: str) -> Row:
    """Return an entry of ``balData``."""
    return {"ccy": currency, "cashBal": text(venue.account.cash.get(currency, ZERO)), "uTime": _now(venue)}


def position_brief(held: Position) -> Row:
    """Return an entry of ``posData``."""
    blank = ("posCcy", "baseBal", "quoteBal", "nonSettleAvgPx", "settledPnl")
    row: Row = dict.fromkeys(blank, "")
    return row | {
        "avgPx": short(held.average),
        "ccy": held.instrument.settle,
        "instId": held.instrument.inst_id,
        "instType": held.instrument.inst_type,
        "mgnMode": held.margin_mode,
        "pos": text(held.size),
        "posId": held.pos_id,
        "posSide": held.side,
        "tradeId": held.trade_id,
        "uTime": str(held.updated_ms),
    }


def config_row(venue: Venue, *, label: str, permissions: str, address: str) -> Row:
    """Return the row of ``/account/config`` as the key that asks sees it."""
    account = venue.account
    blank = ("discordRole", "liquidationGear", "opAuth", "roleType", "spotRoleType", "spotOffsetType", "kycLv")
    row: Row = dict.fromkeys(blank, "")
    return row | {
        "acctLv": account.level,
        "acctStpMode": "cancel_maker",
        "autoLoan": False,
        "ctIsoMode": "automatic",
        "enableSpotBorrow": False,
        "feeType": "0",
        "greeksType": "PA",
        "ip": address,
        "label": label,
        "level": "Lv1",
        "levelTmp": "",
        "mainUid": account.uid,
        "mgnIsoMode": "automatic",
        "perm": permissions,
        "posMode": account.position_mode,
        "roleType": "0",
        "settleCcy": "USDT",
        "settleCcyList": ["USD", "USDT"],
        "specRoles": [],
        "specTraderInsts": [],
        "spotBorrowAutoRepay": False,
        "spotTraderInsts": [],
        "stgyType": "0",
        "traderInsts": [],
        "type": "0",
        "uid": account.uid,
    }


def _liquidation_price(venue: Venue, held: Position) -> Decimal:
    # Where the margin is down to maintenance: isolated, its own; cross, what the account can spare.
    size = held.instrument.notional(abs(held.size), Decimal(1))
    backing = held.margin if held.margin_mode == "isolated" else venue.account.cash.get(held.instrument.settle, ZERO)
    price = held.average - held.direction * (backing - maintenance(venue, held)) / size
    return max(price, ZERO).quantize(held.instrument.tick)


def _mark(venue: Venue, held: Position) -> Decimal:
    return venue.market(held.instrument.inst_id).mark


def _now(venue: Venue) -> str:
    return str(venue.clock.now_ms())
