"""Which code decides: the release, and a digest of every source that can change a decision or the bytes of one.

Computed from the files of the package, so that no change of a stage can leave it as it was. Claims, outputs and
checkpoints carry it; recovery and verify say so when the code that recorded a step is not the code that runs it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path

RELEASE = "0.1.0"
DIGITS = 10
"""Hex digits of the digest (40 bits)."""
PARTS = ("schemas", "streams/core", "streams/pipeline.py")
"""What decides: the wire format, the stages with their kernel, and the order of the stages."""
SUFFIXES = frozenset({".py", ".avsc", ".json"})
_ROOT = Path(__file__).parent.parent


def sources(root: Path = _ROOT) -> Iterator[Path]:
    """Yield the files that decide, in an order that depends on their names alone; examples decide nothing."""
    for part in PARTS:
        place = root / part
        found = place.rglob("*") if place.is_dir() else [place]
        for path in sorted(found, key=lambda path: path.relative_to(root).as_posix()):
            if path.suffix in SUFFIXES and "examples" not in path.relative_to(root).parts:
                yield path


@cache
def code_version(root: Path = _ROOT) -> str:
    """Return ``RELEASE+DIGEST`` of the code under ``root``; reads 0.7 MB, once, in about 10 ms."""
    digest = sha256()
    for path in sources(root):
        name, content = path.relative_to(root).as_posix().encode(), path.read_bytes()
        digest.update(b"%d:%s%d:%s" % (len(name), name, len(content), content))
    return f"{RELEASE}+{digest.hexdigest()[:DIGITS]}"
