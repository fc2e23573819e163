"""The local broker's script where no broker has to run: what is missing, whose pid it is, what it would start with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy.kafka import broker as script
from deploy.kafka.broker import LocalBroker, answers, free_port, kafka_version, main, missing_tools
from tests.kafka_fixture import require_kafka


def test_runs_kafka_4() -> None:
    assert kafka_version().startswith("4.")


def test_names_what_is_missing_without_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)

    assert "java" in str(missing_tools())


def test_without_maven_the_cached_jars_will_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("TAPELINE_CACHE", str(tmp_path / "cache"))
    assert "mvn" in str(missing_tools())

    script._jar_folder().mkdir(parents=True)

    assert missing_tools() is None


def test_a_missing_broker_skips_a_test_here_and_fails_it_under_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.kafka_fixture.missing_tools", lambda: "no java")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="KAFKA TESTS NOT RUN: no java"):
        require_kafka()

    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="KAFKA TESTS NOT RUN: no java"):
        require_kafka()


def test_the_pid_of_another_process_is_not_taken_for_the_broker(tmp_path: Path) -> None:
    (tmp_path / "broker.pid").write_text(str(os.getpid()))
    broker = LocalBroker(tmp_path)

    assert broker.pid is None
    broker.stop()
    assert not (tmp_path / "broker.pid").exists()


def test_status_says_when_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--data", str(tmp_path)]) == 1
    assert "not running" in capsys.readouterr().out


def test_a_port_nobody_listens_on_does_not_answer() -> None:
    assert not answers(free_port(), seconds=0.2)


def test_the_port_is_chosen_once_and_kept(tmp_path: Path) -> None:
    first = LocalBroker(tmp_path)._configure()

    assert LocalBroker(tmp_path)._configure() == first
    assert LocalBroker(tmp_path).address == f"127.0.0.1:{first}"


def test_it_listens_on_loopback_and_deletes_nothing(tmp_path: Path) -> None:
    LocalBroker(tmp_path, flush=True)._configure()
    lines = dict(line.split("=", 1) for line in (tmp_path / "server.properties").read_text().splitlines())

    assert all("127.0.0.1" in listener for listener in lines["listeners"].split(","))
    assert lines["log.retention.ms"] == "-1"
    assert lines["auto.create.topics.enable"] == "false"
    assert lines["log.flush.interval.messages"] == "1"
