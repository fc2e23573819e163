"""The compose file has the shape Docker Compose takes: every key is one it knows, every value of a kind it reads.

The rules are those of the Compose specification for what the file uses; a new key needs its line here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.native import COMPOSE, compose

CONTENT = compose()
SERVICES: dict[str, dict[str, Any]] = CONTENT["services"]
DURATION = re.compile(r"(\d+(\.\d+)?(us|ms|s|m|h))+")
BYTES = re.compile(r"\d+(b|k|m|g|kb|mb|gb)", re.IGNORECASE)
NAME = re.compile(r"[a-zA-Z0-9._-]+")
PORT = re.compile(r"(\d{1,3}(\.\d{1,3}){3}:)?\d+:\d+(/tcp|/udp)?")
VOLUME = re.compile(r"(\./[\w./-]+|[a-z][\w-]*):/[\w./-]+(:ro|:rw)?")
CONDITIONS = ("service_started", "service_healthy", "service_completed_successfully")
RESTART = re.compile(r"no|always|unless-stopped|on-failure(:\d+)?")


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _each(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: _texts(value) and all(pattern.fullmatch(each) for each in value)


def _health(value: Any) -> bool:
    known = {"test", "interval", "timeout", "retries", "start_period"}
    times = all(DURATION.fullmatch(value[name]) for name in ("interval", "timeout", "start_period"))
    return set(value) <= known and times and value["test"][0] in ("CMD", "CMD-SHELL") and _texts(value["test"])


def _build(value: Any) -> bool:
    return set(value) <= {"context", "dockerfile"} and all(isinstance(each, str) for each in value.values())


def _environment(value: Any) -> bool:
    return all(NAME.fullmatch(name) and isinstance(each, str) for name, each in value.items())


def _env_file(value: Any) -> bool:
    return all(set(each) == {"path", "required"} and isinstance(each["required"], bool) for each in value)


def _depends(value: Any) -> bool:
    return all(set(each) == {"condition"} and each["condition"] in CONDITIONS for each in value.values())


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


KEYS: dict[str, Callable[[Any], bool]] = {
    "image": _matches(re.compile(r"[\w./-]+:[\w.-]+")),
    "build": _build,
    "command": _texts,
    "environment": _environment,
    "env_file": _env_file,
    "restart": _matches(RESTART),
    "init": _flag,
    "read_only": _flag,
    "tmpfs": _each(re.compile(r"/[\w/]+")),
    "cap_drop": _each(re.compile(r"[A-Z_]+")),
    "security_opt": _each(re.compile(r"[\w-]+:\w+")),
    "secrets": _each(NAME),
    "stop_grace_period": _matches(DURATION),
    "user": _matches(re.compile(r"\d+(:\d+)?")),
    "ports": _each(PORT),
    "expose": _each(re.compile(r"\d+")),
    "volumes": _each(VOLUME),
    "shm_size": _matches(BYTES),
    "mem_limit": _matches(BYTES),
    "cpus": lambda value: isinstance(value, int | float) and value > 0,
    "depends_on": _depends,
    "healthcheck": _health,
}


@pytest.mark.parametrize("name", SERVICES)
def test_every_key_of_a_service_is_known_and_its_value_of_a_kind_compose_reads(name: str) -> None:
    service = SERVICES[name]
    assert NAME.fullmatch(name)
    assert not set(service) - set(KEYS), "a key compose may not know"
    wrong = {key: value for key, value in service.items() if not KEYS[key](value)}
    assert wrong == {}


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_runs_as_root(name: str) -> None:
    """Ours run as the image's user, which test_stack_files looks at; the others as their image's, by number."""
    user = SERVICES[name].get("user", "")
    if "build" in SERVICES[name]:
        assert user == "", "the image says it"
    else:
        assert user.partition(":")[0] not in ("", "0")


def test_a_worker_may_be_started_more_than_once() -> None:
    worker = SERVICES["worker"]
    assert "--worker-id" not in worker["command"], "two containers of one name take the shard from each other"
    assert not {"ports", "container_name", "hostname", "volumes"} & set(worker), "something only one of them can have"


def test_the_top_level_has_what_it_declares_and_extensions() -> None:
    assert {key for key in CONTENT if not key.startswith("x-")} == {"name", "services", "volumes", "secrets"}
    assert all(value is None for value in CONTENT["volumes"].values()), "named volumes with the default driver"
    assert all(set(value) == {"file"} for value in CONTENT["secrets"].values())


def test_dependencies_exist_can_be_waited_for_and_make_no_circle() -> None:
    waits = {name: service.get("depends_on", {}) for name, service in SERVICES.items()}
    for name, depends in waits.items():
        for other, how in depends.items():
            assert other in SERVICES, f"{name} waits for {other}"
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{name} waits for the health of {other}, which has no check"
            if how["condition"] == "service_completed_successfully":
                assert SERVICES[other]["restart"].startswith("on-failure"), f"{other} would be started again for ever"
    done: set[str] = set()
    completed = {
        other
        for depends in waits.values()
        for other, how in depends.items()
        if how["condition"] == "service_completed_successfully"
    }
    ends = {name for name, service in SERVICES.items() if "healthcheck" not in service}
    assert ends == completed, "`up --wait` takes the end of a service for a failure unless another waits for just that"
    while ready := {name for name, depends in waits.items() if name not in done and set(depends) <= done}:
        done |= ready
    assert done == set(SERVICES), "services that wait for each other"


def test_docker_compose_itself_reads_the_file(tmp_path: Path) -> None:
    """`config` needs the program only, no engine; it reads the file by the schema and puts it together."""
    command = ["docker", "compose"]
    if shutil.which("docker") is None or subprocess.run([*command, "version"], capture_output=True).returncode:
        pytest.skip("DOCKER COMPOSE IS NOT INSTALLED: the compose file is read by our own rules only")
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(COMPOSE.read_text(encoding="utf-8").replace("mem_limit:", "mem_limt:", 1), encoding="utf-8")
    for file, taken in ((COMPOSE, True), (wrong, False)):
        done = subprocess.run([*command, "-f", str(file), "config", "--quiet"], capture_output=True, text=True)
        assert (done.returncode == 0) is taken, done.stderr


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mem_limit", "1 gigabyte"),
        ("ports", ["8000:8000:8000:8000"]),
        ("restart", "sometimes"),
        ("environment", {"A": 1}),
        ("healthcheck", {"test": ["tapeline"], "interval": "5s", "timeout": "3s", "start_period": "1s"}),
        ("depends_on", {"kafka": {"condition": "healthy"}}),
        ("volumes", ["kafka"]),
        ("user", "root"),
    ],
)
def test_the_rules_refuse_what_compose_would(key: str, value: Any) -> None:
    assert not KEYS[key](value)
