"""The dependency audit: fails for a known vulnerability, accepts a listed one, and never calls the unknown clean."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from deploy import audit
from deploy.audit import ACCEPTED, NotAudited, ask, judge, main, read_accepted

CLEAN = {"name": "idna", "version": "3.10", "vulns": []}
UNKNOWN = {"name": "faust-streaming", "skip_reason": "Dependency not found and could not be audited"}
FLAW = {"id": "PYSEC-2018-34", "fix_versions": ["2.20.0"], "aliases": ["CVE-2018-18074"], "description": "words"}
FLAWED = {"name": "requests", "version": "2.19.0", "vulns": [FLAW]}


def _report(*packages: dict[str, Any]) -> dict[str, Any]:
    return {"dependencies": list(packages), "fixes": []}


def _tool(folder: Path, script: str) -> Path:
    """Put a pip-audit of the test's own into an environment."""
    tool = folder / "bin" / "pip-audit"
    tool.parent.mkdir(parents=True)
    tool.write_text(f"#!{sys.executable}\n{script}\n")
    tool.chmod(0o755)
    return folder


def test_a_known_vulnerability_is_named_with_the_version_that_mends_it() -> None:
    found = judge(_report(CLEAN, FLAWED), {})
    assert found.open == ["requests 2.19.0: PYSEC-2018-34, fixed in 2.20.0"]
    assert "2 of 2 packages checked" in found.words()


@pytest.mark.parametrize("identity", ["PYSEC-2018-34", "CVE-2018-18074"])
def test_a_listed_one_passes_with_its_reason_under_either_name(identity: str) -> None:
    found = judge(_report(FLAWED), read_accepted(f"# why\n{identity} only our own hosts are asked\n"))
    assert found.open == []
    assert found.accepted == ["requests 2.19.0: PYSEC-2018-34 (only our own hosts are asked)"]


def test_what_nobody_answered_for_is_said_loudly_and_not_counted_as_checked() -> None:
    words = judge(_report(CLEAN, UNKNOWN), {}).words()
    assert "1 of 2 packages checked" in words
    assert "NOT AUDITED" in words
    assert "faust-streaming" in words


def test_an_exception_without_a_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="CVE-1 is listed without a reason"):
        read_accepted("CVE-1 \n")
    read_accepted(ACCEPTED.read_text())


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("print('no JSON')", "gave no report"),
        ("import sys; sys.exit('no route to host')", "gave no report"),
        ("import sys; sys.exit(3)", "ended with 3"),
        ("import time; time.sleep(60)", "timed out"),
        ("print('{\"dependencies\": []}')", "looked at no package"),
    ],
)
def test_a_source_that_gives_no_answer_is_not_audited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, says: str
) -> None:
    monkeypatch.setattr(audit, "AUDIT_S", 1 if "sleep" in script else 30)
    with pytest.raises(NotAudited, match=says):
        ask(tmp_path / "lock", _tool(tmp_path / "tool", script))


def test_the_command_fails_for_a_vulnerability_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(lambda: _report(FLAWED)) == 1
    assert main(lambda: _report(CLEAN)) == 0
    assert main(lambda: _report(UNKNOWN)) == 0

    def away() -> dict[str, Any]:
        raise NotAudited("no route to host")

    assert main(away) == 0
    assert "NOT AUDITED, no advisory source can be asked from here: no route to host" in capsys.readouterr().err
