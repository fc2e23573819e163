"""Servers of the outside world on loopback, for tests."""
