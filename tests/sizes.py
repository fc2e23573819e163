"""Fail when a file outgrows 400 lines or a function 40: ``python -m tests.sizes`` (part of ``make check``)."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 40
ROOT = Path(__file__).parent.parent
FOLDERS = ("schemas", "streams", "projections", "services", "deploy", "tests")


def too_long(root: Path = ROOT) -> Iterator[str]:
    """Yield one line for each file or function that is too long; blank lines count."""
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            text = path.read_text()
            name = path.relative_to(root)
            lines = text.count("\n")
            if lines > FILE_LINES_MAX:
                yield f"{name}: {lines} lines, at most {FILE_LINES_MAX}"
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    length = body_lines(node)
                    if length > FUNCTION_LINES_MAX:
                        yield f"{name}:{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES_MAX}"


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines from the first statement after the docstring to the end: a long list of options is no logic."""
    first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
    return (node.end_lineno or first.lineno) - first.lineno + 1


def main() -> int:
    """Print what is too long; exit 1 if anything is."""
    problems = list(too_long())
    print("\n".join(problems), file=sys.stderr) if problems else None
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
