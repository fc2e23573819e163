"""A gateway's hold on the reports, on every log: one owner at a time, and a former one writes nothing that counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.codec import decode
from schemas.envelope import Envelope, Event
from schemas.events.common import NotSentReason
from schemas.events.gateway import GatewayClaimed
from schemas.events.orders import NotSent, SubmitAttempted
from schemas.topics import REPORTS
from services.gateways.okx.owner import GatewayStopped, OtherAccount, Owner, ReportsTopic
from streams.log import create_log, open_log
from streams.log.base import EventLog
from tests.builders import T0

KINDS = ("memory", "sqlite", pytest.param("kafka", marks=pytest.mark.kafka))
NAMES = ("t0order", "okx", "BTC-USDT-SWAP")


@pytest.fixture(params=KINDS)
def logs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[EventLog, EventLog]]:
    """One log as two processes have it open."""
    if request.param == "memory":
        first = second = open_log("memory://")
    else:
        url = f"sqlite:///{tmp_path}/log.db" if request.param == "sqlite" else request.getfixturevalue("kafka_url")
        first, second = open_log(url), open_log(url)
    create_log(first)
    yield first, second
    first.close()
    second.close()


class Gateway:
    """A hold on the reports, and what it has seen of them."""

    def __init__(self, log: EventLog, name: str, account: str = "demo 1") -> None:
        self.seen: list[str] = []
        owner = Owner("okx", name, "1", account)
        self.reports = ReportsTopic(log, 0, owner, lambda: T0, self._take)

    def _take(self, envelope: Envelope, event: Event) -> None:
        self.seen.append(type(event).__name__)

    def start(self) -> None:
        self.reports.take_up_to(self.reports.end() - 1)
        self.reports.take_up_to(self.reports.claim())

    def attempt(self) -> None:
        self.reports.report(SubmitAttempted(*NAMES, self.reports.claim_id), ts_event=T0)


def test_an_owner_writes_record_after_record(logs: tuple[EventLog, EventLog]) -> None:
    gateway = Gateway(logs[0], "a")
    gateway.start()
    for _ in range(3):
        gateway.attempt()
    assert gateway.seen == ["GatewayClaimed", *["SubmitAttempted"] * 3]
    assert logs[1].end_offset(REPORTS, 0) == 4


def test_a_second_claim_ends_the_first_owner_and_takes_over_what_it_wrote(logs: tuple[EventLog, EventLog]) -> None:
    first, second = Gateway(logs[0], "a"), Gateway(logs[1], "b")
    first.start()
    first.attempt()
    second.start()
    assert second.seen == ["GatewayClaimed", "SubmitAttempted", "GatewayClaimed"]
    with pytest.raises(GatewayStopped, match="another gateway owns them"):
        first.attempt()
    with pytest.raises(GatewayStopped):
        first.attempt()


def test_what_a_former_owner_still_wrote_has_another_claim(logs: tuple[EventLog, EventLog]) -> None:
    first, second = Gateway(logs[0], "a"), Gateway(logs[1], "b")
    first.start()
    second.start()
    with pytest.raises(GatewayStopped):
        first.reports.report(NotSent(*NAMES, NotSentReason.ABSENT, first.reports.claim_id), ts_event=T0)
    claim = ""
    for record in logs[1].read(REPORTS, 0, 0, limit=10):
        event = decode(record.value)[1]
        if isinstance(event, GatewayClaimed):
            claim = event.claim_id
        elif isinstance(event, NotSent):  # a broker stores it all the same; SQLite and memory do not
            assert event.claim_id != claim


def test_another_account_at_the_venue_is_refused_before_it_claims(logs: tuple[EventLog, EventLog]) -> None:
    Gateway(logs[0], "a").start()
    with pytest.raises(OtherAccount, match="this log trades demo 1, the keys are for live 1"):
        Gateway(logs[1], "b", "live 1").start()
    assert logs[0].end_offset(REPORTS, 0) == 1
