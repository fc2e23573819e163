"""Read fields of OKX's replies exactly, or say which cannot be read. Empty text is OKX's "not applicable"."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from schemas.values import Micros, Money, Price, Quantity, money, price, quantity

Row = Mapping[str, Any]
T = TypeVar("T")

_LIMIT = Decimal(10) ** 20


class PayloadError(ValueError):
    """A reply that cannot be understood; names the field and shows it."""


def text(row: Row, name: str) -> str:
    """Return a text; missing or null is empty."""
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise PayloadError(f"{name}={value!r}: expected text")
    return value


def required(row: Row, name: str) -> str:
    """Return a text that must be there."""
    value = text(row, name)
    if not value:
        raise PayloadError(f"{name} is missing")
    return value


def decimal(row: Row, name: str) -> Decimal | None:
    """Return a decimal as written; None where it is empty. A JSON number is refused: it may have been rounded."""
    value = text(row, name)
    if not value:
        return None
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise PayloadError(f"{name}={value[:40]!r}: not a number") from error
    if not number.is_finite() or abs(number) >= _LIMIT:
        raise PayloadError(f"{name}={value[:40]!r}: out of range")
    return number


def exact_quantity(row: Row, name: str) -> Quantity:
    """Return a size, which must fit the wire exactly; empty is zero."""
    return Quantity(_exact(row, name, quantity) or Decimal(0))


def exact_price(row: Row, name: str) -> Price | None:
    """Return a price, which must fit the wire exactly; None where empty, zero or -1 (OKX: no price, at market)."""
    value = _exact(row, name, price)
    return Price(value) if value is not None and value > 0 else None


def average_price(row: Row, name: str) -> Price | None:
    """Return an average, rounded to the wire's scale; None where there is none yet."""
    value = decimal(row, name)
    return price(value) if value is not None and value > 0 else None


def amount(row: Row, name: str) -> Quantity:
    """Return an amount of a currency, rounded to the wire's scale (OKX computes with more places); empty is zero."""
    return quantity(decimal(row, name) or Decimal(0))


def cash(row: Row, name: str) -> Money:
    """Return an amount of money, rounded to 1e-8; empty is zero."""
    return money(decimal(row, name) or Decimal(0))


def moment(row: Row, name: str) -> Micros | None:
    """Return a moment from epoch milliseconds; None where there is none (empty or 0)."""
    value = text(row, name)
    if not value or value == "0":
        return None
    if not value.isdecimal() or len(value) > 14:
        raise PayloadError(f"{name}={value[:40]!r}: not a time in milliseconds")
    return Micros(int(value) * 1000)


def first_moment(row: Row, *names: str) -> Micros:
    """Return the first of several moments that is there."""
    for name in names:
        found = moment(row, name)
        if found is not None:
            return found
    raise PayloadError(f"none of {', '.join(names)} is there")


def flag(row: Row, name: str) -> bool:
    """Return a flag, which OKX writes as text or as JSON; missing or empty is false."""
    value = row.get(name, "")
    if isinstance(value, bool):
        return value
    if value in ("true", "false", "", None):
        return bool(value == "true")
    raise PayloadError(f"{name}={value!r}: neither true nor false")


def one_of(row: Row, name: str, table: Mapping[str, T]) -> T:
    """Return what a code stands for; one that is not in the table is refused, never guessed."""
    value = text(row, name)
    if value not in table:
        raise PayloadError(f"{name}={value[:40]!r}: expected one of {', '.join(sorted(filter(None, table)))}")
    return table[value]


def _exact(row: Row, name: str, round_to_wire: Any) -> Decimal | None:
    value = decimal(row, name)
    if value is not None and round_to_wire(value) != value:
        raise PayloadError(f"{name}={row[name]!r}: more decimal places than the wire has")
    return value
