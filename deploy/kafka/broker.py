"""One local Kafka broker without Docker: Maven brings the jars, Java runs them, this script starts and stops it.

    python deploy/kafka/broker.py start|stop|kill|status [--data DIR] [--port N] [--heap MB] [--flush]

KRaft, one node, loopback only. It is for tests, the demo and a laptop: one broker keeps what it acknowledged through
any process kill, but only ``--flush`` (an fsync per message) keeps it through a power cut. Standard library only.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

POM = Path(__file__).with_name("pom.xml")
HOST = "127.0.0.1"
START_SECONDS = 90.0
STOP_SECONDS = 30.0
MAVEN_SECONDS = 600.0
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
CLUSTER_ID = "dGFwZWxpbmUtbG9jYWwtMQ"
"""Any fixed 22-character base-64 id: storage formatted once must be recognised by the next start."""


class BrokerError(Exception):
    """The broker cannot be started or stopped; says what is missing and where its log is."""


def missing_tools() -> str | None:
    """Return what keeps a broker from starting on this machine, or None when nothing does."""
    if _find_java() is None:
        return "no `java` on PATH or in JAVA_HOME (Java 17 or newer is needed)"
    if shutil.which("mvn") is None and not _jar_folder().is_dir():
        return "no `mvn` on PATH, and the Kafka jars are not cached yet"
    return None


def _find_java() -> str | None:
    home = os.environ.get("JAVA_HOME")
    if home and (Path(home) / "bin" / "java").is_file():
        return str(Path(home) / "bin" / "java")
    return shutil.which("java")


def kafka_version() -> str:
    """Return the Kafka version of the pom."""
    namespace = "{http://maven.apache.org/POM/4.0.0}"
    version = ElementTree.parse(POM).findtext(f"{namespace}properties/{namespace}kafka.version")
    if version is None:
        raise BrokerError(f"{POM} has no kafka.version property")
    return version


def cache_folder() -> Path:
    """Return the folder for things that can be fetched again: ``$TAPELINE_CACHE``, else ``~/.cache/tapeline``."""
    return Path(os.environ.get("TAPELINE_CACHE") or Path.home() / ".cache" / "tapeline")


def _jar_folder() -> Path:
    return cache_folder() / f"kafka-{kafka_version()}-{sha256(POM.read_bytes()).hexdigest()[:8]}"


def resolve_jars() -> Path:
    """Return the folder with the broker's jars, asking Maven for them the first time: one process at a time."""
    folder = _jar_folder()
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():  # else somebody was faster while we waited
            _fetch_jars(folder)
    return folder


def _fetch_jars(folder: Path) -> None:
    partial = Path(tempfile.mkdtemp(prefix=folder.name, dir=folder.parent))
    command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
    try:
        command.append(f"-DoutputDirectory={partial}")
        done = subprocess.run(command, capture_output=True, text=True, timeout=MAVEN_SECONDS, check=False)
        if done.returncode != 0:
            raise BrokerError(f"Maven could not fetch Kafka:\n{(done.stdout + done.stderr)[-2000:]}")
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int, seconds: float = 1.0) -> bool:
    """Return whether a Kafka broker answers an ApiVersions request on a loopback port."""
    request = struct.pack(">hhih", 18, 0, 1, -1)  # key ApiVersions, version 0, correlation id 1, no client id
    try:
        with socket.create_connection((HOST, port), timeout=seconds) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            reply = b""
            while len(reply) < 10 and (part := connection.recv(4096)):
                reply += part
    except OSError:
        return False
    return len(reply) >= 10 and struct.unpack(">ih", reply[4:10]) == (1, 0)


