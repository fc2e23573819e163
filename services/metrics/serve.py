"""Show a service's metrics over HTTP at ``/metrics``, on a thread of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server

from services.ports import Address

logger = logging.getLogger("tapeline.metrics")
HOST_BY = "TAPELINE_METRICS_HOST"
PORT_BY = "--metrics-port or TAPELINE_METRICS_PORT"


@contextmanager
def serve_metrics(registry: CollectorRegistry, *, host: str, port: int | None) -> Iterator[int | None]:
    """Serve while the block lasts; yield the port, which a ``port`` of 0 leaves to the system. None: serve nothing.

    Raises CannotListen when the port is taken, or the host is none of this machine.
    """
    if port is None:
        yield None
        return
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise Address(host, port, HOST_BY, PORT_BY).refused(error) from error
    try:
        logger.info("metrics at http://%s:%d/metrics", host, server.server_port)
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
