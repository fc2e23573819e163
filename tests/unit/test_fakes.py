"""The fakes know nothing of us: a wrong table of ours must not make them wrong in the same way."""

from __future__ import annotations

import ast
from pathlib import Path

FAKES = Path(__file__).parents[1] / "fakes"
OURS = {"schemas", "streams", "projections", "services"}


def test_no_fake_imports_anything_of_ours() -> None:
    files = sorted(FAKES.rglob("*.py"))
    assert len(files) > 20
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not OURS & {name.partition(".")[0] for name in names}, path
            assert all(not name.startswith("tests.") or name.startswith("tests.fakes") for name in names), path
