"""The words of the compose file as this machine has them: nothing is left out, and what names nothing is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.native import ROOT, Stack, compose, own_services
from deploy.places import Places, UnknownPlace, ports_of
from deploy.tools import PORTS, health_command, kafka_properties, tool_command

SERVICES: dict[str, dict[str, Any]] = compose()["services"]


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Places on ports 1000 above the compose file's."""
    made = Places(SERVICES, ROOT, tmp_path)
    made.choose_ports(None)
    made.ports = {place: port + 1000 for place, port in made.ports.items()}
    made.ports |= {("kafka", 9092): 9192, ("kafka", 9093): 9193}
    return made


@pytest.mark.parametrize(
    ("service", "there", "here"),
    [
        ("worker", "kafka://kafka:9092", "kafka://127.0.0.1:9192"),
        ("worker", "http://127.0.0.1:9101/metrics", "http://127.0.0.1:10101/metrics"),
        ("reviewer", "http://alertmanager:9093", "http://127.0.0.1:10093"),
        ("kafka", "1@kafka:9093", "1@127.0.0.1:9193"),
        ("kafka", "PLAINTEXT://:9092,CONTROLLER://:9093", "PLAINTEXT://127.0.0.1:9192,CONTROLLER://127.0.0.1:9193"),
        ("kafka", "localhost:9092", "127.0.0.1:9192"),
        ("projector", "/run/secrets/tapeline_db", "{folder}/secrets/tapeline_db"),
        ("projector", "/var/lib/kafka/data", "{folder}/kafka/kafka"),
        ("prometheus", "--config.file=/etc/prometheus/p.yml", "--config.file={folder}/prometheus/config/p.yml"),
        ("prometheus", "--storage.tsdb.path=/prometheus", "--storage.tsdb.path={folder}/prometheus/data"),
        ("worker", "https://api.example.com:443/a", "https://api.example.com:443/a"),
        ("worker", "PLAINTEXT:PLAINTEXT", "PLAINTEXT:PLAINTEXT"),
    ],
)  # fmt: skip
def test_a_word_is_translated(places: Places, service: str, there: str, here: str) -> None:
    assert places.text(service, there) == here.format(folder=places.folder)


@pytest.mark.parametrize("words", ["http://api:8001", "http://127.0.0.1:8000/health", "alertmanager:9094"])
def test_an_address_nobody_serves_is_an_error(places: Places, words: str) -> None:
    with pytest.raises(UnknownPlace, match="serves no port"):
        places.text("worker", words)


def test_kafka_gets_every_variable_as_the_property_it_is(places: Places) -> None:
    properties = kafka_properties(places)
    assert len(properties) == len(SERVICES["kafka"]["environment"]) - len(("CLUSTER_ID", "KAFKA_HEAP_OPTS"))
    assert properties["process.roles"] == "broker,controller"
    assert properties["advertised.listeners"] == "PLAINTEXT://127.0.0.1:9192"
    assert properties["log.dirs"] == str(places.folder / "kafka" / "kafka")


@pytest.mark.parametrize("name", PORTS)
def test_a_tool_gets_every_flag_of_its_own(places: Places, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.tools.shutil.which", lambda program: f"/usr/bin/{program}")
    command = tool_command(places, name)
    assert command is not None
    flags = [word.partition("=")[0] for word in SERVICES[name]["command"]]
    assert [word.partition("=")[0] for word in command][1 : len(flags) + 1] == flags
    assert f"--web.listen-address=127.0.0.1:{PORTS[name] + 1000}" in command


@pytest.mark.parametrize("name", [name for name in SERVICES if "healthcheck" in SERVICES[name] and name != "grafana"])
def test_a_health_check_keeps_its_words(places: Places, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.tools.shutil.which", lambda program, path=None: f"/usr/bin/{program}")
    command = health_command(places, name)
    assert command is not None
    kind, *words = SERVICES[name]["healthcheck"]["test"]
    expected = [places.text(name, word) for word in words[1 if kind == "CMD" else 0 :]]
    assert command[-len(expected) :] == expected


def test_a_health_check_without_its_program_is_said(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.tools.shutil.which", lambda program, path=None: None)
    stack = Stack(places)
    assert stack.healthy("prometheus")
    assert stack.unchecked == ["prometheus"]


def test_prometheus_is_told_where_every_service_is_here(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.tools.shutil.which", lambda program: f"/usr/bin/{program}")
    assert tool_command(places, "prometheus") is not None
    text = (places.folder / "prometheus" / "config" / "prometheus.yml").read_text()
    for name, service in own_services(compose()).items():
        for port in ports_of(service):
            assert f"- 127.0.0.1:{port + 1000}\n" in text, name
    assert f"{places.folder}/prometheus/config/rules.yml" in text
    assert "/etc/prometheus" not in text
