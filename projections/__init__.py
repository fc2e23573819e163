"""Tables from the log: pure projectors, a writer that keeps rows and log position in one transaction, and rebuild.

Imports ``schemas`` only; the log is handed in by ``services`` through the protocols of ``projections.source``.
"""
