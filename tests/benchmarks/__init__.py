"""Benchmarks: measured, never asserted. `make bench` runs them."""
