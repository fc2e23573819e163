"""Metrics for Prometheus: one closed catalog, what fills it, and the page that shows it."""
