"""The venue's refusals: code, HTTP status and words, and how a reply carries them.

Source: the error code table of the v5 documentation. Codes not in the table here can be raised by a fault with words
of its own.
"""

from __future__ import annotations

GENERAL: dict[str, tuple[int, str]] = {
    "50000": (400, "Body for POST request cannot be empty."),
    "50001": (503, "Service temporarily unavailable. Try again later"),
    "50002": (400, "JSON syntax error"),
    "50004": (400, "API endpoint request timeout."),
    "50005": (410, "API is offline or unavailable."),
    "50011": (429, "Too Many Requests"),
    "50013": (429, "Systems are busy. Please try again later."),
    "50014": (400, "Parameter {} can not be empty."),
    "50015": (400, "Either parameter {} or {} is required."),
    "50016": (400, "Parameter {} and {} is an invalid pair."),
    "50024": (200, "{} and {} can't exist at the same time"),
    "50026": (500, "System error. Try again later."),
    "50036": (
        200,
        "The expTime can't be earlier than the current system time. Please adjust the expTime and try again.",
    ),
    "50061": (200, "You've reached the maximum order rate limit for this account."),
    "50101": (401, "APIKey does not match current environment."),
    "50102": (401, "Timestamp request expired."),
    "50103": (401, 'Request header "OK-ACCESS-KEY" cannot be empty.'),
    "50104": (401, 'Request header "OK-ACCESS-PASSPHRASE" cannot be empty.'),
    "50105": (401, 'Request header "OK-ACCESS-PASSPHRASE" incorrect.'),
    "50106": (401, 'Request header "OK-ACCESS-SIGN" cannot be empty.'),
    "50107": (401, 'Request header "OK-ACCESS-TIMESTAMP" cannot be empty.'),
    "50110": (401, "Your IP {} is not included in your API key's {} IP whitelist."),
    "50111": (401, "Invalid OK-ACCESS-KEY"),
    "50112": (401, "Invalid OK-ACCESS-TIMESTAMP"),
    "50113": (401, "Invalid Sign"),
    "50115": (405, "Invalid request type."),
    "50120": (200, "This API key doesn't have permission to use this function."),
}

