"""The make targets for the Docker stack name what there is: the file, services, folders, and commands we have."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.native import COMPOSE, ROOT, compose, own_services
from tests.compose_run import lines_of, runs_of

SERVICES = compose()["services"]
TARGETS = ("up", "down", "migrate", "backup-stack", "restore-stack")


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_asks_compose_for_the_stack_by_its_name_and_file(target: str) -> None:
    asked = [words for words in lines_of(target, STACK="second", BACKUP="var/b") if words[0] == "docker"]
    assert asked
    for words in asked:
        assert words[:6] == ["docker", "compose", "-p", "second", "-f", COMPOSE.name]


def test_a_copy_goes_into_a_folder_the_container_may_write_to_and_comes_from_one_it_may_only_read() -> None:
    lines = lines_of("backup-stack", BACKUP="var/b")
    (copy,) = runs_of(lines)
    made = lines.index(["install", "-d", "-m", "777", "var/b"])
    closed = lines.index(["chmod", "755", "var/b"])
    assert made < closed - 1
    assert copy.mounts == {"/backup": str(ROOT / "var" / "b")}
    assert copy.writable == {"/backup"}
    assert copy.arguments == ("log", "export", "/backup")
    back, *rest = runs_of(lines_of("restore-stack", BACKUP="var/b"))
    assert (back.arguments, back.mounts, back.writable) == (("log", "import", "/backup"), copy.mounts, frozenset())
    assert [run.arguments for run in rest] == [("projector", "--once"), ("replay", "verify")]
    for run in (copy, back, *rest):
        assert run.service in own_services(compose())
        assert not set(run.mounts) & {volume.split(":")[1] for volume in SERVICES[run.service].get("volumes", ())}


def test_what_is_restored_starts_what_it_needs() -> None:
    """`compose run` starts the services that the one named waits for, and no other."""
    runs = runs_of(lines_of("restore-stack", BACKUP="var/b"))
    started = {other for run in runs for other in SERVICES[run.service].get("depends_on", {})}
    started |= {other for name in started for other in SERVICES[name].get("depends_on", {})}
    assert started == {"kafka", "timescaledb", "migrate"}, "nothing that would write to the log"


def test_a_restore_without_a_copy_stops_before_docker_makes_a_folder_of_it() -> None:
    lines = lines_of("restore-stack", BACKUP="var/none")
    first = next(n for n, words in enumerate(lines) if words[0] == "docker")
    assert ["test", "-f", "var/none/manifest.json"] in lines[:first]
    assert not Path(ROOT / "var" / "none").exists()


def test_the_number_of_workers_is_the_one_asked_for() -> None:
    for workers in ("1", "2"):
        given = {} if workers == "1" else {"WORKERS": workers}
        (words,) = [words for words in lines_of("up", **given) if words[0] == "docker"]
        assert words[-2:] == ["--scale", f"worker={workers}"]
