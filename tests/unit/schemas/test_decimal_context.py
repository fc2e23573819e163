"""Arithmetic is ours whatever a library did to the thread's decimal context before."""

from __future__ import annotations

import decimal
from collections.abc import Iterator
from decimal import Decimal, FloatOperation, Underflow

import pytest

from schemas.values import PRECISION, SCALES, money, pin_decimal_context
from streams.core.kernel import Kernel
from tests.builders import T0
from tests.rig import Rig


@pytest.fixture
def disturbed() -> Iterator[decimal.Context]:
    """The context as ccxt leaves it; put back afterwards, so that no other test meets it."""
    from ccxt.base.decimal_to_precision import DECIMAL_PLACES, ROUND, decimal_to_precision

    before = decimal.getcontext().copy()
    assert decimal_to_precision("1.005", ROUND, 2, DECIMAL_PLACES) == "1.01"
    context = decimal.getcontext()
    assert context.rounding == decimal.ROUND_HALF_UP, "ccxt no longer does this; the guard can stay"
    context.prec = 20
    context.traps[FloatOperation] = False
    yield context
    decimal.setcontext(before)


def test_the_context_is_put_back_whole(disturbed: decimal.Context) -> None:
    pin_decimal_context()
    ours = decimal.getcontext()
    assert (ours.rounding, ours.prec) == (decimal.ROUND_HALF_EVEN, PRECISION)
    assert ours.traps[FloatOperation]
    assert not ours.traps[Underflow]
    with pytest.raises(FloatOperation):
        Decimal(1) < 0.5  # noqa: B015


def test_postings_round_half_to_even_in_any_context(disturbed: decimal.Context) -> None:
    disturbed.prec = PRECISION
    half = Decimal(5).scaleb(-SCALES["Money"] - 1)
    assert money(Decimal(2) + half) == Decimal(2)


def test_a_step_computes_in_our_context_whatever_came_before(disturbed: decimal.Context) -> None:
    rig = Rig()
    assert decimal.getcontext().rounding == decimal.ROUND_HALF_EVEN, "the rig's own steps pinned it"
    decimal.getcontext().rounding = decimal.ROUND_HALF_UP
    rig.mark("80000.1", ts=T0 + 1)
    assert decimal.getcontext().rounding == decimal.ROUND_HALF_EVEN
    assert isinstance(rig.kernel, Kernel)
