"""The OKX gateway: market data to ``ticks``; orders to the venue and its words to ``reports``."""
