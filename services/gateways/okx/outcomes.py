"""What an answer of OKX to a request means: accepted, refused for certain, or in doubt. Data, and the rules to read it.

The worse reading wins. A code counts as refused only where OKX's words say that nothing was done; time-outs, "busy" and
"unavailable" say nothing about the order and are in doubt, and so is every code not known, unless OKX gives it as the
result of this very order (``sCode``): then it speaks about the order, and not 0 is no.

Source: OKX v5, error codes; ``okx.md`` sections 3, 4, 12 and the recorded replies.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from schemas.values import Micros
from services.gateways.okx.venue import Accepted, InDoubt, Outcome, Refused

DETAIL_MAX = 300
"""Characters of the venue's words that are kept."""


class Meaning(StrEnum):
    """What a code says about a request."""

    REFUSED = "REFUSED"
    RETRYABLE = "RETRYABLE"
    IN_DOUBT = "IN_DOUBT"


CODES: dict[str, tuple[Meaning, str]] = {
    # Load: turned away at the door, before execution.
    "50011": (Meaning.RETRYABLE, "rate limit of the endpoint"),
    "50040": (Meaning.RETRYABLE, "too frequent operations"),
    "50061": (Meaning.RETRYABLE, "order rate limit of the account"),
    "51113": (Meaning.RETRYABLE, "market closes too frequent"),
    "51513": (Meaning.RETRYABLE, "three changes of this order are still under way"),
    # Says nothing about the order.
    "50001": (Meaning.IN_DOUBT, "service temporarily unavailable"),
    "50004": (Meaning.IN_DOUBT, "endpoint timed out; OKX: does not mean success or failure"),
    "50005": (Meaning.IN_DOUBT, "endpoint offline or unavailable"),
    "50013": (Meaning.IN_DOUBT, "systems are busy"),
    "50026": (Meaning.IN_DOUBT, "system error"),
    "50042": (Meaning.IN_DOUBT, "repeated request: another one may have been executed"),
    "51054": (Meaning.IN_DOUBT, "request timed out"),
    "51149": (Meaning.IN_DOUBT, "order timed out; OKX: does not mean success or failure"),
    "51412": (Meaning.IN_DOUBT, "cancel timed out, or the order has been triggered"),
    # Somebody sent this id before: that order may live.
    "50071": (Meaning.IN_DOUBT, "client order id exists"),
    "51011": (Meaning.IN_DOUBT, "order id exists"),
    "51016": (Meaning.IN_DOUBT, "client order id exists"),
    "51065": (Meaning.IN_DOUBT, "algo client order id exists"),
    "51068": (Meaning.IN_DOUBT, "id exists among algo and attached ids"),
    # The moment: certain, and not to be repeated as it is.
    "50017": (Meaning.REFUSED, "position frozen by auto-deleveraging"),
    "50018": (Meaning.REFUSED, "currency frozen by auto-deleveraging"),
    "50019": (Meaning.REFUSED, "account frozen by auto-deleveraging"),
    "50020": (Meaning.REFUSED, "position frozen by liquidation"),
    "50021": (Meaning.REFUSED, "currency frozen by liquidation"),
    "50022": (Meaning.REFUSED, "account frozen by liquidation"),
    "50023": (Meaning.REFUSED, "funding fee frozen"),
    "50036": (Meaning.REFUSED, "deadline already over when it arrived"),
    "50037": (Meaning.REFUSED, "deadline over before it was executed"),
    "51022": (Meaning.REFUSED, "contract suspended"),
    "51027": (Meaning.REFUSED, "contract expired"),
    "51028": (Meaning.REFUSED, "contract under delivery"),
    "51029": (Meaning.REFUSED, "contract is being settled"),
    "51030": (Meaning.REFUSED, "funding is being settled"),
    # The order itself.
    "51000": (Meaning.REFUSED, "parameter error"),
    "51001": (Meaning.REFUSED, "no such instrument"),
    "51004": (Meaning.REFUSED, "position limit at this leverage"),
    "51005": (Meaning.REFUSED, "above the largest order"),
    "51006": (Meaning.REFUSED, "outside the price limit"),
    "51007": (Meaning.REFUSED, "below one contract"),
    "51008": (Meaning.REFUSED, "insufficient balance or margin"),
    "51010": (Meaning.REFUSED, "not possible in this account mode"),
    "51020": (Meaning.REFUSED, "below the least order"),
    "51023": (Meaning.REFUSED, "position does not exist"),
    "51046": (Meaning.REFUSED, "target on the wrong side"),
    "51047": (Meaning.REFUSED, "stop on the wrong side"),
    "51048": (Meaning.REFUSED, "target on the wrong side"),
    "51049": (Meaning.REFUSED, "stop on the wrong side"),
    "51121": (Meaning.REFUSED, "not a multiple of the lot"),
    "51137": (Meaning.REFUSED, "above the highest buy price"),
    "51138": (Meaning.REFUSED, "below the lowest sell price"),
    "51169": (Meaning.REFUSED, "nothing to reduce"),
    "51170": (Meaning.REFUSED, "reduce-only in the direction of the position"),
    "51202": (Meaning.REFUSED, "above the largest market order"),
    "51278": (Meaning.REFUSED, "stop already passed by last"),
    "51280": (Meaning.REFUSED, "stop already passed by last"),
    "51298": (Meaning.REFUSED, "trigger orders not available in net mode"),
    "51302": (Meaning.REFUSED, "stop already passed by mark"),
    "51304": (Meaning.REFUSED, "stop already passed by mark"),
    "51400": (Meaning.REFUSED, "filled, canceled or not there"),
    "51410": (Meaning.REFUSED, "already being canceled"),
    "51416": (Meaning.REFUSED, "already triggered"),
    "51503": (Meaning.REFUSED, "filled, canceled or not there"),
    "51527": (Meaning.REFUSED, "stop order not there"),
    "51603": (Meaning.REFUSED, "order does not exist"),
    "54109": (Meaning.REFUSED, "trading of this pair is not activated"),
}
"""What a code means and OKX's reason, in short."""