@dataclass
class LocalBroker:
    """One broker over one data folder. Ports are chosen once and kept, so that a restart has the same address.

    flush: fsync every message (slow; what a power cut needs on a single broker). heap_mb: Java heap.
    settings: properties that go before those of a local broker.
    """

    data: Path
    port: int | None = None
    flush: bool = False
    heap_mb: int = 512
    cluster_id: str = CLUSTER_ID
    settings: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    @property
    def address(self) -> str:
        """Return ``host:port``; the broker must have been started once."""
        return self._address_file.read_text().strip()

    @property
    def pid(self) -> int | None:
        """Return the process id of the running broker, None when it does not run."""
        if not self._pid_file.is_file():
            return None
        pid = int(self._pid_file.read_text())
        return pid if self._is_ours(pid) else None

    @property
    def log_file(self) -> Path:
        """Return the file with the broker's console output."""
        return self.data / "broker.log"

    @property
    def _pid_file(self) -> Path:
        return self.data / "broker.pid"

    @property
    def _address_file(self) -> Path:
        return self.data / "broker.address"

    @property
    def _config_file(self) -> Path:
        return self.data / "server.properties"

    def start(self) -> LocalBroker:
        """Start the broker and wait until it answers; does nothing when it runs already. Raises BrokerError."""
        if self.pid is not None and answers(int(self.address.rpartition(":")[2])):
            return self
        if (reason := missing_tools()) is not None:
            raise BrokerError(reason)
        java, jars = str(_find_java()), resolve_jars()
        port = self._configure()
        with self.log_file.open("ab") as console:
            self._format(java, jars, console)
            self._process = subprocess.Popen(
                self._command(java, jars, "kafka.Kafka", str(self._config_file)),
                stdout=console, stderr=console, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        self._pid_file.write_text(str(self._process.pid))
        self._wait_until(port)
        return self

    def stop(self) -> None:
        """Ask the broker to shut down and wait for it; kill it when it does not."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the broker where it stands, without any clean-up."""
        self._end(signal.SIGKILL)

    def restart(self) -> LocalBroker:
        """Stop and start on the same address and data."""
        self.stop()
        return self.start()

    def ports(self) -> tuple[int, int]:
        """Return the port of clients and that of the controller, chosen once and kept beside the data."""
        self.data.mkdir(parents=True, exist_ok=True)
        if self._address_file.is_file() and self.port is None:
            self.port = int(self.address.rpartition(":")[2])
        self.port = self.port or free_port()
        self._address_file.write_text(f"{HOST}:{self.port}\n")
        controller_file = self.data / "controller.port"
        if not controller_file.is_file():
            controller_file.write_text(str(free_port()))
        return self.port, int(controller_file.read_text())

    def command_of(self, main: str) -> list[str]:
        """Return what runs a class of Kafka's."""
        return self._command(str(_find_java()), resolve_jars(), main)

    def _configure(self) -> int:
        port, controller = self.ports()
        lines = self._properties(port, controller)
        self._config_file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        return port

    def _properties(self, port: int, controller: int) -> dict[str, str]:
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{HOST}:{controller}",
            "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.data / "kafka"),
            # A fact is never deleted, and a topic never appears by accident with the wrong partition count.
            "log.retention.ms": "-1",
            "auto.create.topics.enable": "false",
            "message.max.bytes": str(MESSAGE_BYTES_MAX),
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # After a kill the controller waits this long before it takes the same broker again (default: 9 s).
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "num.network.threads": "2",
            "num.io.threads": "2",
        }
        if self.flush:
            properties["log.flush.interval.messages"] = "1"
        return properties | self.settings

    def _command(self, java: str, jars: Path, main: str, *arguments: str) -> list[str]:
        options = [f"-Xmx{self.heap_mb}m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-Dlog4j2.level=WARN"]
        return [java, *options, f"-Dtapeline.data={self.data}", "-cp", f"{jars}/*", main, *arguments]

    def _format(self, java: str, jars: Path, console: IO[bytes]) -> None:
        if (self.data / "kafka" / "meta.properties").is_file():
            return
        arguments = ["format", "--cluster-id", self.cluster_id, "--config", str(self._config_file)]
        command = self._command(java, jars, "kafka.tools.StorageTool", *arguments)
        done = subprocess.run(command, stdout=console, stderr=console, timeout=START_SECONDS, check=False)
        if done.returncode != 0:
            raise BrokerError(f"KRaft storage could not be formatted: see {self.log_file}")

    def _wait_until(self, port: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                raise BrokerError(f"the broker ended with code {self._process.returncode}: see {self.log_file}")
            if answers(port):
                return
            time.sleep(0.05)
        raise BrokerError(f"the broker did not answer on port {port} in {START_SECONDS:.0f} s: see {self.log_file}")

    def _is_ours(self, pid: int) -> bool:
        """Return whether ``pid`` lives and is this broker, not a later process that got the same number."""
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, PermissionError):
            return False
        command_line = Path(f"/proc/{pid}/cmdline")
        if not command_line.parent.parent.is_dir():  # no /proc on this system
            return True
        return f"-Dtapeline.data={self.data}".encode() in command_line.read_bytes()

    def _end(self, how: signal.Signals) -> None:
        pid = self.pid
        if pid is not None:
            os.kill(pid, how)
            if not self._gone(pid):
                os.kill(pid, signal.SIGKILL)
                self._gone(pid)
        self._process = None
        self._pid_file.unlink(missing_ok=True)

    def _gone(self, pid: int) -> bool:
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                return True
            if not self._is_ours(pid):
                return True
            time.sleep(0.02)
        return False


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code: 0 done, 1 not running, 3 Java or Maven is missing."""
    parser = argparse.ArgumentParser(description="One local Kafka broker on loopback.")
    parser.add_argument("action", choices=("start", "stop", "kill", "status", "resolve"))
    parser.add_argument("--data", type=Path, default=Path("var/kafka"), help="data folder (default: var/kafka)")
    parser.add_argument("--port", type=int, default=None, help="port (default: a free one, kept for the next start)")
    parser.add_argument("--heap", type=int, default=512, help="Java heap in MB (default: 512)")
    parser.add_argument("--flush", action="store_true", help="fsync every message: survives a power cut, slow")
    chosen = parser.parse_args(arguments)
    broker = LocalBroker(chosen.data.absolute(), port=chosen.port, flush=chosen.flush, heap_mb=chosen.heap)
    try:
        return _act(broker, chosen.action)
    except BrokerError as error:
        print(f"kafka: {error}", file=sys.stderr)
        return 3


def _act(broker: LocalBroker, action: str) -> int:
    if action == "resolve":
        print(resolve_jars())
    elif action == "start":
        print(f"kafka: listening on {broker.start().address} (pid {broker.pid}, data {broker.data})")
    elif action in ("stop", "kill"):
        broker.stop() if action == "stop" else broker.kill()
        print("kafka: stopped")
    elif broker.pid is None:
        print("kafka: not running")
        return 1
    else:
        print(f"kafka: listening on {broker.address} (pid {broker.pid}, data {broker.data})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
