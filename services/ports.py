"""Say in one line why a service cannot listen where it is told to: the address, who named it and what to do."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass


class CannotListen(Exception):
    """An address a service is told to listen on and cannot; names it and the settings it comes from."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. ``host_by`` and ``port_by``: the option or variable that names each of the two."""

    host: str
    port: int
    host_by: str
    port_by: str

    def refused(self, error: OSError) -> CannotListen:
        """Return the error in words for what the system said."""
        where = f"{self.host}:{self.port}"
        if error.errno == errno.EADDRINUSE:
            return CannotListen(f"{where}: in use by another program; stop it, or give another port: {self.port_by}")
        if error.errno == errno.EACCES:
            return CannotListen(f"{where}: this user may not listen there; give a port above 1023: {self.port_by}")
        reason = error.strerror or str(error)
        return CannotListen(f"{where}: cannot listen there: {reason}; give an address of this machine: {self.host_by}")


def refuse_taken(address: Address) -> None:
    """Try to listen and stop at once, so that a start ends before anything else does. Raises CannotListen."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, place = found[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do: no wait after a restart
            tried.bind(place)
            tried.listen(1)
    except OSError as error:
        raise address.refused(error) from error
