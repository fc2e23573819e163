"""Where the places a compose file names are on this machine: ports on loopback, volumes and files in one folder.

A word of the compose file is translated, never written again: a wrong flag, port, variable or path is wrong here too.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

HERE = "127.0.0.1"
SECRETS = "/run/secrets"
OWN = ("localhost", HERE, "")
"""What a container calls itself."""
ADDRESS = re.compile(r"(?<![\w.])([a-z][a-z0-9]*|127\.0\.0\.1|(?<=://)):(\d+)(?!\d)")
"""``host:port``; without a host, as Kafka's listeners are written, it is the service itself."""


class UnknownPlace(Exception):
    """The compose file names a port that nobody serves."""


def ports_of(service: Mapping[str, Any]) -> list[int]:
    """Return the ports a service serves, as its container numbers them."""
    return [int(str(port).rpartition(":")[2]) for port in (*service.get("ports", ()), *service.get("expose", ()))]


class Places:
    """The places of one stack in ``folder``. ``ports``: (service, its port) -> the port here."""

    def __init__(self, services: Mapping[str, Any], root: Path, folder: Path) -> None:
        self.services = services
        self.root = root
        self.folder = folder.absolute()
        self.ports: dict[tuple[str, int], int] = {}
        self.programs: dict[str, dict[str, str]] = {}
        """By service: folders of programs that its image has elsewhere."""

    def choose_ports(self, free_port: Callable[[], int] | None) -> None:
        """Take the compose file's own ports, or free ones."""
        for name, service in self.services.items():
            for port in ports_of(service):
                self.ports[name, port] = free_port() if free_port else port

    def address(self, service: str, port: int) -> str:
        """Return ``127.0.0.1:PORT`` of a service's port, by the number it has in the container."""
        return f"{HERE}:{self.ports[service, port]}"

    def folders(self, service: str) -> dict[str, Path]:
        """Return where the folders of a service's container are here: volumes, files of ours, secrets, programs."""
        found = {there: Path(here) for there, here in self.programs.get(service, {}).items()}
        for volume in self.services[service].get("volumes", ()):
            source, there = volume.split(":")[:2]
            found[there] = self._config(service) if source.startswith("./") else self._data(source)
        return found | {SECRETS: self.folder / "secrets"}

    def text(self, service: str, words: str) -> str:
        """Return words of a service with the folders and addresses they have here."""
        folders = self.folders(service)
        any_folder = "|".join(re.escape(there) for there in sorted(folders, key=len, reverse=True))
        words = re.sub(rf"(?<![\w./-])({any_folder})(?![\w-])", lambda found: str(folders[found[1]]), words)
        return ADDRESS.sub(lambda found: self._address(service, found), words)

    def _address(self, service: str, found: re.Match[str]) -> str:
        host, port = service if found[1] in OWN else found[1], int(found[2])
        if host not in self.services:
            return found[0]
        if (host, port) not in self.ports:
            raise UnknownPlace(f"{service} names {found[0]}, and {host} serves no port {port}")
        return self.address(host, port)

    def command(self, service: str) -> list[str]:
        """Return a service's arguments; a bare number that is one of its ports is the port here."""
        own = {str(port): str(self.ports[service, port]) for port in ports_of(self.services[service])}
        words = [own.get(word, word) for word in self.services[service]["command"]]
        return [HERE if word == "0.0.0.0" else self.text(service, word) for word in words]

    def environment(self, service: str) -> dict[str, str]:
        """Return a service's variables."""
        given = self.services[service].get("environment", {})
        return {key: HERE if value == "0.0.0.0" else self.text(service, str(value)) for key, value in given.items()}

    def copy_config(self, service: str) -> None:
        """Copy the files of ours that a service reads, with what they name here in place of what they name there."""
        for volume in self.services[service].get("volumes", ()):
            if volume.startswith("./"):
                folder = self._config(service)
                shutil.rmtree(folder, ignore_errors=True)
                shutil.copytree(self.root / volume.split(":")[0], folder)
                for file in folder.glob("*.yml"):
                    file.write_text(self.text(service, file.read_text(encoding="utf-8")), encoding="utf-8")

    def _config(self, service: str) -> Path:
        return self.folder / service / "config"

    def _data(self, volume: str) -> Path:
        return self.folder / volume / ("kafka" if volume == "kafka" else "data")
