"""Commands that are shown can be typed as they stand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from services.commands.demo import further
from services.program import program


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with an environment that has the program, and is not on the PATH."""
    scripts = tmp_path / ".venv" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "tapeline").write_text("#!/bin/sh\n")
    (scripts / "tapeline").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    return tmp_path


@pytest.mark.parametrize("absolute", [False, True])
def test_a_program_the_shell_does_not_find_is_shown_with_its_path(
    home: Path, monkeypatch: pytest.MonkeyPatch, absolute: bool
) -> None:
    monkeypatch.setattr(sys, "argv", [str(home / ".venv/bin/tapeline") if absolute else ".venv/bin/tapeline", "demo"])
    assert program() == ".venv/bin/tapeline"
    assert all(line.startswith(".venv/bin/tapeline ") for line in further("sqlite:///x.db", Path("var/demo")))
    monkeypatch.chdir(home / ".venv")
    monkeypatch.setattr(sys, "argv", [str(home / ".venv/bin/tapeline")])
    assert program() == "bin/tapeline"


def test_a_program_on_the_path_is_shown_by_its_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(home / ".venv/bin/tapeline")])
    monkeypatch.setenv("PATH", str(home / ".venv/bin"))
    assert program() == "tapeline"


def test_a_program_started_as_a_module_is_shown_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/services/cli.py"])
    monkeypatch.setattr(sys, "executable", str(home / ".venv/bin/python"))
    assert program() == ".venv/bin/python -m services.cli"
