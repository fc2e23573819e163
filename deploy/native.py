"""Run the stack of ``docker-compose.kafka.yml`` without Docker: the same services, commands, variables and checks.

    python -m deploy.native [--folder DIR] [--free-ports]

Kafka comes from Maven, PostgreSQL from a wheel, Prometheus and Alertmanager from the system where they are installed.
What has no program here (Grafana, or those two) is named and left out. Ctrl-C stops everything, last started first.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import yaml

from deploy.kafka.broker import BrokerError, LocalBroker, free_port
from deploy.secrets import make_secrets
from projections.connect import ProjectionError
from projections.embedded import EmbeddedPostgres
from schemas.settings import SettingsError
from services.settings import load_settings

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "docker-compose.kafka.yml"
SECRETS = "/run/secrets"
KAFKA_DATA = "/var/lib/kafka/data"
HEALTHY_S = 90.0
STOP_S = 40.0
POLL_S = 0.1
ONE_SHOT = ("migrate",)
"""Services that do their work and end."""
OUTSIDE = ("market",)
"""Services that cannot do without a machine elsewhere: the stack does not wait for them and starts them again."""
RESTART_S = 5.0


class StackError(Exception):
    """The stack cannot be started; names the service and its log."""


@dataclass
class Stack:
    """A running stack. ``ports``: where each port of the compose file is here. ``missing``: what is left out."""

    folder: Path
    ports: dict[int, int]
    missing: list[str] = field(default_factory=list)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    again: dict[str, Callable[[], None]] = field(default_factory=dict)
    due: dict[str, float] = field(default_factory=dict)

    def url(self, port: int, path: str = "") -> str:
        """Return the URL of a port of the compose file."""
        return f"http://127.0.0.1:{self.ports[port]}{path}"

    def log_of(self, service: str) -> Path:
        """Return the file a service logs to."""
        return self.folder / f"{service}.log"

    def check(self) -> None:
        """Raise StackError when a service has ended; one that needs the outside is started again after a pause."""
        for name, process in list(self.processes.items()):
            if process.poll() is None:
                continue
            if name not in OUTSIDE:
                raise StackError(f"{name} ended with exit code {process.returncode}; see {self.log_of(name)}")
            if time.monotonic() >= self.due.setdefault(name, time.monotonic() + RESTART_S):
                del self.due[name]
                self.again[name]()


def compose() -> dict[str, Any]:
    """Return the compose file."""
    content: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return content


def own_services(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the services that run our image, in the order of the file, which is the order of their dependencies."""
    return {name: service for name, service in content["services"].items() if "build" in service}


@contextmanager
def running(folder: Path, *, free_ports: bool = False) -> Iterator[Stack]:
    """Start the stack, wait until every health check passes, stop it at the end. Raises StackError, BrokerError."""
    content = compose()
    folder.mkdir(parents=True, exist_ok=True)
    ports = {port: free_port() if free_ports else port for port in _ports(content)}
    stack = Stack(folder, ports)
    with ExitStack() as ending:
        broker = LocalBroker((folder / "kafka").absolute())
        ending.callback(broker.stop)
        kafka = broker.start().address
        database = ending.enter_context(EmbeddedPostgres(folder / "postgres"))
        make_secrets(folder / "secrets", dsn=database.dsn, telling=load_settings().service)
        ending.callback(_stop, stack)
        for name, service in own_services(content).items():
            _start(stack, name, service, kafka)
        for name in ("alertmanager", "prometheus"):
            _start_tool(stack, name)
        stack.missing += [name for name in content["services"] if name == "grafana"]
        yield stack


def _ports(content: Mapping[str, Any]) -> list[int]:
    found = []
    for service in content["services"].values():
        found += [int(str(port).rpartition(":")[2]) for port in (*service.get("ports", ()), *service.get("expose", ()))]
    return found


def _start(stack: Stack, name: str, service: Mapping[str, Any], kafka: str) -> None:
    arguments = [str(stack.ports[int(a)]) if a.isdigit() and int(a) in stack.ports else a for a in service["command"]]
    environment = {
        key: str(value)
        .replace("kafka:9092", kafka)
        .replace(SECRETS, str((stack.folder / "secrets").absolute()))
        .replace(KAFKA_DATA, str((stack.folder / "kafka").absolute()))
        .replace("alertmanager:9093", f"127.0.0.1:{stack.ports[9093]}")
        for key, value in service.get("environment", {}).items()
    }
    arguments = ["127.0.0.1" if argument == "0.0.0.0" else argument for argument in arguments]
    environment["TAPELINE_METRICS_HOST"] = "127.0.0.1"
    command = [sys.executable, "-m", "services.cli", *arguments]
    process = _spawn(stack, name, command, environment)
    if name in OUTSIDE:
        stack.again[name] = lambda: _start(stack, name, service, kafka)
    elif name in ONE_SHOT:
        _await_end(stack, name, process)
    else:
        _await_health(stack, name, service["healthcheck"]["test"])


