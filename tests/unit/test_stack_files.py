"""The stack's files say what is so: compose, Prometheus, alerts and secrets, checked against the code they speak of."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict

from deploy.kafka.broker import MESSAGE_BYTES_MAX, kafka_version
from deploy.native import compose, own_services
from deploy.places import ports_of
from deploy.secrets import ALERTMANAGER, EMPTY, NAMES, make_secrets
from projections.access import READ_ROLE
from services.metrics.catalog import CATALOG, Kind
from services.secret_files import file_variable
from services.settings import OPTIONAL_SECRETS, ServiceSettings, known_variables, secret_variables
from tests.tools import approve, asked_by_prometheus

DATABASES = ("tapeline_db", "tapeline_db_read")
DEPLOY = Path(__file__).parents[2] / "deploy"
SERVICES: dict[str, dict[str, Any]] = compose()["services"]
RULES: list[dict[str, Any]] = yaml.safe_load((DEPLOY / "prometheus/rules.yml").read_text())["groups"][0]["rules"]
CASES: list[dict[str, Any]] = yaml.safe_load((DEPLOY / "prometheus/rules_test.yml").read_text())["tests"]
EVERY = [pytest.param(name, id=name) for name in SERVICES]


@pytest.mark.parametrize("name", EVERY)
def test_every_service_is_pinned_bounded_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    image, _, tag = service["image"].rpartition(":")
    assert image
    assert re.match(r"v?\d+\.\d+", tag), "an image without a version is another one tomorrow"
    assert service["mem_limit"]
    assert service["cpus"]
    assert service["restart"] in ("unless-stopped", "on-failure:5")
    assert name == "migrate" or service["healthcheck"]["test"]


@pytest.mark.parametrize("name", EVERY)
def test_ports_are_open_on_this_machine_only(name: str) -> None:
    assert all(str(port).startswith("127.0.0.1:") for port in SERVICES[name].get("ports", ()))


def test_volumes_and_secrets_are_declared_and_used() -> None:
    content = compose()
    used = {v.split(":")[0] for s in SERVICES.values() for v in s.get("volumes", ()) if not v.startswith("./")}
    assert used == set(content["volumes"])
    secrets = {name for service in SERVICES.values() for name in service.get("secrets", ())}
    assert secrets == set(content["secrets"]) == {*NAMES, *EMPTY, ALERTMANAGER, *DATABASES}
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            if volume.startswith("./"):
                assert (DEPLOY.parent / volume.split(":")[0]).exists()
        named = re.findall(r"/run/secrets/(\w+)", str(service.get("environment", {})))
        assert set(named) <= set(service.get("secrets", ()))


def test_our_services_are_given_only_variables_they_know_and_no_secret_in_the_open() -> None:
    for service in own_services(compose()).values():
        given = set(service["environment"])
        assert given <= known_variables()
        secrets = {
            str(f.validation_alias) for f in ServiceSettings.model_fields.values() if "Secret" in str(f.annotation)
        }
        assert not any(service["environment"][name] for name in given & secrets)
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]


def test_a_secret_that_is_made_empty_may_be_empty() -> None:
    given = [pair for service in own_services(compose()).values() for pair in service["environment"].items()]
    empty = {name.removesuffix("_FILE") for name, value in given if str(value).removeprefix("/run/secrets/") in EMPTY}
    assert empty == set(OPTIONAL_SECRETS)


def test_no_secret_of_env_reaches_a_service_and_each_key_is_a_file_of_the_one_that_uses_it() -> None:
    holders: dict[str, list[str]] = {}
    for name, service in own_services(compose()).items():
        for secret in secret_variables():
            assert service["environment"][secret] == "", f"{name} would be handed {secret} as .env has it"
            file = service["environment"][file_variable(secret)]
            assert file in ("", f"/run/secrets/{file.rpartition('/')[2]}")
            if file:
                holders.setdefault(secret, []).append(name)
    assert holders == {
        "TAPELINE_DB": ["migrate", "projector", "reviewer", "api"],
        "TAPELINE_DB_READ_PASSWORD": ["migrate"],
        "TAPELINE_API_TOKEN": ["api"],
        "TAPELINE_LLM_API_KEY": ["llm"],
        "TAPELINE_LLM_FALLBACK_API_KEY": ["llm"],
        "TAPELINE_CRYPTOPANIC_TOKEN": ["adapters"],
        "OKX_API_KEY": ["venue"],
        "OKX_API_SECRET": ["venue"],
        "OKX_API_PASSPHRASE": ["venue"],
    }


def test_who_only_reads_the_database_is_not_given_its_owners_password(tmp_path: Path) -> None:
    files = {name: service["environment"]["TAPELINE_DB_FILE"] for name, service in own_services(compose()).items()}
    reading = {name for name, file in files.items() if file.endswith("/tapeline_db_read")}
    assert reading == {"reviewer", "api"}
    make_secrets(tmp_path)
    read, owner = ((tmp_path / name).read_text() for name in ("tapeline_db_read", "tapeline_db_password"))
    assert owner.strip() not in read
    assert conninfo_to_dict(read.strip())["user"] == READ_ROLE


def test_our_image_runs_as_a_user_of_its_own() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER ")] == ["USER tapeline"]
    assert all(re.search(r":\d+\.\d+\.\d+", line) for line in lines if line.startswith("FROM"))


def test_the_broker_of_the_stack_is_the_broker_of_the_tests() -> None:
    kafka = SERVICES["kafka"]
    assert kafka["image"].rpartition(":")[2] == kafka_version()
    assert kafka["environment"]["KAFKA_LOG_RETENTION_MS"] == "-1"
    assert kafka["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert int(kafka["environment"]["KAFKA_MESSAGE_MAX_BYTES"]) == MESSAGE_BYTES_MAX


def test_prometheus_asks_every_service_of_ours_that_has_metrics() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    own = own_services(compose())
    assert asked_by_prometheus() == {name: port for name in own for port in ports_of(own[name])}
    told = config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert told == ["alertmanager:9093"]
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert jobs["projector"]["scrape_interval"] == config["global"]["evaluation_interval"] == "1s"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_rests_on_metrics_there_are_and_says_what_to_do(rule: dict[str, Any]) -> None:
    known = {metric.name for metric in CATALOG}
    known |= {f"{metric.name}_bucket" for metric in CATALOG if metric.kind is Kind.HISTOGRAM}
    assert set(re.findall(r"tapeline_\w+", rule["expr"])) <= known
    assert rule["labels"]["severity"] in ("page", "warn")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"].endswith(".")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_has_a_case_that_fires_and_one_that_stays_silent(rule: dict[str, Any]) -> None:
    cases = [c for case in CASES for c in case["alert_rule_test"] if c["alertname"] == rule["alert"]]
    assert any(case["exp_alerts"] for case in cases)
    assert any(not case["exp_alerts"] for case in cases)
    for alert in (alert for case in cases for alert in case["exp_alerts"]):
        assert alert["exp_labels"]["severity"] == rule["labels"]["severity"]
        assert alert["exp_annotations"]["description"] == rule["annotations"]["description"]


def test_promtool_and_amtool_agree() -> None:
    folder = DEPLOY / "prometheus"
    for words in ("test rules rules_test.yml", "check rules rules.yml", "check config --syntax-only prometheus.yml"):
        approve("promtool", *words.split(), folder=folder)
    approve("amtool", "check-config", str(DEPLOY / "alertmanager/alertmanager.yml"))


def test_secrets_are_made_once_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert set(make_secrets(folder)) == {*NAMES, *EMPTY, *DATABASES}
    before = {path.name: path.read_text() for path in folder.iterdir()}
    assert make_secrets(folder) == []
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
    assert yaml.safe_load(before.pop(ALERTMANAGER))["receivers"] == [{"name": "operator"}, {"name": "review"}]
    assert {name for name, text in before.items() if not text.strip()} == set(EMPTY), "only their owner has them"
    assert len({text for text in before.values() if text.strip()}) == len(NAMES) + len(DATABASES)
    assert before["tapeline_db_password"].strip() in before["tapeline_db"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
