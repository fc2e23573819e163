"""Show a service's metrics over HTTP at ``/metrics``, on a thread of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server

logger = logging.getLogger("tapeline.metrics")


@contextmanager
def serve_metrics(registry: CollectorRegistry, *, host: str, port: int | None) -> Iterator[int | None]:
    """Serve while the block lasts; yield the port, which a ``port`` of 0 leaves to the system. None: serve nothing.

    Raises OSError when the port is taken.
    """
    if port is None:
        yield None
        return
    server, thread = start_http_server(port, addr=host, registry=registry)
    try:
        logger.info("metrics at http://%s:%d/metrics", host, server.server_port)
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