def _spawn(stack: Stack, name: str, command: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with stack.log_of(name).open("ab") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env={**os.environ, **environment},
            start_new_session=True,
        )  # fmt: skip
    stack.processes[name] = process
    return process


def _await_end(stack: Stack, name: str, process: subprocess.Popen[bytes]) -> None:
    try:
        code = process.wait(HEALTHY_S)
    except subprocess.TimeoutExpired as error:
        raise StackError(f"{name} did not end in {HEALTHY_S:.0f} s; see {stack.log_of(name)}") from error
    if code:
        raise StackError(f"{name} ended with exit code {code}; see {stack.log_of(name)}")
    del stack.processes[name]


def _await_health(stack: Stack, name: str, test: list[str]) -> None:
    """Run a service's own health check until it passes, with the port it has here."""
    words = [word if word != "tapeline" else f"{sys.executable} -m services.cli" for word in test[1:]]
    for port, here in stack.ports.items():
        words = [word.replace(f":{port}/", f":{here}/") for word in words]
    deadline = time.monotonic() + HEALTHY_S
    while time.monotonic() < deadline:
        stack.check()
        command = [part for word in words for part in (word.split() if sys.executable in word else [word])]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return
        time.sleep(POLL_S)
    raise StackError(f"{name}: its health check did not pass in {HEALTHY_S:.0f} s; see {stack.log_of(name)}")


def _start_tool(stack: Stack, name: str) -> None:
    """Start Prometheus or Alertmanager with the stack's own configuration, where it is installed."""
    program = shutil.which(name) or shutil.which(f"prometheus-{name}")
    if program is None:
        stack.missing.append(name)
        return
    there = stack.folder / name
    file = stack.folder / "secrets" / name if name == "alertmanager" else _prometheus_config(stack, there)
    listen = stack.ports[9090 if name == "prometheus" else 9093]
    store = "storage.tsdb.path" if name == "prometheus" else "storage.path"
    arguments = [f"--config.file={file}", f"--{store}={there / 'data'}", f"--web.listen-address=127.0.0.1:{listen}"]
    if name == "alertmanager":
        arguments.append("--cluster.listen-address=")
    _spawn(stack, name, [program, *arguments], {})
    _await_port(stack, name, listen)


def _prometheus_config(stack: Stack, there: Path) -> Path:
    shutil.copytree(ROOT / "deploy" / "prometheus", there, dirs_exist_ok=True)
    file = there / "prometheus.yml"
    text = file.read_text(encoding="utf-8").replace("/etc/prometheus", str(there.absolute()))
    for service, port in _targets(text):
        text = text.replace(f"{service}:{port}", f"127.0.0.1:{stack.ports[int(port)]}")
    file.write_text(text, encoding="utf-8")
    return file


def _targets(text: str) -> list[tuple[str, str]]:
    """Return every ``service:port`` that Prometheus is told of."""
    return [(found[1], found[2]) for found in re.finditer(r"\"([a-z]+):(\d+)\"", text)]


def _await_port(stack: Stack, name: str, port: int) -> None:
    deadline = time.monotonic() + HEALTHY_S
    while time.monotonic() < deadline:
        stack.check()
        with socket.socket() as client:
            client.settimeout(1.0)
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(POLL_S)
    raise StackError(f"{name} did not listen on port {port}; see {stack.log_of(name)}")


def _stop(stack: Stack) -> None:
    """Ask each service to end, last started first, and end what does not."""
    for process in reversed(stack.processes.values()):
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main() -> int:
    """Run the stack until told to stop; 1: a service ended, 2: a setting is wrong, 3: something is missing."""
    parser = argparse.ArgumentParser(description="The stack of docker-compose.kafka.yml without Docker.")
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "native", help="data and logs")
    parser.add_argument("--free-ports", action="store_true", help="take free ports instead of the compose file's")
    chosen = parser.parse_args()
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        with running(chosen.folder, free_ports=chosen.free_ports) as stack:
            print(f"API {stack.url(8000, '/docs')}, logs in {stack.folder}; Ctrl-C stops", flush=True)
            if stack.missing:
                print(f"NOT RUNNING, no program on this machine: {', '.join(stack.missing)}", flush=True)
            while not stopped.wait(1.0):
                stack.check()
    except (BrokerError, ProjectionError) as error:
        print(f"stack: {error}", file=sys.stderr)
        return 3
    except SettingsError as error:
        print(f"stack: {error}", file=sys.stderr)
        return 2
    except StackError as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
