"""A twin is an equal object of its own; what its fields hold is shared."""

from __future__ import annotations

from dataclasses import dataclass, fields

import pytest

from streams.core.account.state import Track, View
from streams.core.bars.state import Book as BarBook
from streams.core.execution.state import ExecutionState
from streams.core.quality.state import Lane, Slot
from streams.core.twin import twin
from streams.core.venue.state import VenuePositionState, VenueState


@pytest.mark.parametrize(
    "kind", [Track, View, BarBook, ExecutionState, Lane, Slot, VenuePositionState, VenueState], ids=lambda kind: kind
)
def test_every_field_is_taken_over_as_it_is(kind: type) -> None:
    original = kind()
    for field in fields(kind):
        setattr(original, field.name, [field.name])

    copied = twin(original)

    assert copied is not original
    assert all(getattr(copied, field.name) is getattr(original, field.name) for field in fields(kind))


def test_a_change_of_the_twin_is_not_seen_on_the_original() -> None:
    original = View(last_ts=1)

    twin(original).last_ts = 2

    assert original.last_ts == 1


@dataclass
class Lonely:
    """One field: reading it alone gives no tuple."""

    word: str = "a"


def test_a_class_of_one_field_is_refused() -> None:
    with pytest.raises(AssertionError, match="Lonely"):
        twin(Lonely())
