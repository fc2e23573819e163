"""Write ``docs/metrics.md`` from the catalog, or check that it is what the catalog says (``--write``, ``--check``)."""

from __future__ import annotations

import sys
from pathlib import Path

from services.metrics.catalog import CATALOG, Service

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
HEAD = """# Metrics

Written from `services/metrics/catalog.py` by `python -m services.metrics.generate --write`; the list is closed.
Counters and `_sum` gauges begin at zero when their process starts; the other gauges tell the present, also after a
restart. Worker, projector, verifier, reviewer, gateways, adapters and completion service serve `/metrics` on
`--metrics-port` (or `TAPELINE_METRICS_PORT`), `tapeline api` on its own port.
"""
TITLES = {
    Service.WORKER: "Worker (`tapeline worker`)",
    Service.PROJECTOR: "Projector (`tapeline projector`): trading, risk and data quality as the log has them",
    Service.API: "HTTP API (`tapeline api`)",
    Service.VERIFIER: "Verifier (`tapeline replay verify --every 24`)",
    Service.REVIEWER: "Reviewer (`tapeline review day --daily`)",
    Service.GATEWAY: "Trading gateway (`tapeline gateway okx`)",
    Service.MARKET: "Market gateway (`tapeline gateway okx-market`)",
    Service.ADAPTERS: "Context adapters (`tapeline adapters`)",
    Service.LLM: "Completion service (`tapeline llm`)",
}


def page() -> str:
    """Return the page. Raises LookupError for a service that has no title."""
    parts = [HEAD]
    left_out = set(Service) - set(TITLES)
    if left_out:
        raise LookupError(f"no title, so no place on the page: {', '.join(sorted(left_out))}; add it to TITLES")
    for service, title in TITLES.items():
        parts.append(f"\n## {title}\n\n| metric | kind | labels | unit | meaning |\n|---|---|---|---|---|\n")
        parts += [
            f"| `{metric.name}` | {metric.kind} | {', '.join(metric.labels)} | {metric.unit} | {metric.meaning} |\n"
            for metric in CATALOG
            if metric.service is service
        ]
    return "".join(parts)


def main() -> int:
    """Write the page (``--write``) or exit 1 when it is not what the catalog says (``--check``)."""
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if sys.argv[1:] != ["--check"]:
        print("usage: python -m services.metrics.generate --write|--check", file=sys.stderr)
        return 2
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    print(
        f"{PAGE.name} is not what the catalog says; run: python -m services.metrics.generate --write", file=sys.stderr
    )
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
