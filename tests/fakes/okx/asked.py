"""A request as the endpoints see it, and what lists have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.fakes.okx.auth import ApiKey
from tests.fakes.okx.errors import VenueError
from tests.fakes.okx.operations import Operations, Reply
from tests.fakes.okx.push import Row
from tests.fakes.okx.venue import Venue

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Asked:
    """One REST request: who, the query or the body, and the venue to answer from."""

    venue: Venue
    operations: Operations
    query: dict[str, str]
    rows: list[Row]
    key: ApiKey | None
    deadline: str = ""

    def get(self, name: str, otherwise: str = "") -> str:
        """Return a query parameter."""
        return self.query.get(name) or otherwise

    def need(self, name: str) -> str:
        """Return a query parameter; refuses its absence."""
        if not self.query.get(name):
            raise VenueError("50014", name)
        return self.query[name]

    def post(self, name: str) -> str:
        """Return a field of the body; refuses its absence."""
        value = self.rows[0].get(name) if self.rows else None
        if value is None or value == "":
            raise VenueError("50014", name)
        return str(value)

    def limit(self, default: int, most: int) -> int:
        """Return how many rows are wanted."""
        text = self.get("limit", str(default))
        if not text.isdigit() or int(text) < 1:
            raise VenueError("51000", "limit")
        return min(int(text), most)

    def page(
        self, items: Iterable[Item], position: Callable[[Item], int], *, default: int = 100, most: int = 100
    ) -> list[Item]:
        """Return newest first what lies before ``after`` and behind ``before``, as the venue's lists take them."""
        after, before = self.get("after"), self.get("before")
        kept = [
            item
            for item in items
            if (not after or position(item) < int(after)) and (not before or position(item) > int(before))
        ]
        return sorted(kept, key=position, reverse=True)[: self.limit(default, most)]

    def matches(self, row: Row, *names: str) -> bool:
        """Does the row agree with the query wherever the query says something?"""
        return all(not self.get(name) or str(row.get(name, "")) in self.get(name).split(",") for name in names)


Endpoint = Callable[[Asked], Sequence[object] | Reply]
