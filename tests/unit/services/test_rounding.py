"""Numbers for people: short, and small ones still there."""

from __future__ import annotations

from decimal import Decimal

import pytest

from services.rounding import brief, brief_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("93614.433333333333", "93614.4333"),
        ("-1.282051282051", "-1.2821"),
        ("80000.00000000", "80000"),
        ("0.00001234567891", "0.0000123457"),
        ("-0.999999999", "-1"),
        ("0.5", "0.5"),
        ("0.711912345", "0.7119"),
        ("0", "0"),
        ("0E-12", "0"),
    ],
)
def test_a_number_is_brief(value: str, text: str) -> None:
    assert brief(Decimal(value)) == text


def test_only_long_numbers_of_a_text_are_made_brief() -> None:
    said = "STOP_TOO_CLOSE: value=0.012345678901, limit=0.05, ids 1742400060000000, a1.234567b 10.0.0.12345, 1.5000001"
    assert brief_text(said) == (
        "STOP_TOO_CLOSE: value=0.0123457, limit=0.05, ids 1742400060000000, a1.234567b 10.0.0.12345, 1.5"
    )
