"""Write a run as text a trader can read on one screen. Poor results are shown as they are."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from schemas.events.account import TradeClosed
from schemas.events.common import PositionSide, TradingState
from schemas.events.risk import DenialCode
from schemas.settings import TradingSettings, Venue
from schemas.values import SECOND, plain
from services.review.labels import LABELS, Language, word
from services.review.run import FLOORS, UNITS, Run, funding_gaps
from services.rounding import brief, brief_text
from streams.verify import Report

CENT = Decimal("0.01")
ZERO = Decimal(0)
MILLISECOND = 1000


LOOK = "tapeline log cat ticks --type LineQuarantined"


def render(
    run: Run,
    *,
    language: Language = "en",
    proof: Report | None = None,
    commands: Sequence[str] = (),
    look: str = LOOK,
) -> str:
    """Return the summary. ``proof`` None: the run was not verified, which is said.

    ``commands``: shown at the end. ``look``: the command that shows the lines which could not be read.
    """

    def say(key: str) -> str:
        return word(key, language)

    blocks = [
        [say("title"), "=" * 72],
        _tape(run, language, look),
        _decisions(run, language),
        _closed(run, language),
        _money(run, language),
        _limits(run, language),
        _assumptions(run, language),
        _proof(proof, language),
        *(_trade(run, trade, title, language) for trade, title in _extremes(run, say("best"), say("worst"))),
        [f"{say('look')}:", *(f"  {command}" for command in commands)] if commands else [],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


# -- blocks ---------------------------------------------------------------------------------------------------------


def _tape(run: Run, language: Language, look: str) -> list[str]:
    lines = []
    firsts = [market.first_ts for market in run.markets.values()]
    lasts = [market.last_ts for market in run.markets.values()]
    if firsts:
        days = Decimal(max(lasts) - min(firsts)) / (86400 * SECOND)
        period = f"{moment(min(firsts))} .. {moment(max(lasts))}"
        lines.append(f"{word('period', language)}: {period} UTC ({days:.1f} {word('days', language)})")
    live = [market.live_ts for market in run.markets.values() if market.live_ts is not None]
    if live and min(live) > min(firsts):
        lines.append(f"{word('live_from', language)}: {moment(min(live))} UTC")
    for name, market in sorted(run.markets.items()):
        parts = []
        if market.bars or market.backfill_bars:
            history = f" ({market.backfill_bars:,} {word('history', language)})" if market.backfill_bars else ""
            parts.append(f"{market.bars + market.backfill_bars:,} {word('bars', language)}{history}")
        if market.trades:
            parts.append(f"{market.trades:,} {word('trades_public', language)}")
        parts.append(f"{market.marks:,} {word('marks', language)}")
        parts.append(f"{len(market.fundings):,} {word('fundings', language)}")
        lines.append(f"{word('tape', language)}: {name}: {', '.join(parts)}")
    lines.append(f"{word('quarantined', language)}: {tally(run.quarantined) or word('none', language)}")
    if run.quarantined["LINE"]:
        lines.append(f"  {word('unreadable', language)}: {look}")
    return lines


def _decisions(run: Run, language: Language) -> list[str]:
    rows = [
        ("proposed", sum(run.proposed.values()), tally(run.proposed)),
        ("declined", sum(run.declined.values()), tally(run.declined)),
        ("approved", run.approved, ""),
        ("denied", sum(run.denied.values()), tally(run.denied)),
        ("orders", sum(run.orders.values()), tally(run.orders)),
        ("fills", sum(run.fills.values()), tally(run.fills)),
        ("states", sum(run.causes.values()), tally(run.causes)),
    ]
    if run.warnings:
        rows.append(("warnings", run.warnings, ""))
    if run.overrides:
        rows.append(("overrides", sum(run.overrides.values()), tally(run.overrides)))
    lines = [f"{word('decisions', language)}:"]
    for key, count, detail in rows:
        lines.append(f"  {pad(word(key, language), 22)} {count:>7,}  {detail}".rstrip())
    if run.state not in (None, TradingState.ACTIVE):
        causes = ", ".join(sorted(run.active_causes))
        lines.append(f"  {pad(word('ended', language), 22)} {run.state}: {causes}")
    return lines


def _closed(run: Run, language: Language) -> list[str]:
    heads = ["count", "long", "short", "won", "mean_r", "worst_r", "best_r", "net"]
    lines = [
        f"{word('closed', language)}:",
        "  " + pad(word("exit", language), 14) + "".join(pad(word(h, language), 10, right=True) for h in heads),
    ]
    by_reason: dict[str, list[TradeClosed]] = {}
    for trade in run.trades:
        by_reason.setdefault(trade.exit_reason.value, []).append(trade)
    for reason in sorted(by_reason):
        lines.append("  " + pad(reason, 14) + _trade_row(by_reason[reason]))
    lines.append("  " + pad(word("total", language), 14) + _trade_row(run.trades))
    for title, name_of in (("by_strategy", _strategy_of), ("by_instrument", _instrument_of)):
        names = sorted({name_of(trade) for trade in run.trades})
        lines += [f"  {word(title, language)}"] if names else []
        for name in names:
            lines.append("  " + pad(name, 14) + _trade_row([t for t in run.trades if name_of(t) == name]))
    lines.append(f"{word('open', language)}: {len(run.open_positions)}")
    for position in run.open_positions.values():
        lines.append(f"  {position.instrument_id} {plain(position.quantity)} @ {_price(position.avg_entry_price)}")
    return lines


def _strategy_of(trade: TradeClosed) -> str:
    return trade.strategy


def _instrument_of(trade: TradeClosed) -> str:
    return trade.instrument_id


def _trade_row(trades: Sequence[TradeClosed]) -> str:
    rs = [trade.r_multiple for trade in trades if trade.r_multiple is not None]
    cells = [
        str(len(trades)),
        str(sum(trade.position_side is PositionSide.LONG for trade in trades)),
        str(sum(trade.position_side is PositionSide.SHORT for trade in trades)),
        str(sum(trade.net_pnl > 0 for trade in trades)),
        signed(sum(rs, ZERO) / len(rs)) if rs else "-",
        signed(min(rs)) if rs else "-",
        signed(max(rs)) if rs else "-",
        signed(sum((trade.net_pnl for trade in trades), ZERO)),
    ]
    return "".join(cell.rjust(10) for cell in cells)


def _money(run: Run, language: Language) -> list[str]:
    def total(values: Iterable[Decimal]) -> Decimal:
        return sum(values, ZERO)

    parts = [
        ("gross", total(trade.gross_pnl for trade in run.trades)),
        ("fees", -total(trade.fees for trade in run.trades)),
        ("funding", total(trade.funding for trade in run.trades)),
        ("penalty", -total(trade.liquidation_penalty for trade in run.trades)),
        ("net", total(trade.net_pnl for trade in run.trades)),
    ]
    sums = ", ".join(f"{word(k, language)} {signed(v)}" for k, v in parts)
    sides = (("takers", run.slippage_taker), ("makers", run.slippage_maker))
    slipped = ", ".join(f"{word(side, language)} {signed(value)}" for side, value in sides)
    lines = [f"{word('money', language)}: {sums} USDT; {word('slippage', language)}: {slipped}"]
    if run.missed:
        cost = total(missed.opportunity for missed in run.missed.values() if missed.opportunity is not None)
        lines.append(f"{word('missed', language)}: {signed(cost)} USDT, {len(run.missed)} {word('entries', language)}")
    equity, start = run.equity.equity if run.equity else run.initial_cash, run.initial_cash
    change = (equity - run.flows - start) / start * 100 if start else ZERO
    flows = f" {word('flows', language)} {signed(run.flows)} USDT" if run.flows else ""
    unrealized = run.equity.unrealized_pnl if run.equity else ZERO
    part = f", {word('unrealized', language)} {signed(unrealized)} USDT" if unrealized else ""
    made_up = f" ({word('made_up', language)})" if "SYNTHETIC" in run.origins else ""
    lines.append(
        f"{word('equity', language)}: {cents(start)} -> {cents(equity)} USDT ({signed(change)} %{flows}){part}, "
        f"{word('drawdown', language)} {cents(run.drawdown_max)} %{made_up}"
    )
    holds = [
        (name, (market.last_price / market.first_price - 1) * 100)
        for name, market in sorted(run.markets.items())
        if market.first_price and market.last_price
    ]
    if holds:
        mean = sum((change for _, change in holds), ZERO) / len(holds)
        each = ", ".join(f"{name} {signed(change)} %" for name, change in holds)
        lines.append(f"{word('hold', language)}: {signed(mean)} % ({each})")
    return lines


def _limits(run: Run, language: Language) -> list[str]:
    worst = (
        ("drawdown_warn", run.drawdown_max, "drawdown_warn_pct", "%"),
        ("drawdown_halt", run.drawdown_max, "drawdown_halt_pct", "%"),
        ("daily_loss", run.daily_loss_max, "daily_loss_pct_max", "%"),
        ("leverage_marked", run.leverage_max, "leverage_max", word("x", language)),
    )
    rows: list[tuple[str, str, str]] = [
        (word(key, language), f"{cents(value)} {unit}", f"{plain(getattr(run.settings, name))} {unit}")
        for key, value, name, unit in worst
    ]
    moved = [name for _, _, name, _ in worst if name in run.overrides]
    for code in DenialCode:
        if code in run.limits:
            limit = run.limits[code]
            sign = ">=" if code in FLOORS else "<="
            unit = word(UNITS[code], language) if UNITS[code] in LABELS else UNITS[code]
            of = amount if unit == "USDT" else short
            rows.append((code.value, of(limit.value), f"{sign} {of(limit.limit)} {unit}".rstrip()))
    head = f"  {pad('', 36)}{pad(word('reached', language), 16, right=True)}  {word('limit', language)}"
    lines = [f"{word('limits', language)}:", head]
    lines += [f"  {pad(name, 36)}{value.rjust(16)}  {limit}" for name, value, limit in rows]
    if moved:
        lines.append(f"  {word('moved', language)}: {', '.join(moved)}")
    missing = [code.value for code in UNITS if code not in run.limits]
    if missing:
        lines.append(f"  {word('not_reached', language)}: {', '.join(missing)}")
    return lines


def _assumptions(run: Run, language: Language) -> list[str]:
    settings = run.settings
    share = f"{Decimal(100) * run.marked_at_last / run.equity_points:.2f} %" if run.equity_points else "-"
    gaps = sum(funding_gaps(market) for market in run.markets.values())
    fees = f"{plain(settings.fee_maker_swap_pct)} % / {plain(settings.fee_taker_swap_pct)} %"
    return [
        f"{word('assumptions', language)}:",
        *_fill_rules(settings, language),
        f"  {word('fee_tier', language)}: {fees}",
        f"  {word('substituted', language)}: {share}; {word('funding_gaps', language)}: {gaps}",
        f"  {word('origin', language)}: {', '.join(sorted(run.origins)) or word('none', language)}",
    ]


def _fill_rules(settings: TradingSettings, language: Language) -> list[str]:
    """Say how fills came about: our simulator's rules, or nobody's where the venue is a real one."""
    if settings.venue == Venue.OKX:
        return [f"  {word('fills_by_okx', language)}"]
    return [
        f"  {word('fill_rule', language)}",
        f"  {word('slippage_rule', language)}: {plain(settings.slippage_bps)} bps",
        f"  {word('latency', language)}: {_latency(settings)}; {_faults(settings, language)}",
    ]


def _latency(settings: TradingSettings) -> str:
    least = Decimal(settings.latency_us) / MILLISECOND
    most = Decimal(settings.latency_us + settings.latency_jitter_us) / MILLISECOND
    return f"{plain(least)} ms" if least == most else f"{plain(least)} .. {plain(most)} ms"


def _faults(settings: TradingSettings, language: Language) -> str:
    refused, cut = plain(settings.fault_reject_pct), plain(settings.fault_partial_pct)
    return f"{word('faults', language)}: {refused} % / {cut} %; {word('seed', language)} {settings.seed}"


def _proof(proof: Report | None, language: Language) -> list[str]:
    if proof is None:
        return [f"{word('proof', language)}: {word('not_proven', language)}"]
    count = 0 if proof.proven else 1
    line = (
        f"{word('proof', language)}: {proof.steps:,} {word('recomputed', language)}, "
        f"{sum(proof.outputs.values()):,} {word('outputs', language)}, {word('digest', language)} {proof.digest()}, "
        f"{count} {word('differences', language)}"
    )
    return [line] if proof.difference is None else [line, proof.difference.detail]


def _extremes(run: Run, best: str, worst: str) -> list[tuple[TradeClosed, str]]:
    measured = [(trade.r_multiple, trade) for trade in run.trades if trade.r_multiple is not None]
    ranked = [trade for _, trade in sorted(measured, key=lambda pair: pair[0])]
    if not ranked:
        return []
    return [(ranked[-1], best), (ranked[0], worst)]


def _trade(run: Run, trade: TradeClosed, title: str, language: Language) -> list[str]:
    held = f"{trade.holding_s // 3600}h{trade.holding_s % 3600 // 60:02d}"
    excursion = trade.excursion_last
    mae_mfe = (
        f", MAE {signed(-excursion.mae_r)} R, MFE {signed(excursion.mfe_r)} R"
        if excursion and excursion.mae_r is not None and excursion.mfe_r is not None
        else ""
    )
    return [
        f"{title}: {trade.instrument_id} {trade.position_side.value} {trade.strategy}, "
        f"{moment(trade.ts_opened)} .. {moment(trade.ts_closed)} UTC ({word('held', language)} {held})",
        f"  {word('why', language)}: {brief_text(run.rationale.get(trade.plan_id, '-'))}",
        f"  {word('entered', language)} {short(trade.entered_quantity)} {_unit(trade, language)} "
        f"@ {_price(trade.avg_entry_price)}, "
        f"{word('stopped', language)} {_price(trade.first_stop_price)}, "
        f"{word('left', language)} @ {_price(trade.avg_exit_price)} ({trade.exit_reason.value})",
        f"  R {signed(trade.r_multiple or ZERO)}, {word('net', language)} {signed(trade.net_pnl)} USDT = "
        f"{word('gross', language)} {signed(trade.gross_pnl)}, {word('fees', language)} {signed(-trade.fees)}, "
        f"{word('funding', language)} {signed(trade.funding)}{mae_mfe}",
        f"  /audit/{run.trade_events[trade.trade_id]}",
    ]


def _unit(trade: TradeClosed, language: Language) -> str:
    return word("contracts", language) if trade.instrument_id.endswith("-SWAP") else trade.instrument_id.split("-")[0]


# -- words ----------------------------------------------------------------------------------------------------------


def moment(ts: int) -> str:
    """Write a moment to the minute, UTC."""
    return datetime.fromtimestamp(ts / SECOND, UTC).strftime("%Y-%m-%d %H:%M")


def tally(counter: Counter[str]) -> str:
    """Write counts by name, most frequent first."""
    return ", ".join(
        f"{name} {count:,}" for name, count in sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    )


def cents(value: Decimal) -> str:
    """Write an amount to two places."""
    return f"{value.quantize(CENT):,}"


def signed(value: Decimal) -> str:
    """Write an amount to two places with its sign."""
    return f"{value.quantize(CENT):+,}"


def short(value: Decimal) -> str:
    """Write a number with at most four places, a small one with six digits that count, and no trailing zeros."""
    return brief(value) if value == value.to_integral_value() or abs(value) < 10**6 else cents(value)


def amount(value: Decimal) -> str:
    """Write an amount of money: thousands apart, cents where there are any; below a thousand as ``short``."""
    if abs(value) < 1000:
        return short(value)
    return f"{value.to_integral_value():,}" if value == value.to_integral_value() else cents(value)


def _price(value: Decimal | None) -> str:
    return "-" if value is None else brief(value)


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Pad to a width in terminal columns: a Chinese character takes two."""
    columns = sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
    fill = " " * max(0, width - columns)
    return fill + text if right else text + fill
