"""Write or check ``schemas/avro``: one file per event type and version, ids in a lockfile that only grows.

``python -m schemas.generate --check`` (CI) fails when a class and its newest schema differ, or when a version cannot be
read by an older reader or cannot read an older log. ``--write`` updates the newest version while it is unreleased,
``--new-version`` starts the next one where a class changed.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from schemas.avro_types import event_schema
from schemas.codec import AVRO_DIR, IDS_FILE
from schemas.compat import incompatibilities
from schemas.events import EVENT_TYPES

Lock = dict[str, dict[str, int]]


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=1) + "\n"


def _path(root: Path, name: str, version: int) -> Path:
    return root / name / f"v{version}.avsc"


def check(root: Path = AVRO_DIR) -> list[str]:
    """Return what is wrong with the committed schemas, one line each; empty: all well."""
    lock: Lock = json.loads((root / IDS_FILE.name).read_text())
    problems = [f"{name}: in the lockfile but no event class has that name" for name in lock if name not in EVENT_TYPES]
    for name, cls in EVENT_TYPES.items():
        if name not in lock:
            problems.append(f"{name}: has no schema id; run `make schemas`")
            continue
        versions = sorted(map(int, lock[name]))
        texts = [_path(root, name, version).read_text() for version in versions]
        if texts[-1] != _text(event_schema(cls)):
            problems.append(f"{name}: the class and v{versions[-1]}.avsc differ; run `make schemas`")
        for old, new in pairwise(texts):
            problems += [f"{name}: {reason}" for reason in incompatibilities(json.loads(old), json.loads(new))]
    ids = [schema_id for versions_of in lock.values() for schema_id in versions_of.values()]
    if len(ids) != len(set(ids)):
        problems.append("ids.json: one id is used twice")
    return problems


def write(*, new_version: bool, root: Path = AVRO_DIR) -> None:
    """Bring the schema files up to the classes; a changed class rewrites its newest version or starts the next."""
    lock_file = root / IDS_FILE.name
    lock: Lock = json.loads(lock_file.read_text()) if lock_file.exists() else {}
    next_id = max((i for versions in lock.values() for i in versions.values()), default=0) + 1
    for name, cls in EVENT_TYPES.items():
        text = _text(event_schema(cls))
        versions = lock.setdefault(name, {})
        version = max(map(int, versions), default=0)
        changed = version == 0 or _path(root, name, version).read_text() != text
        if version == 0 or (changed and new_version):
            version += 1
            versions[str(version)] = next_id
            next_id += 1
        path = _path(root, name, version)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    lock_file.write_text(json.dumps(lock, indent=1) + "\n")


def main() -> int:
    """Run the command; exit 1 when a check fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true")
    mode.add_argument("--write", action="store_true")
    mode.add_argument("--new-version", action="store_true")
    args = parser.parse_args()
    if not args.check:
        write(new_version=args.new_version)
    problems = check()
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
