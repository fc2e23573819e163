"""Why the market gateway cannot start or go on; each error carries the exit code of the process."""

from __future__ import annotations


class MarketGatewayError(Exception):
    """The market gateway must stop; the message says why and what to do."""

    exit_code = 3


class VenueUnreachable(MarketGatewayError):
    """The venue did not answer, or answered nonsense, after every attempt."""


class VenueRefused(MarketGatewayError):
    """The venue refuses what was asked: an instrument it does not have, a request it does not take."""

    exit_code = 2


class TooManyBadFrames(MarketGatewayError):
    """The venue's frames can no longer be read: its format has changed, or this is not OKX."""
