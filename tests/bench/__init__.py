"""Benchmarks: measured, never asserted. ``python -m tests.bench NAME|all [--write] [--full]``, or ``make bench``."""
