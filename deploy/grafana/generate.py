"""Write Grafana's dashboard files from ``boards.py``, or check them: ``python -m deploy.grafana.generate --write``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from deploy.grafana.boards import BOARDS, Board, Panel

FOLDER = Path(__file__).with_name("dashboards")
POSTGRES = {"type": "grafana-postgresql-datasource", "uid": "tapeline-postgres"}
PROMETHEUS = {"type": "prometheus", "uid": "tapeline-prometheus"}
WIDTH = 24
HEIGHT = 8


def files() -> dict[Path, str]:
    """Return the text of every dashboard file."""
    return {FOLDER / f"{board.name}.json": json.dumps(_board(board), indent=1) + "\n" for board in BOARDS}


def _board(board: Board) -> dict[str, Any]:
    return {
        "uid": f"tapeline-{board.name}",
        "title": board.title,
        "tags": ["tapeline"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "timezone": "utc",
        "refresh": "10s",
        "time": {"from": "now-24h", "to": "now"},
        "panels": _placed(board.panels),
    }


def _placed(panels: tuple[Panel, ...]) -> list[dict[str, Any]]:
    """Lay the panels out in rows, from left to right."""
    placed, x, y = [], 0, 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > WIDTH:
            x, y = 0, y + HEIGHT
        placed.append(_panel(panel, number, {"x": x, "y": y, "w": panel.width, "h": HEIGHT}))
        x += panel.width
    return placed


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    source = PROMETHEUS if panel.prometheus else POSTGRES
    return {
        "id": number,
        "title": panel.title,
        "type": panel.view.value,
        "datasource": source,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "options": {},
        "targets": [_target(panel, source)],
    }


def _target(panel: Panel, source: dict[str, str]) -> dict[str, Any]:
    if panel.prometheus:
        return {"refId": "A", "datasource": source, "expr": panel.query, "legendFormat": panel.legend}
    shape = "time_series" if panel.is_series else "table"
    return {"refId": "A", "datasource": source, "rawQuery": True, "editorMode": "code", "format": shape,
            "rawSql": panel.query}  # fmt: skip


def main() -> int:
    """Write the files (``--write``) or exit 1 when they are not what the boards say (``--check``)."""
    if sys.argv[1:] == ["--write"]:
        FOLDER.mkdir(exist_ok=True)
        for path, text in files().items():
            path.write_text(text, encoding="utf-8")
        return 0
    if sys.argv[1:] != ["--check"]:
        print("usage: python -m deploy.grafana.generate --write|--check", file=sys.stderr)
        return 2
    there = {path: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.json"))}
    if there == files():
        return 0
    print("dashboards differ from boards.py; run: python -m deploy.grafana.generate --write", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
