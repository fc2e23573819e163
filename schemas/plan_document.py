"""The plan document: what an operator, the rules or a language model may ask for, checked without a market.

One JSON schema (``plan_document.schema.json``) for all three authors, and the rules a schema cannot say. Prices may be
relative; ``resolve`` makes them absolute. Size, leverage and limits are absent on purpose: posting one is refused.
Source: domain definitions, section 10.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from schemas.events.common import OrderType, PositionSide, TriggerPriceType
from schemas.events.plan import Rationale
from schemas.fits import Fits, compile_schema
from schemas.values import SCALES, Percent, Price, Ratio

SCHEMA_FILE = Path(__file__).with_name("plan_document.schema.json")
NO_PLAN = "no_plan"
NO_PLAN_MAX = 600
"""The one field of the answer of a model that proposes nothing, and the characters its reason may have."""
_HUNDRED = Decimal(100)

Problem = tuple[str, str]
"""JSON path of a field (``$.targets[1].fraction``) and what is wrong with it."""


class PlanDocumentError(ValueError):
    """A plan document that breaks the schema or a rule beside it; ``problems`` names every field and reason."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("; ".join(f"{path}: {reason}" for path, reason in self.problems))


@dataclass(frozen=True, slots=True)
class PriceSpec:
    """A price, absolute or ``offset_pct`` percent from the reference of the moment; exactly one is set."""

    absolute: Price | None = None
    offset_pct: Percent | None = None

    def resolve(self, reference: Decimal | None) -> Decimal | None:
        """Return the price, not yet rounded to a tick; None: relative, and there is no reference."""
        if self.absolute is not None:
            return self.absolute
        if reference is None or self.offset_pct is None:
            return None
        return reference * (1 + self.offset_pct / _HUNDRED)


@dataclass(frozen=True, slots=True)
class EntrySpec:
    """How to enter, with the price its type needs."""

    type: OrderType
    limit_price: PriceSpec | None = None
    trigger_price: PriceSpec | None = None
    post_only: bool = False


@dataclass(frozen=True, slots=True)
class StopDocument:
    """The protective stop and how it follows."""

    trigger_price: PriceSpec
    trigger_price_type: TriggerPriceType = TriggerPriceType.MARK
    break_even_at_r: Ratio | None = None
    trail_distance_pct: Percent | None = None
    trail_from_r: Ratio | None = None


@dataclass(frozen=True, slots=True)
class TargetDocument:
    """A take-profit for a fraction of the entered quantity."""

    limit_price: PriceSpec
    fraction: Ratio


@dataclass(frozen=True, slots=True)
class PlanDocument:
    """A well-formed plan document; whether it may be traded is the verdict's business."""

    instrument_id: str
    position_side: PositionSide
    strategy: str
    entry: EntrySpec
    stop: StopDocument | None
    targets: tuple[TargetDocument, ...]
    valid_for_s: int
    max_holding_s: int | None
    rationale: Rationale
    confidence: Ratio | None

    @property
    def relative(self) -> bool:
        """Return whether any price needs a reference."""
        prices = [self.entry.limit_price, self.entry.trigger_price, *(target.limit_price for target in self.targets)]
        prices.append(self.stop.trigger_price if self.stop else None)
        return any(price is not None and price.absolute is None for price in prices)


@cache
def schema() -> dict[str, Any]:
    """Return the JSON schema of a plan document."""
    loaded: dict[str, Any] = json.loads(SCHEMA_FILE.read_text())
    return loaded


def parse_plan_document(document: str | bytes | Mapping[str, Any]) -> PlanDocument:
    """Return the checked document. Raises PlanDocumentError listing every problem found."""
    raw = _load(document) if isinstance(document, str | bytes) else document
    problems = _text_problems(raw) or list(_schema_problems(raw))
    if problems:
        raise PlanDocumentError(problems)
    parsed = _build(raw)
    problems = [
        *_fraction_problems(parsed), *_order_problems(parsed), *_trail_problems(parsed), *_scale_problems(parsed),
    ]  # fmt: skip
    if problems:
        raise PlanDocumentError(problems)
    return parsed


def no_plan_reason(text: str) -> str | None:
    """Return why a model proposes nothing, where its whole answer is ``{"no_plan": "reason"}``; None: it is not."""
    try:
        raw = _load(text)
    except PlanDocumentError:
        return None
    said = raw.get(NO_PLAN) if isinstance(raw, dict) and len(raw) == 1 else None
    fits = isinstance(said, str) and said.strip() and len(said) <= NO_PLAN_MAX and not _text_problems(raw)
    return said.strip() if isinstance(said, str) and fits else None


def _load(text: str | bytes) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise PlanDocumentError([("$", f"not JSON: {error}")]) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a field given twice: which of two stops its author meant is nobody's to guess."""
    found = dict(pairs)
    if len(found) != len(pairs):
        name, _ = Counter([name for name, _ in pairs]).most_common(1)[0]
        raise ValueError(f"{name!r} is given twice")
    return found


