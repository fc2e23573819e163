"""Account: cash, equity, positions and trades from fills, funding, flows and marks. Decides no trade."""

from streams.core.account.stage import STAGE

__all__ = ["STAGE"]