REFUSED_CLASSES = ("501", "51", "54", "59")
"""Code classes OKX decides before executing anything: key and signature, order checks, product and account settings."""
ID_FIELDS = ("clordid", "algoclordid")
"""51000 naming one of these may be a duplicate id. Source: okx.md section 3 (some report 51000 for 51016)."""


def meaning_of(code: str, message: str, *, about_order: bool, http_status: int = 200) -> tuple[Meaning, str]:
    """Return what a code says and why. ``about_order``: it is the result of this order, not of the whole request."""
    if code == "51000" and any(field in message.lower() for field in ID_FIELDS):
        return Meaning.IN_DOUBT, "parameter error about the client order id: it may exist"
    known = CODES.get(code)
    if known is not None:
        return known
    if http_status >= 500:
        return Meaning.IN_DOUBT, f"HTTP {http_status}"
    if about_order or (len(code) == 5 and code.startswith(REFUSED_CLASSES)):
        return Meaning.REFUSED, "refused"
    return Meaning.IN_DOUBT, "unknown code"


def read_outcome(reply: object, *, algo: bool, http_status: int = 200) -> Outcome:
    """Return the outcome of a request for one order from OKX's reply ``{code, msg, data: [row], inTime, outTime}``."""
    if not isinstance(reply, Mapping) or not isinstance(reply.get("code"), str | int):
        return InDoubt(f"HTTP {http_status}: not a reply of OKX: {_short(reply)}")
    row = _row(reply)
    if row is not None and row.get("sCode") not in (None, ""):
        return _about_order(reply, row, algo=algo, http_status=http_status)
    code, message = str(reply["code"]), _short(reply.get("msg", ""))
    if code == "0":
        return InDoubt("OKX says success without naming an order")
    meaning, why = meaning_of(code, message, about_order=False, http_status=http_status)
    return _outcome(meaning, code, message or why, why)


def _about_order(reply: Mapping[str, Any], row: Mapping[str, Any], *, algo: bool, http_status: int) -> Outcome:
    code, message = str(row["sCode"]), _short(row.get("sMsg", ""))
    if code == "0":
        identity = str(row.get("algoId" if algo else "ordId") or "")
        if not identity or http_status >= 400:
            return InDoubt(f"HTTP {http_status}: OKX says success with order id {identity!r}")
        return Accepted(identity, _micros(reply.get("inTime")), _micros(reply.get("outTime")))
    meaning, why = meaning_of(code, message, about_order=True, http_status=http_status)
    return _outcome(meaning, code, message or why, why)


def _outcome(meaning: Meaning, code: str, message: str, why: str) -> Outcome:
    if meaning is Meaning.IN_DOUBT:
        return InDoubt(f"{code} {why}: {message}", code)
    return Refused(code, message, retryable=meaning is Meaning.RETRYABLE)


def _row(reply: Mapping[str, Any]) -> Mapping[str, Any] | None:
    rows = reply.get("data")
    return rows[0] if isinstance(rows, list) and len(rows) == 1 and isinstance(rows[0], Mapping) else None


def _micros(text: object) -> Micros | None:
    return Micros(int(text)) if isinstance(text, str) and text.isdecimal() and len(text) == 16 else None


def _short(value: object) -> str:
    return str(value)[:DETAIL_MAX]