def _text_problems(raw: Any) -> list[Problem]:
    """Refuse half a surrogate pair: JSON can escape one, but no event can carry it and the trader would stop on it."""
    try:
        json.dumps(raw, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as error:
        return [("$", f"holds text that is not Unicode: {error.reason}")]
    except RecursionError:
        return [("$", "nested too deeply")]
    return []


def _pattern(validator: Any, pattern: str, instance: Any, _: Any) -> Iterator[ValidationError]:
    """Match the whole string: Python's ``$`` would let a trailing newline pass."""
    if isinstance(instance, str) and not (re.search(pattern, instance) and not instance.endswith("\n")):
        yield ValidationError(f"{instance!r} does not match {pattern}")


@cache
def validator() -> Any:
    """Return what judges a document by the schema and says what is wrong with it."""
    return extend(Draft202012Validator, {"pattern": _pattern})(schema())


@cache
def _fits() -> Fits:
    return compile_schema(schema())


def _schema_problems(raw: Any) -> list[Problem]:
    if _fits()(raw):
        return []
    found = [problem for error in validator().iter_errors(raw) for problem in _explain(error)]
    return sorted(set(found))


def _explain(error: ValidationError) -> Iterator[Problem]:
    path = error.json_path
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        yield from ((f"{path}.{name}", "unknown field") for name in error.instance if name not in known)
    elif error.validator == "required":
        yield from ((f"{path}.{name}", "missing") for name in error.validator_value if name not in error.instance)
    elif error.validator == "oneOf":
        yield from _explain_choice(error)
    else:
        yield path, error.message


def _explain_choice(error: ValidationError) -> Iterator[Problem]:
    """Explain a failed choice by the branch its author meant: that of the entry's type, or of the price's form."""
    instance = error.instance
    if error.json_path == "$.entry":
        types = [branch["properties"]["type"]["const"] for branch in error.validator_value]
        meant = instance.get("type") if isinstance(instance, dict) else None
        branch = types.index(meant) if meant in types else None
        reason, where = f"must be one of {', '.join(types)}", "$.entry.type"
    else:
        branch = 0 if isinstance(instance, str) else 1 if isinstance(instance, dict) else None
        reason, where = 'must be a decimal string or {"offset_pct": "..."}', error.json_path
    if branch is None:
        yield where, reason
        return
    for inner in error.context or ():
        if inner.schema_path[0] == branch:
            yield from _explain(inner)


def _price(raw: Any) -> PriceSpec:
    if isinstance(raw, str):
        return PriceSpec(absolute=Price(Decimal(raw)))
    return PriceSpec(offset_pct=Percent(Decimal(raw["offset_pct"])))


def _optional(raw: Mapping[str, Any], name: str) -> Any:
    return Decimal(raw[name]) if name in raw else None


def _build(raw: Mapping[str, Any]) -> PlanDocument:
    rationale = raw["rationale"]
    return PlanDocument(
        instrument_id=raw["instrument_id"],
        position_side=PositionSide(raw["position_side"]),
        strategy=raw["strategy"],
        entry=_entry(raw["entry"]),
        stop=_stop(raw["stop"]) if "stop" in raw else None,
        targets=tuple(
            TargetDocument(_price(item["limit_price"]), Ratio(Decimal(item["fraction"])))
            for item in raw.get("targets", ())
        ),
        valid_for_s=int(raw["valid_for_s"]),
        max_holding_s=int(raw["max_holding_s"]) if "max_holding_s" in raw else None,
        rationale=Rationale(rationale["summary"], rationale.get("invalidation"), tuple(rationale.get("evidence", ()))),
        confidence=_optional(raw, "confidence"),
    )


def _entry(raw: Mapping[str, Any]) -> EntrySpec:
    limit, trigger = raw.get("limit_price"), raw.get("trigger_price")
    return EntrySpec(
        type=OrderType(raw["type"]),
        limit_price=None if limit is None else _price(limit),
        trigger_price=None if trigger is None else _price(trigger),
        post_only=raw.get("post_only", False),
    )


def _stop(raw: Mapping[str, Any]) -> StopDocument:
    return StopDocument(
        trigger_price=_price(raw["trigger_price"]),
        trigger_price_type=TriggerPriceType(raw.get("trigger_price_type", "MARK")),
        break_even_at_r=_optional(raw, "break_even_at_r"),
        trail_distance_pct=_optional(raw, "trail_distance_pct"),
        trail_from_r=_optional(raw, "trail_from_r"),
    )


def _fraction_problems(document: PlanDocument) -> Iterator[Problem]:
    total = sum((target.fraction for target in document.targets), Decimal(0))
    if total > 1:
        yield "$.targets", f"fractions sum to {total}, more than 1"


def _order_problems(document: PlanDocument) -> Iterator[Problem]:
    """Compare each target with the one before it of the same form; absolute and relative need a market to compare."""
    sign = 1 if document.position_side is PositionSide.LONG else -1
    before: dict[bool, Decimal] = {}
    for index, target in enumerate(document.targets):
        spec = target.limit_price
        value = spec.offset_pct if spec.absolute is None else spec.absolute
        assert value is not None
        kind = spec.absolute is None
        if kind in before and sign * (value - before[kind]) <= 0:
            yield f"$.targets[{index}].limit_price", "targets must be in order away from the entry"
        before[kind] = value


def _trail_problems(document: PlanDocument) -> Iterator[Problem]:
    stop = document.stop
    if stop is not None and stop.trail_from_r is not None and stop.trail_distance_pct is None:
        yield "$.stop.trail_from_r", "needs trail_distance_pct"


def _scale_problems(document: PlanDocument) -> Iterator[Problem]:
    """Refuse a number finer than the wire carries: the trader could not write the plan down and would stop on it."""
    for name, unit in (("break_even_at_r", "Ratio"), ("trail_distance_pct", "Percent"), ("trail_from_r", "Ratio")):
        value = getattr(document.stop, name, None)
        if value is not None and value != round(value, SCALES[unit]):
            yield f"$.stop.{name}", f"has more than {SCALES[unit]} decimals"
