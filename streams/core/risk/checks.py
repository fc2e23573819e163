"""How a check is written down, and the runner that puts all forty in the order of ``DenialCode``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from schemas.events.risk import Check, CheckResult, DenialCode
from schemas.values import plain
from streams.core.risk.context import Context

_SHOWN = Decimal("1e-12")

Value = Decimal | int | str

_RESULTS = {None: CheckResult.NOT_APPLICABLE, True: CheckResult.PASS, False: CheckResult.FAIL}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. ``ok`` None: it does not apply to this plan."""

    ok: bool | None
    value: Value | None = None
    limit: Value | None = None
    inputs: tuple[tuple[str, Value | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One denial code, the facts it needs (names of ``Context`` fields; None there skips it) and its test."""

    code: DenialCode
    needs: tuple[str, ...]
    test: Callable[[Context], Finding]


def finding(ok: bool | None, value: Value | None = None, limit: Value | None = None, **inputs: Value | None) -> Finding:
    """Return a finding with its inputs by name."""
    return Finding(ok, value, limit, tuple(inputs.items()))


def show(value: Value | None) -> str:
    """Write a number as plain text with at most 12 decimals."""
    if isinstance(value, Decimal):
        return plain(value.quantize(_SHOWN)) if value.is_finite() else str(value)
    return "none" if value is None else str(value)


def run(rules: Sequence[Rule], context: Context) -> tuple[Check, ...]:
    """Return every check's outcome, in the order of the rules."""
    return tuple(_run_one(rule, context) for rule in rules)


def _run_one(rule: Rule, context: Context) -> Check:
    absent = [name for name in rule.needs if getattr(context, name) is None]
    if absent:
        return Check(rule.code, CheckResult.SKIPPED, None, None, {"missing": ", ".join(absent)})
    found = rule.test(context)
    result = _RESULTS[found.ok]
    value = None if found.value is None else show(found.value)
    limit = None if found.limit is None else show(found.limit)
    return Check(rule.code, result, value, limit, {name: show(value) for name, value in found.inputs})
