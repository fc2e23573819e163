"""Run the stack of ``docker-compose.kafka.yml`` without Docker: the same services, commands, variables and checks.

    python -m deploy.native [--folder DIR] [--free-ports]

Kafka comes from Maven, PostgreSQL from a wheel, Prometheus and Alertmanager from the system where they are installed.
What has no program here (Grafana, or those two) is named and left out. Ctrl-C stops everything, last started first.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import yaml

from deploy.kafka.broker import BrokerError, free_port
from deploy.places import Places, UnknownPlace
from deploy.secrets import make_secrets
from deploy.tools import (
    PORTS,
    create_database,
    health_command,
    health_environment,
    kafka_broker,
    tool_command,
    write_kafka_scripts,
)
from projections.connect import ProjectionError
from projections.embedded import EmbeddedPostgres
from schemas.settings import SettingsError
from services.settings import load_settings

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "docker-compose.kafka.yml"
HEALTHY_S = 90.0
STOP_S = 40.0
POLL_S = 0.1
OUTSIDE = ("market",)
"""Services that cannot do without a machine elsewhere: the stack goes on without them and starts them again."""
RESTART_S = 5.0


class StackError(Exception):
    """The stack cannot be started; names the service and its log."""


@dataclass
class Stack:
    """A running stack. ``missing``: what is left out; ``unchecked``: health checks whose program is not here."""

    places: Places
    missing: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    due: dict[str, float] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        """Data, secrets and logs."""
        return self.places.folder

    @property
    def ports(self) -> dict[int, int]:
        """Where each port of a service of ours, Prometheus and Alertmanager is here."""
        return {there: here for (name, there), here in self.places.ports.items() if name != "kafka"}

    def url(self, port: int, path: str = "") -> str:
        """Return the URL of a port of the compose file."""
        return f"http://127.0.0.1:{self.ports[port]}{path}"

    def log_of(self, service: str) -> Path:
        """Return the file a service logs to."""
        return self.folder / f"{service}.log"

    def check(self) -> None:
        """Raise StackError when a service has ended; one that needs the outside is started again after a pause."""
        for name, process in list(self.processes.items()):
            code = process.poll()
            if code is None:
                continue
            if "healthcheck" not in self.places.services[name] and code == 0:  # it has done its work
                del self.processes[name]
            elif name in OUTSIDE:
                self._start_again(name, code)
            else:
                raise StackError(f"{name} ended with exit code {code}; see {self.log_of(name)}")

    def _start_again(self, name: str, code: int) -> None:
        if name not in self.due:
            self.due[name] = time.monotonic() + RESTART_S
            end = f"{name} ended with exit code {code}, the others go on; it starts again in {RESTART_S:.0f} s"
            print(f"stack: {end}; see {self.log_of(name)}", file=sys.stderr, flush=True)
        if time.monotonic() >= self.due[name]:
            del self.due[name]
            _start(self, name)

    def ready(self, name: str) -> bool:
        """Return whether a service need not be waited for: it is healthy or done, or ended for want of the outside."""
        self.check()
        if "healthcheck" not in self.places.services[name]:
            return name not in self.processes
        return name in self.due or self.healthy(name)

    def healthy(self, name: str) -> bool:
        """Run a service's own health check once, in the time it has in the compose file."""
        command = health_command(self.places, name)
        if command is None:
            self.unchecked.append(name)
            return True
        environment = {**os.environ, **health_environment(self.places)}
        patience = float(self.places.services[name]["healthcheck"]["timeout"].removesuffix("s"))
        try:
            return subprocess.run(command, capture_output=True, env=environment, timeout=patience).returncode == 0
        except subprocess.TimeoutExpired:
            return False


def compose() -> dict[str, Any]:
    """Return the compose file."""
    content: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return content


def own_services(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the services that run our image, in the order of the file, which is the order of their dependencies."""
    return {name: service for name, service in content["services"].items() if "build" in service}


@contextmanager
def running(folder: Path, *, free_ports: bool = False) -> Iterator[Stack]:
    """Start the stack, wait until every health check passes, stop it at the end. Raises StackError, BrokerError,
    and UnknownPlace where the compose file names a port that nobody serves.

    A service of OUTSIDE may have ended by then, or end later: ``Stack.check`` starts it again.
    """
    content = compose()
    folder.mkdir(parents=True, exist_ok=True)
    stack = Stack(Places(content["services"], ROOT, folder))
    stack.places.choose_ports(free_port if free_ports else None)
    with ExitStack() as ending:
        broker = kafka_broker(stack.places)
        ending.callback(broker.stop)
        broker.start()
        write_kafka_scripts(stack.places, broker)
        database = ending.enter_context(EmbeddedPostgres(stack.folder / "postgres"))
        dsn = create_database(stack.places, database)
        make_secrets(stack.folder / "secrets", dsn=dsn, telling=load_settings().service)
        ending.callback(_stop, stack)
        for name, service in own_services(content).items():
            for other in service.get("depends_on", {}):
                _await(stack, other)
            _start(stack, name)
        for name in PORTS:
            _start_tool(stack, name)
        for name in list(stack.processes):
            _await(stack, name)
        stack.missing += [name for name in content["services"] if name == "grafana"]
        yield stack


def _start(stack: Stack, name: str) -> None:
    command = [sys.executable, "-m", "services.cli", *stack.places.command(name)]
    _spawn(stack, name, command, stack.places.environment(name))


def _start_tool(stack: Stack, name: str) -> None:
    command = tool_command(stack.places, name)
    if command is None:
        stack.missing.append(name)
    else:
        _spawn(stack, name, command, {})


def _spawn(stack: Stack, name: str, command: list[str], environment: Mapping[str, str]) -> None:
    with stack.log_of(name).open("ab") as output:
        stack.processes[name] = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env={**os.environ, **environment},
            start_new_session=True,
        )  # fmt: skip


def _await(stack: Stack, name: str) -> None:
    """Wait until a service's health check passes, or until one that does its work and ends has done it."""
    if name in stack.settled:
        return
    deadline = time.monotonic() + HEALTHY_S
    while not stack.ready(name):
        if time.monotonic() > deadline:
            raise StackError(f"{name} was not well in {HEALTHY_S:.0f} s; see {stack.log_of(name)}")
        time.sleep(POLL_S)
    stack.settled.add(name)


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
            tools = [f"{name} {stack.url(port)}" for name, port in PORTS.items() if name not in stack.missing]
            places = [*tools, f"TAPELINE_LOG={stack.places.text('worker', 'kafka://kafka:9092')}"]
            print(f"{', '.join(places)}; API token and keys in {stack.folder / 'secrets'}", flush=True)
            if stack.missing:
                print(f"NOT RUNNING, no program on this machine: {', '.join(stack.missing)}", flush=True)
            if stack.unchecked:
                print(f"NOT CHECKED, its health check has no program here: {', '.join(stack.unchecked)}", flush=True)
            while not stopped.wait(1.0):
                stack.check()
    except (BrokerError, ProjectionError) as error:
        print(f"stack: {error}", file=sys.stderr)
        return 3
    except SettingsError as error:
        print(f"stack: {error}", file=sys.stderr)
        return 2
    except (StackError, UnknownPlace) as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
