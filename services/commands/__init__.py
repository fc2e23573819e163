"""One module per command group; each has ``register(app)`` and is imported only when its group is asked for."""