TRADE: dict[str, tuple[int, str]] = {
    "51000": (400, "Parameter {} error"),
    "51001": (200, "Instrument ID or Spread ID doesn't exist."),
    "51003": (200, "Either client order ID or order ID is required."),
    "51004": (200, "Order failed. The order amount exceeds the tier limit of the current leverage."),
    "51008": (200, "Order failed. Insufficient {} margin in account."),
    "51010": (200, "You can't complete this request under your current account mode."),
    "51014": (200, "Index doesn't exist."),
    "51015": (200, "Instrument ID doesn't match instrument type."),
    "51016": (200, "Client order ID already exists."),
    "51020": (200, "Your order should meet or exceed the minimum order amount."),
    "51021": (200, "The pair or contract is not yet listed"),
    "51022": (200, "Contract suspended"),
    "51027": (200, "Contract expired"),
    "51030": (200, "Funding fees are being settled."),
    "51046": (200, "The take profit trigger price must be higher than the order price"),
    "51047": (200, "The stop loss trigger price must be lower than the order price"),
    "51048": (200, "The take profit trigger price must be lower than the order price"),
    "51049": (200, "The stop loss trigger price must be higher than the order price"),
    "51050": (200, "The take profit trigger price must be higher than the best ask price"),
    "51051": (200, "The stop loss trigger price must be lower than the best ask price"),
    "51052": (200, "The take profit trigger price must be lower than the best bid price"),
    "51053": (200, "The stop loss trigger price must be higher than the best bid price"),
    "51101": (200, "Order failed, the sz of the current order can't be more than {} (contracts)."),
    "51065": (200, "algoClOrdId already exists."),
    "51068": (200, "{} already exists within algoClOrdId and attachAlgoClOrdId."),
    "51071": (200, "You've reached the maximum limit for tag level cancel all after timers."),
    "51088": (200, "You can only place 1 TP/SL order to close an entire position"),
    "51111": (200, "Maximum {} orders can be placed in bulk."),
    "51112": (200, "Close order size exceeds available size for this position."),
    "51119": (200, "Order placement failed due to insufficient balance."),
    "51121": (200, "Order quantity must be a multiple of the lot size."),
    "51137": (200, "The highest price limit for buy orders is {}."),
    "51138": (200, "The lowest price limit for sell orders is {}."),
    "51149": (500, "Order timed out. Please try again."),
    "51169": (200, "Order failed because you don't have any positions in this direction to reduce or close."),
    "51170": (200, "A reduce-only order can't be the same trading direction as your existing positions."),
    "51202": (200, "The amount of a market order exceeds the maximum."),
    "51204": (200, "The price of a limit order cannot be empty."),
    "51205": (200, "Reduce-Only is not available"),
    "51277": (200, "TP trigger price cannot be higher than the last price"),
    "51278": (200, "SL trigger price cannot be lower than the last price"),
    "51279": (200, "TP trigger price cannot be lower than the last price"),
    "51280": (200, "SL trigger price cannot be higher than the last price"),
    "51327": (200, "closeFraction is only available for Expiry Futures and Perpetual Futures"),
    "51328": (200, "closeFraction is only available for reduceOnly orders"),
    "51330": (200, "closeFraction is only available for stop market orders"),
    "51300": (200, "TP trigger price cannot be higher than the mark price"),
    "51302": (200, "SL trigger price cannot be lower than the mark price"),
    "51303": (200, "TP trigger price cannot be lower than the mark price"),
    "51304": (200, "SL trigger price cannot be higher than the mark price"),
    "51305": (200, "TP trigger price cannot be higher than the index price"),
    "51306": (200, "SL trigger price cannot be lower than the index price"),
    "51307": (200, "TP trigger price cannot be lower than the index price"),
    "51308": (200, "SL trigger price cannot be higher than the index price"),
    "51332": (200, "closeFraction is not applicable to Portfolio Margin"),
    "51333": (200, "Close position order in hedge-mode or reduce-only order in one-way mode cannot attach TPSL"),
    "51415": (200, "Spot trading only supports using the last price as trigger price."),
    "51400": (200, "Order cancellation failed as the order has been filled, canceled or does not exist."),
    "51500": (200, "You must enter a price, quantity, or TP/SL"),
    "51503": (200, "Your order has already been filled or canceled."),
    "51524": (200, "Unable to modify the order quantity of a stop order that closes an entire position."),
    "51603": (200, "Order does not exist"),
    "54000": (200, "Margin trading is not supported."),
    "54084": (200, "The order would slip by more than slippagePct."),
    "54085": (200, "slippagePct is out of range."),
    "59000": (200, "Settings failed. Close any open positions or orders before modifying settings."),
    "59101": (200, "Leverage can't be modified. Please cancel all pending isolated margin orders first."),
    "59102": (200, "Leverage exceeds the maximum limit. Please lower the leverage."),
    "59105": (400, "Leverage can't be less than {}. Please increase the leverage."),
    "59107": (200, "Leverage can't be modified. Please cancel all pending cross-margin orders first."),
}

WEBSOCKET: dict[str, str] = {
    "60004": "Invalid timestamp",
    "60005": "Invalid apiKey",
    "60006": "Timestamp request expired",
    "60007": "Invalid sign",
    "60009": "Login failure",
    "60011": "Please log in",
    "60012": "Illegal request: {}",
    "60013": "Invalid args",
    "60014": "Requests too frequent",
    "60018": "Wrong URL or {} doesn't exist. Please use the correct URL, channel and parameters.",
    "60019": "Invalid op: {}",
    "60024": "Wrong passphrase",
    "60028": "The current operation is not supported by this URL. Please use the correct WebSocket URL.",
    "60031": "The WebSocket endpoint does not allow multiple or repeated logins.",
    "60032": "API key doesn't exist",
    "64001": "This channel has been migrated to the '/business' URL. Please subscribe using the new URL.",
    "64003": "Your trading fee tier doesn't meet the requirement to access this channel",
    "64008": "The connection will soon be closed for a service upgrade. Please reconnect.",
}


class VenueError(Exception):
    """The venue refuses: code, HTTP status, words."""

    def __init__(self, code: str, *values: object, http: int | None = None, message: str = "") -> None:
        """Take status and words from the table unless given."""
        status, words = (GENERAL | TRADE).get(code, (200, WEBSOCKET.get(code, "Operation failed.")))
        self.code = code
        self.http = status if http is None else http
        self.message = message or words.format(*values)
        super().__init__(f"{code} {self.message}")

    def body(self) -> dict[str, object]:
        """Return the reply. What the front door refuses (401, 429) has no ``data``; recorded replies show it."""
        bare: dict[str, object] = {"msg": self.message, "code": self.code}
        return bare if self.http in {401, 429} else {"code": self.code, "data": [], "msg": self.message}
