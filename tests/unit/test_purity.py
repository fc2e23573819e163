"""What decides reads no clock: imports are checked by import-linter, this looks for the calls an import allows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLOCKS = {"now", "utcnow", "today", "fromtimestamp"}
"""Of ``datetime`` and ``date``; ``fromtimestamp`` without a zone takes the machine's."""


def clock_calls(source: str) -> Iterator[int]:
    """Yield the lines that ask for the time of the machine, or for its zone."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS:
            zoned = node.func.attr == "fromtimestamp" and len(node.args) + len(node.keywords) == 2
            if not zoned:
                yield node.lineno


def test_schemas_and_core_ask_no_clock() -> None:
    files = [*(ROOT / "schemas").rglob("*.py"), *(ROOT / "streams" / "core").rglob("*.py")]
    assert len(files) > 100
    found = {str(path.relative_to(ROOT)): lines for path in files if (lines := [*clock_calls(path.read_text())])}
    assert found == {}


def test_the_search_finds_what_it_looks_for() -> None:
    source = (
        "a = datetime.now(UTC)\nb = date.today()\nc = datetime.fromtimestamp(1)\nd = datetime.fromtimestamp(1, UTC)\n"
    )
    assert [*clock_calls(source)] == [1, 2, 3]
