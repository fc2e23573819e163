"""Show the trading gateway's own counts: read off it when Prometheus asks, so that no order waits for a metric."""

from __future__ import annotations

from collections import Counter

from prometheus_client import CollectorRegistry

from services.gateways.okx.counters import GatewayCounters
from services.gateways.okx.tracked import Phase
from services.metrics.catalog import Service
from services.metrics.counted import Values, counts_registry

SHOWN_PHASES = [phase.value for phase in Phase if phase is not Phase.OVER]


def gateway_registry(counts: GatewayCounters) -> CollectorRegistry:
    """Return a registry that shows these counts."""
    return counts_registry(Service.GATEWAY, lambda: _values(counts))


def _values(counts: GatewayCounters) -> Values:
    doubts = counts.in_doubt()
    phases = Counter(order.phase.value for order in counts.live())
    return {
        "tapeline_gateway_trading": counts.began is not None,
        "tapeline_gateway_reports_total": {(kind,): number for kind, number in sorted(counts.reports.items())},
        "tapeline_gateway_answers_total": dict(sorted(counts.answers.items())),
        "tapeline_gateway_orders": {(phase,): phases[phase] for phase in SHOWN_PHASES},
        "tapeline_gateway_in_doubt_orders": len(doubts),
        "tapeline_gateway_in_doubt_oldest_seconds": max(doubts, default=0.0),
        "tapeline_gateway_reconciliations_total": counts.reconciliations,
        "tapeline_gateway_reconciled_age_seconds": counts.since(counts.reconciled_at),
        "tapeline_gateway_switch_age_seconds": counts.since(counts.switched_at),
        "tapeline_gateway_unanswered_total": counts.unanswered,
        "tapeline_gateway_link_up": counts.link_up,
        "tapeline_gateway_links_lost_total": counts.links_lost,
    }
