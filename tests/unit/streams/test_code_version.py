"""The code version changes with everything that decides, by itself, and with nothing else."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

from streams.code_version import RELEASE, code_version, sources

ROOT = Path(__file__).parents[3]
EXAMPLE = next((ROOT / "schemas/examples/BarClosed/v1").iterdir()).relative_to(ROOT)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The sources that decide, and an example that does not."""
    for path in [*sources(), ROOT / EXAMPLE]:
        there = tmp_path / path.relative_to(ROOT)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, there)
    return tmp_path


def version(root: Path) -> str:
    code_version.cache_clear()
    return code_version(root)


def test_the_same_sources_give_the_same_version_wherever_they_are(copy: Path) -> None:
    assert version(copy) == code_version(ROOT)
    assert version(copy).startswith(f"{RELEASE}+")


@pytest.mark.parametrize(
    "name",
    ["schemas/values.py", "schemas/avro/BarClosed/v1.avsc", "streams/core/kernel.py", "streams/core/risk/sizing.py",
     "streams/pipeline.py"],
)  # fmt: skip
def test_any_change_of_what_decides_is_another_version(copy: Path, name: str) -> None:
    before = version(copy)
    path = copy / name
    path.write_bytes(path.read_bytes() + b"\n")
    assert version(copy) != before


def test_a_file_moved_or_added_is_another_version(copy: Path) -> None:
    before = version(copy)
    (copy / "streams/core/signals/new.py").write_text("")
    added = version(copy)
    (copy / "streams/core/signals/new.py").rename(copy / "streams/core/signals/other.py")
    assert len({before, added, version(copy)}) == 3


def test_an_example_and_a_service_decide_nothing(copy: Path) -> None:
    before = version(copy)
    example = copy / EXAMPLE
    example.write_text(example.read_text() + "\n")
    (copy / "services").mkdir()
    (copy / "services/new.py").write_text("")
    assert version(copy) == before


def test_the_release_is_that_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == RELEASE
