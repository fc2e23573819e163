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


class Displaced(MarketGatewayError):
    """Somebody else writes this partition of ``ticks``: the one that came last goes on, this process stops."""

    exit_code = 1


class AppendInDoubt(MarketGatewayError):
    """Nobody can tell whether ticks reached the log: start again, its end decides."""

    exit_code = 75


class TooManyBadFrames(MarketGatewayError):
    """The venue's frames can no longer be read: its format has changed, or this is not OKX."""
