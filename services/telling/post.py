"""Hand an alert of our own to Alertmanager, which knows who is told."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from schemas.json_form import iso
from schemas.values import SECOND

TIMEOUT_S = 10.0


class NotTold(Exception):
    """Alertmanager did not take the message; says what it answered."""


@dataclass(frozen=True, slots=True)
class Message:
    """One alert. Equal ``labels`` are the same message, told once. shown_s: for how long Alertmanager shows it."""

    labels: Mapping[str, str]
    summary: str
    description: str
    shown_s: float


def post(url: str, message: Message) -> None:
    """Hand a message over. Raises NotTold."""
    annotations = {"summary": message.summary, "description": message.description}
    starts, ends = (iso(int(moment * SECOND)) for moment in (time.time(), time.time() + message.shown_s))
    alert = {"labels": dict(message.labels), "annotations": annotations, "startsAt": starts, "endsAt": ends}
    try:
        answer = httpx.post(f"{url}/api/v2/alerts", json=[alert], timeout=TIMEOUT_S)
    except httpx.HTTPError as error:
        raise NotTold(
            f"Alertmanager at {url} does not answer: {error}; is it running, TAPELINE_ALERTMANAGER_URL right?"
        ) from error
    if answer.status_code != httpx.codes.OK:
        raise NotTold(f"Alertmanager at {url} answered {answer.status_code}: {answer.text[:200]}")
