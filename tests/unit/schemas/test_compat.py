"""A change that an old reader or an old log cannot take is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import AVRO_DIR
from schemas.compat import incompatibilities
from schemas.generate import check


def trade() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((AVRO_DIR / "Trade" / "v1.avsc").read_text())
    return loaded


def field(schema: dict[str, Any], name: str) -> dict[str, Any]:
    return next(entry for entry in schema["fields"] if entry["name"] == name)


def test_an_unchanged_schema_and_an_optional_field_are_compatible() -> None:
    newer = trade()
    newer["fields"].append({"name": "venue", "type": "string", "default": ""})
    assert incompatibilities(trade(), trade()) == []
    assert incompatibilities(trade(), newer) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: s["fields"].append({"name": "venue", "type": "string"}), ".venue: added without a default"),
        (lambda s: s["fields"].remove(field(s, "trade_id")), ".trade_id: removed"),
        (lambda s: field(s, "last_price")["type"].update(scale=8), ".last_price: type decimal became decimal"),
        (lambda s: field(s, "trade_id").update(type="long"), ".trade_id: type string became long"),
        (lambda s: field(s, "side")["type"]["symbols"].remove("SELL"), ".side: enum symbol SELL removed"),
        (lambda s: field(s, "side")["type"]["symbols"].append("BOTH"), ".side: enum symbol BOTH added"),
        (lambda s: s.update(name="Print"), "record Trade became Print"),
    ],
)
def test_an_incompatible_change_is_named(change: Any, reason: str) -> None:
    newer = copy.deepcopy(trade())
    change(newer)
    assert any(reason in found for found in incompatibilities(trade(), newer))


def test_the_committed_schemas_pass_the_check_that_ci_runs() -> None:
    assert check() == []


def test_the_check_that_ci_runs_refuses_an_incompatible_second_version(tmp_path: Path) -> None:
    for path in AVRO_DIR.rglob("*"):
        if path.is_file():
            target = tmp_path / path.relative_to(AVRO_DIR)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(path.read_text())
    older = trade()
    older["fields"] = [entry for entry in older["fields"] if entry["name"] != "trade_id"]
    (tmp_path / "Trade" / "v1.avsc").write_text(json.dumps(older))
    (tmp_path / "Trade" / "v2.avsc").write_text((AVRO_DIR / "Trade" / "v1.avsc").read_text())
    ids = json.loads((AVRO_DIR / "ids.json").read_text())
    ids["Trade"]["2"] = 9999
    (tmp_path / "ids.json").write_text(json.dumps(ids))
    assert check(tmp_path) == ["Trade: .trade_id: added without a default, old logs do not have it"]
