"""Gateways: the only programs that talk to an exchange. Market data in, orders out; one folder per exchange."""
